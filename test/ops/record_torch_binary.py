"""Records arithmetic, comparison, logic and selection of two and three operands."""

import math

import torch
from recording import Recorder

torch.manual_seed(2)
aten = torch.ops.aten
INF, NAN = math.inf, math.nan
rec = Recorder("binary")

edge = torch.tensor([-INF, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, INF, NAN])
a_edges, b_edges = edge.repeat_interleave(len(edge)), edge.repeat(len(edge))
m23, m13, m21, v3 = torch.randn(2, 3) * 4, torch.randn(1, 3), torch.randn(2, 1), torch.randn(3)
t413 = torch.randn(4, 1, 3)
i8 = torch.tensor([-128, -100, -7, -1, 0, 1, 7, 100, 127], dtype=torch.int8)
i8b = torch.tensor([3, -3, 2, -1, 5, 7, -2, 127, -128], dtype=torch.int8)
u8 = torch.tensor([0, 1, 7, 100, 128, 200, 255, 3, 9], dtype=torch.uint8)
i32 = torch.tensor([-(2**31), -7, -1, 0, 1, 7, 2**31 - 1, 12345, -12345], dtype=torch.int32)
i64 = torch.tensor([-(2**63), -7, -1, 0, 1, 7, 2**63 - 1, 12345, -12345])
bools = torch.tensor([True, False, True, False, False, True, True, False, True])


def broadcasting(call, tol="exact", attrs=None):
    rec.case("vector", call, [m23, v3], attrs, tol)
    rec.case("outer", call, [m21, m13], attrs, tol)
    rec.case("rank", call, [t413, m21], attrs, tol)
    rec.case("zero_dims", call, [m23, torch.tensor(0.7)], attrs, tol)
    rec.case("empty", call, [torch.empty(0, 3), m13], attrs, tol)
    rec.error("shapes", [m23, torch.randn(2)], attrs or {}, "c1")


def promoting(call, tol="exact", attrs=None, bool_too=True, nonzero=False):
    """Types that meet: the category decides between tensors and numbers."""
    one = (lambda x: torch.where(x == 0, torch.ones_like(x), x)) if nonzero else (lambda x: x)
    rec.case("i8_u8", call, [i8, one(u8)], attrs, tol)
    rec.case("i8_i32", call, [i8, one(i32)], attrs, tol)
    rec.case("i32_f32", call, [i32, torch.linspace(-2, 2, 9) + 0.1], attrs, tol)
    rec.case("i64_number", call, [i64, 3], attrs, tol)
    rec.case("i32_float_number", call, [i32, 1.5], attrs, tol)
    rec.case("i8_wide_number", call, [i8, 1000], attrs, tol)
    rec.case("number_first", call, [torch.tensor(7), one(i8)], attrs, tol)
    rec.case("i32_zero_dim_i64", call, [i32, torch.tensor(2**33 + 5)], attrs, tol)
    rec.case("f32_zero_dim_f64", call, [m23, torch.tensor(0.3, dtype=torch.float64)], attrs, tol)
    rec.case("f64_number", call, [m23.double(), 0.1], attrs, tol if tol != "ulp 2" else "ulp 2")
    if bool_too:
        rec.case("bool_i64", call, [bools, one(i64)], attrs, tol)


def halves(call, attrs=None, tol="exact"):
    rec.case("f16", call, [m23.half(), m13.half()], attrs, tol)
    rec.case("bf16", call, [m23.bfloat16(), m13.bfloat16()], attrs, tol)
    rec.case("f16_number", call, [m23.half(), 1.5], attrs, tol)
    rec.case("f16_bf16", call, [m23.half(), m13.bfloat16()], attrs, tol)
    rec.case("f16_f32", call, [m23.half(), m13], attrs, tol)


for name, call in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul)]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges])
    broadcasting(call)
    promoting(call, bool_too=name != "sub")
    halves(call)
    rec.case("wrap", call, [i8, i8b])
    rec.case("wrap64", call, [i64, i64])
    if name != "mul":
        rec.case("alpha", lambda a, b: call(a, b, alpha=2), [m23, v3], {"alpha": 2})
        rec.case("alpha_float", lambda a, b: call(a, b, alpha=0.3), [m23, v3], {"alpha": 0.3}, "abs 1e-6 rel 1e-6")
        rec.case("alpha_integers", lambda a, b: call(a, b, alpha=-3), [i8, i8b], {"alpha": -3})
        rec.error("float_alpha_of_integers", [i8, i8b], {"alpha": 0.5}, "c3")
