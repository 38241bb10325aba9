"""Records quantize, dequantize, fake_quantize and choose_qparams: every granularity, storage and rule, with edge values.

Where PyTorch leaves the result undefined (i32 beyond 2^31, infinities in i32, zero points of NaN ranges) nothing is recorded;
quant_test.cpp has our own definition there.
"""

import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401 (registers quantized_decomposed)
from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine, dequantize_affine, quantize_affine

from recording import Quant, Recorder

qd = torch.ops.quantized_decomposed
INF, NAN = float("inf"), float("nan")
INTS = {"i8": torch.int8, "u8": torch.uint8, "i16": torch.int16, "u16": torch.uint16, "i32": torch.int32}


def bounds(dtype):
    info = torch.iinfo(dtype)
    return info.min, info.max


def randn(*shape, seed=0, scale=3.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * scale


# Halves on ties, signed zeros, infinities, NaN, huge and tiny numbers.
EDGES = torch.tensor([0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, 3.4999998, -2.5, 126.5, 127.5, -128.5, 254.5, 255.5, 1e-45, 1e30, -1e30,
                      INF, -INF, NAN, 0.1, 0.3, 1 / 3, 7.25])


def quantize(rec):
    rec.op("quantize")

    def per_tensor(name, x, scale, zero_point, storage, qmin=None, qmax=None):
        low, high = bounds(INTS[storage])
        qmin, qmax = low if qmin is None else qmin, high if qmax is None else qmax
        q = Quant(storage=storage, scale=scale, zero_point=zero_point, qmin=qmin, qmax=qmax)
        rec.case(name, lambda x: qd.quantize_per_tensor(x, scale, zero_point, qmin, qmax, INTS[storage]), [x], {"type": q})

    for storage, zero_point in (("i8", -3), ("u8", 128), ("i16", 0), ("u16", 7)):
        per_tensor(f"edges_{storage}", EDGES, 1.0, zero_point, storage)
    per_tensor("half_steps", EDGES, 0.5, 1, "i8")
    per_tensor("odd_scale", randn(4, 7), 0.02745098061859608, 146, "u8")
    per_tensor("double_scale", randn(3, 50), 0.1, 5, "u8")
    per_tensor("narrow_range", randn(4, 5), 0.3, 0, "i8", -127, 127)
    per_tensor("four_bits", randn(4, 5), 0.7, -2, "i8", -8, 7)
    per_tensor("i32", randn(3, 3, scale=1e4), 0.001, 0, "i32")
    per_tensor("f16", randn(4, 4).half(), 0.05, 10, "u8")
    per_tensor("bf16", randn(4, 4).bfloat16(), 0.05, 10, "u8")
    per_tensor("empty", randn(0, 3), 0.05, 10, "u8")
    per_tensor("scalar", torch.tensor(1.3), 0.05, 10, "u8")

    def per_channel(name, x, scales, zero_points, axis, storage="i8"):
        qmin, qmax = bounds(INTS[storage])
        q = Quant(storage=storage, axis=axis, scales=scales.tolist(), zero_points=zero_points.tolist())
        rec.case(name, lambda x: qd.quantize_per_channel(x, scales, zero_points, axis, qmin, qmax, INTS[storage]), [x], {"type": q})

    x = randn(3, 4, 5)
    for axis, n in ((0, 3), (1, 4), (2, 5)):
        per_channel(f"axis_{axis}", x, torch.rand(n, generator=torch.Generator().manual_seed(axis)) * 0.1 + 0.01, torch.arange(n) - 1, axis)
    per_channel("axis_edges", EDGES.repeat(2, 1), torch.tensor([0.1, 0.7]), torch.tensor([0, 30]), 0)

    def operands(name, x, scale, zero_point, call, quant, first=False):
        attrs = {"type": quant, "zero_point_first": True} if first else {"type": quant}
        rec.case(name, call, [x, scale, zero_point], attrs)

    operands("dynamic_tensor", randn(4, 6), torch.tensor([0.03], dtype=torch.float64), torch.tensor([4]),
             lambda x, s, z: qd.quantize_per_tensor.tensor(x, s, z, -128, 127, torch.int8), Quant(storage="i8", dynamic=True, scale_dtype="f64"))
    rows = randn(3, 1).abs() * 0.02 + 0.01
    zeros = torch.tensor([[-3], [0], [9]])
    token = dict(storage="i8", dynamic=True, block=[1, 0])
    operands("per_token", randn(3, 8), rows, zeros, lambda x, s, z: qd.quantize_per_token(x, s, z, -128, 127, torch.int8),
             Quant(**token), first=True)
    operands("per_token_ties", torch.tensor([[0.5, 1.5, 2.5, -0.5, -1.5]]), torch.tensor([[1.0]]), torch.tensor([[1]]),
             lambda x, s, z: qd.quantize_per_token(x, s, z, -128, 127, torch.int8), Quant(**token), first=True)
    operands("per_token_f64", randn(3, 8), rows.double(), zeros, lambda x, s, z: qd.quantize_per_token(x, s, z, -128, 127, torch.int8),
             Quant(**token, scale_dtype="f64"), first=True)
    x = randn(2, 12)
    scales = randn(2, 3, seed=4).abs() * 0.05 + 0.02
    zeros = torch.tensor([[1, 2, 3], [-1, 0, 4]])
    q = Quant(storage="i8", qmin=-8, qmax=7, block=[1, 4], scales=scales.flatten().tolist(), zero_points=zeros.flatten().tolist())
    rec.case("per_group", lambda x: qd.quantize_per_channel_group(x, scales, zeros, -8, 7, torch.int8, 4), [x],
             {"type": q, "zero_point_first": True})
    rec.case("affine_blocks", lambda x: quantize_affine(x, (1, 4), scales, zeros.int(), torch.int8, -8, 7), [x], {"type": q})
    s, z = torch.tensor([[0.1], [0.2]]), torch.tensor([[0], [3]])
    q = Quant(storage="u8", block=[2, 0], scales=s.flatten().tolist(), zero_points=z.flatten().tolist())
    rec.case("affine_row_blocks", lambda x: quantize_affine(x, (2, 6), s, z, torch.uint8, 0, 255), [randn(4, 6)], {"type": q})
    rec.error("no_scales", [randn(3, 4)], {"type": Quant(storage="i8", axis=0)}, "c5")
    rec.error("scale_count", [randn(3, 4)], {"type": Quant(storage="i8", axis=0, scales=[0.1, 0.2])}, "c5")
    rec.error("axis", [randn(3, 4)], {"type": Quant(storage="i8", axis=2, scales=[0.1, 0.2])}, "c4")
    rec.error("block_rank", [randn(3, 4)], {"type": Quant(storage="i8", block=[1, 2, 1], scales=[0.1])}, "c4")
    rec.error("integers", [torch.arange(3)], {"type": Quant(storage="i8")}, "c2")
    rec.error("dynamic_without_scale", [randn(3)], {"type": Quant(storage="i8", dynamic=True)}, "c3")
    rec.error("static_with_scale", [randn(3), torch.tensor([0.1])], {"type": Quant(storage="i8")}, "c3")
    rec.error("range", [randn(3)], {"type": Quant(storage="i8", qmin=-200, qmax=7)}, "c6")


def dequantize(rec):
    rec.op("dequantize")
    g = torch.Generator().manual_seed(3)

    def ints(dtype, *shape):
        low, high = bounds(dtype)
        return torch.randint(low, high + 1, shape, generator=g).to(dtype)

    for storage, scale, zero_point in (("i8", 0.0235, -3), ("u8", 0.05, 128), ("i16", 1e-3, 5), ("u16", 0.1, 40000), ("i8", 0.1, 127)):
        dtype = INTS[storage]
        rec.case(f"{storage}_{zero_point}", lambda q: qd.dequantize_per_tensor(q, scale, zero_point, *bounds(dtype), dtype),
                 [(ints(dtype, 5, 7), Quant(storage=storage, scale=scale, zero_point=zero_point))])
    small = torch.randint(-(2**23), 2**23, (3, 4), generator=g).to(torch.int32)
    rec.case("i32", lambda q: qd.dequantize_per_tensor(q, 3.5e-6, 0, *bounds(torch.int32), torch.int32),
             [(small, Quant(storage="i32", scale=3.5e-6))])
    for name, out in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        rec.case(f"to_{name}", lambda q: qd.dequantize_per_tensor(q, 0.25, 3, -128, 127, torch.int8, out_dtype=out),
                 [(ints(torch.int8, 4, 5), Quant(storage="i8", expressed=name, scale=0.25, zero_point=3))])
    x = ints(torch.int8, 3, 4, 5)
    for axis, n in ((0, 3), (1, 4), (2, 5)):
        scales = torch.rand(n, generator=g) * 0.1
        zeros = torch.randint(-128, 128, (n,), generator=g)
        rec.case(f"axis_{axis}", lambda q: qd.dequantize_per_channel(q, scales, zeros, axis, -128, 127, torch.int8),
                 [(x, Quant(storage="i8", axis=axis, scales=scales.tolist(), zero_points=zeros.tolist()))])
    scales = torch.rand(3, generator=g)
    rec.case("no_zero_points", lambda q: qd.dequantize_per_channel(q, scales, None, 0, -127, 127, torch.int8),
             [(x, Quant(storage="i8", qmin=-127, axis=0, scales=scales.tolist()))])
    table, zeros = ints(torch.uint8, 4, 6), torch.tensor([5.0, 145.714279, 0.25, 8.5714283])
    scales = torch.rand(4, generator=g)
    rec.case("float_zero_points", lambda q: qd.dequantize_per_channel(q, scales, zeros, 0, 0, 255, torch.uint8),
             [(table, Quant(storage="u8", axis=0, float=True, scales=scales.tolist(), zero_points=zeros.tolist()))])
    w = torch.randint(-8, 8, (4, 12), generator=g).to(torch.int8)
    scales, zeros = torch.rand(4, 3, generator=g), torch.randint(-8, 8, (4, 3), generator=g)
    q = Quant(storage="i8", qmin=-8, qmax=7, block=[1, 4], scales=scales.flatten().tolist(), zero_points=zeros.flatten().tolist())
    rec.case("groups", lambda v: qd.dequantize_per_channel_group(v, scales, zeros, -8, 7, torch.int8, 4, torch.float32), [(w, q)])
    rec.case("affine_blocks", lambda v: dequantize_affine(v, (1, 4), scales, zeros, torch.int8, -8, 7), [(w, q)])
    rows, zeros = torch.rand(4, 1, generator=g), torch.randint(-128, 128, (4, 1), generator=g)
    token = Quant(storage="i8", dynamic=True, block=[1, 0])
    rec.case("per_token", lambda v, s, z: qd.dequantize_per_token(v, s, z, -128, 127, torch.int8, torch.float32),
             [(ints(torch.int8, 4, 6), token), rows, zeros])
    token64 = Quant(storage="i8", dynamic=True, block=[1, 0], scale_dtype="f64")
    rec.case("per_token_f64", lambda v, s, z: qd.dequantize_per_token(v, s, z, -128, 127, torch.int8, torch.float32),
             [(ints(torch.int8, 4, 6), token64), rows.double(), zeros])
    rec.case("dynamic_tensor", lambda v, s, z: qd.dequantize_per_tensor.tensor(v, s, z, -128, 127, torch.int8),
             [(ints(torch.int8, 4, 6), Quant(storage="i8", dynamic=True)), torch.tensor([0.017], dtype=torch.float64), torch.tensor([-9])])
    f8 = randn(4, 5).to(torch.float8_e4m3fn)
    rec.case("f8e4m3", lambda v: v.float() * torch.tensor(0.125), [(f8, Quant(storage="f8e4m3", scale=0.125))])
    rec.error("plain", [ints(torch.int8, 3)], {}, "c1")
    rec.error("scales", [(ints(torch.int8, 3), Quant(storage="i8", axis=0, scales=[1.0]))], {}, "c5")


def fake_quantize(rec):
    rec.op("fake_quantize")

    def per_tensor(name, x, scale, zero_point, storage, qmin, qmax):
        rec.case(name, lambda x: torch.fake_quantize_per_tensor_affine(x, scale, zero_point, qmin, qmax), [x],
                 {"type": Quant(storage=storage, scale=scale, zero_point=zero_point, qmin=qmin, qmax=qmax)}, tol="value")

    finite = EDGES[EDGES.abs() < 1e9]
    per_tensor("u8", randn(4, 6), 0.05, 100, "u8", 0, 255)
    per_tensor("i8", randn(4, 6), 0.031, 0, "i8", -127, 127)
    per_tensor("edges", finite, 1.0, 3, "i8", -128, 127)
    per_tensor("nan", torch.tensor([NAN, 1.0]), 0.5, 3, "i8", -128, 127)
    per_tensor("infinite", torch.tensor([INF, 1.0]), 0.5, 3, "i8", -128, 127)
    per_tensor("ties_odd_zero_point", torch.arange(-4, 5) * 0.5, 1.0, 1, "i8", -128, 127)
    per_tensor("four_bits", randn(3, 5), 0.4, 8, "u8", 0, 15)
    x = randn(3, 4, 2)
    for axis, n in ((0, 3), (1, 4), (2, 2)):
        scales, zeros = torch.rand(n, generator=torch.Generator().manual_seed(n)) * 0.1 + 0.01, torch.arange(n, dtype=torch.int32) + 1
        rec.case(f"axis_{axis}", lambda x: torch.fake_quantize_per_channel_affine(x, scales, zeros, axis, -128, 127), [x],
                 {"type": Quant(storage="i8", axis=axis, scales=scales.tolist(), zero_points=zeros.tolist())}, tol="value")
    rec.case("operands", lambda x, s, z: torch.fake_quantize_per_tensor_affine(x, s, z, 0, 255),
             [randn(4, 6), torch.tensor([0.03]), torch.tensor([17], dtype=torch.int32)], {"type": Quant(storage="u8", dynamic=True)}, tol="value")
    rec.error("integers", [torch.arange(3)], {"type": Quant(storage="i8")}, "c2")


def choose_qparams(rec):
    rec.op("choose_qparams")

    def case(name, rule, call, x, quant, eps=0.0, scale="f64", zero="i64", keepdim=False, tol="exact"):
        rec.case(name, call, [x], {"type": Quant(dynamic=True, **quant), "rule": rule, "eps": eps, "scale_dtype": scale,
                                   "zero_point_dtype": zero, "keepdim": keepdim}, tol=tol)

    eps = 2.0**-12
    u8, i8 = dict(storage="u8"), dict(storage="i8")
    for name, x in (("plain", randn(4, 6)), ("positive", randn(4, 6).abs() + 1), ("negative", -randn(4, 6).abs() - 1),
                    ("zeros", torch.zeros(3)), ("tiny", randn(5) * 1e-6), ("single", torch.tensor([0.3])), ("f16", randn(5).half()),
                    ("bf16", randn(5).bfloat16())):
        case(f"minmax_{name}", "minmax", lambda x: qd.choose_qparams.tensor(x, 0, 255, eps, torch.uint8), x, u8, eps)
        case(f"symmetric_{name}", "symmetric", lambda x: qd.choose_qparams_symmetric.tensor(x, -127, 127, eps, torch.int8), x,
             dict(storage="i8", qmin=-127, qmax=127), eps)
    case("symmetric_u8", "symmetric", lambda x: qd.choose_qparams_symmetric.tensor(x, 0, 255, eps, torch.uint8), randn(9), u8, eps)
    case("minmax_i8", "minmax", lambda x: qd.choose_qparams.tensor(x, -128, 127, eps, torch.int8), randn(9), i8, eps)
    case("minmax_infinite", "minmax", lambda x: qd.choose_qparams.tensor(x, 0, 255, eps, torch.uint8), torch.tensor([1.0, INF]), u8, eps,
         tol=["exact", "skip"])
    token = dict(storage="i8", block=[1, 0])
    for name, x in (("plain", randn(4, 6)), ("zeros", torch.zeros(2, 3)), ("bf16", randn(3, 4).bfloat16()), ("f16", randn(3, 4).half())):
        dtype = {torch.bfloat16: "bf16"}.get(x.dtype, "f32")
        case(f"per_token_{name}", "per_token", lambda x: qd.choose_qparams_per_token(x, torch.int8), x, token, 1e-5, dtype, dtype, True)
    for name, x in (("plain", randn(4, 6)), ("zeros", torch.zeros(2, 3)), ("positive", randn(5, 4).abs()), ("one_sided", -randn(3, 7).abs() - 5),
                    ("many", randn(64, 9))):
        case(f"per_token_asymmetric_{name}", "per_token_asymmetric", lambda x: qd.choose_qparams_per_token_asymmetric(x, torch.int8), x,
             token, 2.0**-23, "f64", "i64", True)
    case("per_token_3d", "per_token_asymmetric", lambda x: qd.choose_qparams_per_token_asymmetric(x, torch.int8), randn(2, 3, 4),
         dict(storage="i8", block=[1, 1, 0]), 2.0**-23, "f64", "i64", True)
    rules = {"affine_asymmetric": MappingType.ASYMMETRIC, "affine_symmetric": MappingType.SYMMETRIC,
             "affine_symmetric_no_clipping": MappingType.SYMMETRIC_NO_CLIPPING_ERR}
    for rule, mapping in rules.items():
        for name, block, x in (("rows", (1, 8), randn(4, 8)), ("groups", (1, 4), randn(3, 8)), ("tensor", (4, 8), randn(4, 8)),
                               ("blocks", (2, 4), randn(4, 8)), ("zeros", (1, 4), torch.zeros(2, 4)), ("negative", (1, 4), -randn(3, 4).abs()),
                               ("cube", (1, 1, 6), randn(2, 3, 6)), ("single_row", (1, 8), randn(1, 8)), ("bf16", (1, 8), randn(4, 8).bfloat16())):
            quant = dict(storage="i8", qmin=-8, qmax=7, block=[0 if b == s and s != 1 else b for b, s in zip(block, x.shape)])
            for keepdim in (False, True):
                case(f"{rule}_{name}{'_keepdim' if keepdim else ''}", rule,
                     lambda x: choose_qparams_affine(x, mapping, block, torch.int8, -8, 7, eps=1e-6, scale_dtype=torch.float32,
                                                     zero_point_dtype=torch.int32, keepdim=keepdim), x, quant, 1e-6, "f32", "i32", keepdim)
    rec.error("rule", [randn(3)], {"type": Quant(storage="i8", dynamic=True), "rule": "mystery"}, "c7")
    rec.error("integers", [torch.arange(3)], {"type": Quant(storage="i8", dynamic=True)}, "c2")


def storage_cast(rec):
    rec.op("storage_cast")
    x = torch.tensor([[1, -2], [3, 127]], dtype=torch.int8)
    q = Quant(storage="i8", scale=0.5, zero_point=1)
    rec.case("into", lambda x: x, [x], {"type": q})
    rec.case("out_of", lambda x: x, [(x, q)], {})
    rec.case("into_axis", lambda x: x, [x], {"type": Quant(storage="i8", axis=1, scales=[0.5, 0.25], zero_points=[0, 3])})
    rec.case("out_of_bytes", lambda x: x, [(x.to(torch.uint8), Quant(storage="u8", scale=0.1, zero_point=255))], {})
    rec.case("into_half_expressed", lambda x: x, [x[:0]], {"type": Quant(storage="i8", expressed="f16", scale=2.0)})
    rec.error("storage", [x.to(torch.uint8)], {"type": q}, "c1")
    rec.error("plain", [x], {}, "c1")
    rec.error("scales", [x], {"type": Quant(storage="i8", axis=0, scales=[0.5])}, "c5")


rec = Recorder("quant")
quantize(rec)
dequantize(rec)
fake_quantize(rec)
choose_qparams(rec)
storage_cast(rec)
rec.write()