rec.op("add")
rec.case("bools", torch.add, [bools, ~bools])
rec.case("bool_number", torch.add, [bools, 1])
rec.case("clamped", lambda a, b: torch.clamp(a + b, -1.0, 2.0), [m23, v3], {"act_min": -1.0, "act_max": 2.0})
rec.op("mul")
rec.case("bools", torch.mul, [bools, ~bools])
rec.case("number_of_bool", torch.mul, [m23, True])
rec.case("clamped", lambda a, b: torch.clamp(a * b, 0.0), [m23, v3], {"act_min": 0.0})

rec.op("div")
rec.case("edges", torch.div, [a_edges, b_edges])
broadcasting(torch.div)
promoting(torch.div)
halves(torch.div)
for mode in ("floor", "trunc"):
    def div(a, b):
        return torch.div(a, b, rounding_mode=mode)
    attrs = {"rounding_mode": mode}
    rec.case(mode + "_edges", div, [a_edges, b_edges], attrs)
    rec.case(mode + "_noise", div, [m23 * 10, m13], attrs)
    rec.case(mode + "_near", div, [torch.arange(1, 40) * 0.1, torch.tensor(0.1)], attrs)
    rec.case(mode + "_i8", div, [i8, i8b], attrs)
    rec.case(mode + "_i64", div, [i64[1:], torch.where(i64 == 0, 5, i64)[:-1]], attrs)
    rec.case(mode + "_number", div, [i32, -7], attrs)
    rec.case(mode + "_half", div, [(m23 * 10).half(), m13.half()], attrs)
    rec.error(mode + "_zero", [i8, torch.zeros(1, dtype=torch.int8)], attrs, "run.zero")
rec.error("other_mode", [m23, m13], {"rounding_mode": "ceil"}, "c3")

for name, call in [("floor_divide", torch.floor_divide), ("remainder", torch.remainder), ("fmod", torch.fmod)]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges], None, "value" if name == "fmod" else "exact")
    rec.case("i8", call, [i8, i8b])
    rec.case("u8", call, [u8, torch.where(u8 == 0, 3, u8).flip(0)])
    rec.case("i64", call, [i64[1:], torch.where(i64 == 0, 5, i64)[:-1]])
    rec.case("number", call, [i32, -7])
    rec.case("float_number", call, [m23 * 10, 0.7])
    broadcasting(call)
    rec.case("f16", call, [(m23 * 10).half(), m13.half()])
    rec.case("f64", call, [(m23 * 10).double(), m13.double()])
    rec.error("zero", [i8, torch.zeros(1, dtype=torch.int8)], {}, "run.zero")

rec.op("pow")
positive = torch.tensor([0.0, 0.3, 1.0, 2.0, 7.5, INF, NAN])
for e in (0, 1, 2, 3, 0.5, -0.5, -1, -2, 2.5, 4, -3.25, 1.5):
    # torch has a vector form for general exponents
    rec.case(f"number_{e}", torch.pow, [torch.cat([edge, m23.flatten()]), e], None,
             "exact" if e in (0, 1, 2, 3, 0.5, -1, -2) else "ulp 2")
rec.case("tensors", torch.pow, [a_edges, b_edges], None, "ulp 2")
rec.case("f64", torch.pow, [positive.double(), torch.tensor(1.7, dtype=torch.float64)], None, "ulp 2")
rec.case("scalar_base", torch.pow, [2, m23], None, "ulp 2")
rec.case("scalar_base_float", torch.pow, [0.5, i8.abs()[2:]], None, "ulp 2")
rec.case("integers", torch.pow, [i64, torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8])])
rec.case("i8_wraps", torch.pow, [i8, 3])
rec.case("integers_negative", torch.pow, [torch.tensor([2, 1, -1, -1, 0, 5]), torch.tensor([-1, -5, -2, -3, 2, -2])])
rec.case("integers_float", torch.pow, [i8, 0.5], None, "ulp 2")
rec.case("f16", torch.pow, [m23.half().abs(), 1.5], None, "ulp 1")
rec.case("bf16_square", torch.pow, [m23.bfloat16(), 2], None, "exact")
rec.error("integers_to_negative_number", [i64, -1], {}, "run.power")

for name, call, tol in [("atan2", torch.atan2, "ulp 4"), ("hypot", torch.hypot, "ulp 1"), ("copysign", torch.copysign, "exact"),
                        ("xlogy", torch.xlogy, "ulp 2"), ("logaddexp", torch.logaddexp, "abs 1e-7 rel 1e-6"),
                        ("logaddexp2", torch.logaddexp2, "abs 1e-7 rel 1e-6")]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges], None, tol)
    broadcasting(call, tol)
    rec.case("f64", call, [m23.double(), m13.double()], None, "abs 1e-15 rel 1e-14" if tol != "exact" else tol)
    if name in ("atan2", "copysign", "xlogy"):
        rec.case("integers", call, [i8, i8b], None, tol)
        rec.case("number", call, [m23.abs(), 2.5], None, tol) if name != "atan2" else None
    rec.case("f16", call, [m23.half(), m13.half()], None, "ulp 1") if name in ("atan2", "copysign", "xlogy", "hypot") else None

rec.op("addcmul")
rec.case("floats", lambda a, b, c: torch.addcmul(a, b, c, value=0.5), [m23, m13, m21], {"value": 0.5}, "abs 1e-6 rel 1e-6")
rec.case("default", torch.addcmul, [m23, m13, m21], {}, "abs 1e-6 rel 1e-6")
rec.case("integers", lambda a, b, c: torch.addcmul(a, b, c, value=3), [i64, i64, i64], {"value": 3})
rec.case("f64", lambda a, b, c: torch.addcmul(a, b, c, value=-2), [m23.double(), m13.double(), m21.double()], {"value": -2}, "abs 1e-14 rel 1e-14")
rec.case("f16", torch.addcmul, [m23.half(), m13.half(), m21.half()], {}, "abs 0.002 rel 0.002")
rec.op("addcdiv")
rec.case("floats", lambda a, b, c: torch.addcdiv(a, b, c, value=0.5), [m23, m13, m21], {"value": 0.5}, "abs 1e-6 rel 1e-6")
rec.case("default", torch.addcdiv, [m23, m13, m21], {}, "abs 1e-6 rel 1e-6")
rec.case("f64", lambda a, b, c: torch.addcdiv(a, b, c, value=-2), [m23.double(), m13.double(), m21.double()], {"value": -2}, "abs 1e-14 rel 1e-13")
rec.case("zero", torch.addcdiv, [m23, m23, torch.zeros(1)])
rec.case("f16", torch.addcdiv, [m23.half(), m13.half(), m21.half()], {}, "abs 0.002 rel 0.002")
rec.op("lerp")
for w in (0.0, 0.25, 0.5, 0.75, 1.0, -1.5):
    rec.case(f"weight_{w}", torch.lerp, [m23, m23.flip(0), w], {}, "abs 1e-6 rel 1e-6")
rec.case("tensor_weight", torch.lerp, [m23, m23.flip(0), torch.rand(2, 3)], {}, "abs 1e-6 rel 1e-6")

rec.op("prelu")
image = torch.randn(2, 3, 2, 2)
rec.case("one", torch.prelu, [image, torch.tensor([0.3])])
rec.case("channels", torch.prelu, [image, torch.tensor([0.3, -0.5, 2.0])])
rec.case("matrix", torch.prelu, [m23, torch.tensor([0.3, -0.5, 2.0])])
rec.case("vector", torch.prelu, [edge, torch.tensor([0.25])])
rec.case("f16", torch.prelu, [image.half(), torch.tensor([0.3, -0.5, 2.0]).half()], {}, "exact")
rec.case("aligned", lambda x, w: aten._prelu_kernel(x, w), [image, torch.tensor([0.3, -0.5, 2.0]).reshape(1, 3, 1, 1)])
rec.case("zero_dims", torch.prelu, [torch.tensor(-2.0), torch.tensor(0.5)])
rec.error("count", [image, torch.tensor([0.3, 0.1])], {}, "c2")
rec.error("integers", [i8, torch.tensor([0.3])], {}, "c1")

rec.op("heaviside")
rec.case("edges", torch.heaviside, [a_edges, b_edges], None, "value")
rec.case("zeros", torch.heaviside, [torch.tensor([0.0, -0.0, 1.0, -1.0]), torch.tensor([0.5, -3.0, 9.0, 9.0])])
rec.case("broadcast", torch.heaviside, [m23, torch.tensor(0.25)])
rec.case("i8", torch.heaviside, [i8, i8b])
rec.case("f16", torch.heaviside, [m23.half(), m13.half()])
for name, call in [("maximum", torch.maximum), ("minimum", torch.minimum), ("fmax", torch.fmax), ("fmin", torch.fmin)]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges], None, "value")
    broadcasting(call)
    rec.case("i8", call, [i8, i8b])
    rec.case("i8_u8", call, [i8, u8])
    rec.case("f16", call, [m23.half(), m13.half()])
    rec.case("i32_f32", call, [i32, torch.linspace(-2, 2, 9)])
    rec.case("bools", call, [bools, ~bools])

rec.op("clamp_tensor")
rec.case("both", torch.clamp, [m23, v3 - 1, v3 + 1])
rec.case("min_only", lambda x, l, h: torch.clamp(x, min=l), [m23, m13, None])
rec.case("max_only", lambda x, l, h: torch.clamp(x, max=h), [m23, None, m21])
rec.case("edges", torch.clamp, [a_edges, b_edges, b_edges.flip(0)], None, "value")
rec.case("integers", torch.clamp, [i64, torch.tensor(-5), torch.tensor(9)])
rec.case("promote", torch.clamp, [i8, torch.tensor([0.5]), torch.tensor([50.5])])
rec.error("none", [m23, None, None], {}, "c3")

rec.op("where")
mask = m23 > 0
rec.case("same", torch.where, [mask, m23, m23 * 2])
rec.case("broadcast", torch.where, [mask, m13, m21])
rec.case("number", torch.where, [mask, m23, -1e9])
rec.case("numbers", torch.where, [mask, 1, 0])
rec.case("promote", torch.where, [mask, m23.half(), m13])
rec.case("integers", torch.where, [bools, i8, i32])
rec.case("bools", torch.where, [bools, bools, ~bools])
rec.case("edges", torch.where, [edge > 0, edge, -edge])
rec.error("mask", [m23, m23, m23], {}, "c3")

rec.op("masked_fill")
rec.case("number", torch.masked_fill, [m23, mask, -INF])
rec.case("broadcast_mask", torch.masked_fill, [m23, torch.tensor([True, False, True]), 0.5])
rec.case("tensor", torch.masked_fill, [m23, mask, torch.tensor(7.5)])
rec.case("integers", torch.masked_fill, [i8, bools, 5])
rec.case("f16", torch.masked_fill, [m23.half(), mask, -65504.0])
rec.case("bools", torch.masked_fill, [bools, ~bools, True])
rec.error("vector", [m23, mask, v3], {}, "c3")
rec.error("mask", [m23, m23, 1.0], {}, "c2")

rec.op("copy")
rec.case("cast", aten.copy, [m23, torch.tensor([[1], [2]], dtype=torch.int32)])
rec.case("narrow", aten.copy, [torch.zeros(2, 3, dtype=torch.int8), m23])
rec.case("same", aten.copy, [m23, m23 + 1])
rec.case("vector", aten.copy, [m23, v3])
rec.case("zero_dims", aten.copy, [torch.tensor(1.0), torch.tensor(5)])
rec.error("large", [v3, m23], {}, "c1")
rec.op("fill")
rec.case("tensor", aten.fill.Tensor, [m23, torch.tensor(3.5)])
rec.case("cast", aten.fill.Tensor, [i8, torch.tensor(3.75)])
rec.case("number", aten.fill.Scalar, [m23, 2])
rec.case("bool", aten.fill.Scalar, [bools, 2])
rec.case("empty", aten.fill.Scalar, [torch.empty(0, 2), 2])

for name, call in [("bitwise_and", torch.bitwise_and), ("bitwise_or", torch.bitwise_or), ("bitwise_xor", torch.bitwise_xor)]:
    rec.op(name)
    rec.case("i8", call, [i8, i8b])
    rec.case("u8_i8", call, [u8, i8])
    rec.case("i64_number", call, [i64, 6])
    rec.case("bools", call, [bools, ~bools])
    rec.case("bool_i32", call, [bools, i32])
    rec.case("broadcast", call, [i64.reshape(3, 3), torch.tensor([[1], [2], [3]])])
    rec.error("float", [m23, m13], {}, "c3")
for name, call in [("bitwise_left_shift", torch.bitwise_left_shift), ("bitwise_right_shift", torch.bitwise_right_shift)]:
    rec.op(name)
    for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64):
        x = torch.tensor([-100, -1, 0, 1, 77, 127]).to(dtype)
        for by in (0, 1, 3, 7, 8, 15, 31, 63):
            if by < 2 ** 7:
                rec.case(f"{str(dtype)[6:]}_{by}", call, [x, torch.tensor(by).to(dtype)])
    rec.case("negative", call, [torch.tensor([5, -5]), torch.tensor([-1, -1])])

for name, call in [("eq", torch.eq), ("ne", torch.ne), ("lt", torch.lt), ("le", torch.le), ("gt", torch.gt), ("ge", torch.ge)]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges])
    broadcasting(call)
    rec.case("i8_u8", call, [i8, u8])
    rec.case("i64", call, [i64, i64.flip(0)])
    rec.case("i8_wide_number", call, [i8, 100])
    rec.case("i64_float_number", call, [i64, 0.5])
    rec.case("f16_number", call, [torch.tensor([0.1, 0.0999, 0.1001]).half(), 0.1])
    rec.case("i32_f32", call, [torch.tensor([16777217], dtype=torch.int32), torch.tensor([16777216.0])])
    rec.case("bools", call, [bools, ~bools])
for name, call in [("logical_and", torch.logical_and), ("logical_or", torch.logical_or), ("logical_xor", torch.logical_xor)]:
    rec.op(name)
    rec.case("edges", call, [a_edges, b_edges])
    broadcasting(call)
    rec.case("bools", call, [bools, bools.flip(0)])
    rec.case("mixed", call, [i8, bools])
    rec.case("f16_i64", call, [torch.linspace(-1, 1, 9).half(), i64])
rec.write()
