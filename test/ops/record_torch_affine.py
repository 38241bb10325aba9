"""Records convolutions, linear and matrix products. Sums are compared with a tolerance: PyTorch adds in another order."""

import torch
import torch.nn.functional as F

from recording import Recorder

CLOSE = "abs 1e-5 rel 1e-5"


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + len(shape))).to(dtype)


def convolutions(rec):
    for rank, call, transpose in ((1, F.conv1d, F.conv_transpose1d), (2, F.conv2d, F.conv_transpose2d),
                                  (3, F.conv3d, F.conv_transpose3d)):
        size = {1: [9], 2: [6, 7], 3: [4, 5, 3]}[rank]
        kernel = {1: [3], 2: [3, 2], 3: [2, 3, 2]}[rank]
        ones = lambda v: [v] * rank
        rec.op(f"conv{rank}d")

        def forward(name, x, w, b, tol=CLOSE, **kw):
            attrs = {k: v for k, v in kw.items() if k != "padding" or not isinstance(v, str)}
            if isinstance(kw.get("padding"), str):
                attrs["pad_mode"] = kw["padding"]
            rec.case(name, lambda x, w, b: call(x, w, b, **kw), [x, w, b], attrs, tol=tol)

        x, b = randn(2, 4, *size), randn(6)
        forward("plain", x, randn(6, 4, *kernel), None)
        forward("padded", x, randn(6, 4, *kernel), b, stride=ones(2), padding=ones(1))
        forward("dilated", x, randn(6, 4, *kernel), b, dilation=[2] + ones(1)[1:], padding=ones(2))
        forward("groups", x, randn(6, 2, *kernel), b, groups=2, padding=ones(1))
        forward("depthwise", x, randn(8, 1, *kernel), None, groups=4, stride=ones(1))
        forward("same", x, randn(6, 4, *kernel), b, padding="same", dilation=ones(2))
        forward("valid", x, randn(6, 4, *kernel), b, padding="valid")
        forward("unbatched", x[0], randn(6, 4, *kernel), b, stride=ones(2))
        forward("f64", x.double(), randn(6, 4, *kernel).double(), b.double(), tol="abs 1e-12 rel 1e-12")
        forward("bf16", x.bfloat16(), randn(6, 4, *kernel).bfloat16(), b.bfloat16(), tol="abs 1e-2 rel 2e-2")
        rec.error("too_large", [x, randn(1, 4, size[0] + 1, *([1] * (rank - 1))), None], {}, "c7")
        rec.error("channels", [x, randn(6, 3, *kernel), None], {}, "c4")
        rec.error("groups_divide", [x, randn(5, 2, *kernel), None], {"groups": 2}, "c5")
        rec.error("bias", [x, randn(6, 4, *kernel), randn(5)], {}, "c8")
        rec.error("same_stride", [x, randn(6, 4, *kernel), None], {"pad_mode": "same", "stride": ones(2)}, "c10")
        rec.error("rank", [randn(2, 4), randn(6, 4, *kernel), None] if rank > 1 else [randn(4), randn(6, 4, 3), None], {}, "c1")

        rec.op(f"conv_transpose{rank}d")

        def backward(name, x, w, b, tol=CLOSE, **kw):
            rec.case(name, lambda x, w, b: transpose(x, w, b, **kw), [x, w, b], kw, tol=tol)

        backward("plain", x, randn(4, 6, *kernel), None)
        backward("strided", x, randn(4, 6, *kernel), b, stride=ones(2), padding=ones(1))
        backward("output_padding", x[:1, :, :3], randn(4, 2, *kernel), randn(2), stride=ones(3), output_padding=ones(2))
        backward("groups", x[:1], randn(4, 2, *kernel), randn(4), groups=2, dilation=ones(2), stride=ones(2))
        backward("unbatched", x[1], randn(4, 6, *kernel), b, padding=ones(1))
        rec.error("output_padding_large", [x, randn(4, 6, *kernel), None], {"output_padding": ones(1)}, "c11")
        rec.error("channels", [x, randn(3, 6, *kernel), None], {}, "c4")


def products(rec):
    rec.op("linear")
    w, b = randn(5, 7), randn(5)
    for name, x in (("matrix", randn(3, 7)), ("batch", randn(2, 3, 7)), ("vector", randn(7)), ("empty", randn(0, 7))):
        rec.case(name, F.linear, [x, w, b], tol=CLOSE)
    rec.case("no_bias", F.linear, [randn(3, 7), w, None], tol=CLOSE)
    rec.case("weight_vector", F.linear, [randn(3, 7), w[0].clone(), None], tol=CLOSE)
    rec.case("long", F.linear, [randn(2, 515), randn(3, 515), randn(3)], tol="abs 5e-5 rel 1e-5")
    rec.case("f16", F.linear, [randn(3, 7).half(), w.half(), b.half()], tol="abs 2e-3 rel 2e-3")
    rec.case("integers", F.linear, [torch.arange(14).view(2, 7), torch.arange(35).view(5, 7), torch.arange(5)])
    rec.error("features", [randn(3, 6), w, b], {}, "c2")
    rec.error("bias", [randn(3, 7), w, randn(4)], {}, "c4")
    rec.error("types", [randn(3, 7), w.double(), None], {}, "c5")

    rec.op("matmul")
    shapes = {"matrices": ((3, 4), (4, 5)), "vectors": ((6,), (6,)), "row": ((4,), (4, 5)), "column": ((3, 4), (4,)),
              "batches": ((2, 3, 4), (2, 4, 5)), "broadcast": ((2, 1, 3, 4), (5, 4, 2)), "batch_vector": ((2, 3, 4), (4,)),
              "vector_batch": ((3,), (2, 3, 4)), "empty_sum": ((2, 0), (0, 3)), "empty": ((0, 4), (4, 2))}
    for name, (left, right) in shapes.items():
        rec.case(name, torch.matmul, [randn(*left), randn(*right)], tol=CLOSE)
    rec.case("f64", torch.matmul, [randn(3, 40).double(), randn(40, 2).double()], tol="abs 1e-12 rel 1e-12")
    rec.case("i32", torch.matmul, [torch.tensor([[2**30, 3], [-5, 7]], dtype=torch.int32),
                                   torch.tensor([[4, 1], [2, -9]], dtype=torch.int32)])
    rec.case("u8", torch.matmul, [torch.tensor([[200, 3]], dtype=torch.uint8), torch.tensor([[7], [250]], dtype=torch.uint8)])
    rec.error("inner", [randn(3, 4), randn(5, 2)], {}, "c2")
    rec.error("batch", [randn(2, 3, 4), randn(3, 4, 5)], {}, "c3")
    rec.error("scalar", [randn(3, 4), torch.tensor(1.0)], {}, "c1")

    rec.op("addmm")
    a, m = randn(3, 4), randn(4, 5)
    for name, bias in (("row", randn(5)), ("full", randn(3, 5)), ("column", randn(3, 1)), ("scalar", torch.tensor(2.0))):
        rec.case(name, torch.addmm, [bias, a, m], tol=CLOSE)
    rec.case("scaled", lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=-2), [randn(5), a, m], {"beta": 0.5, "alpha": -2}, tol=CLOSE)
    rec.case("beta_zero", lambda b, x, y: torch.addmm(b, x, y, beta=0), [torch.full((5,), float("nan")), a, m], {"beta": 0}, tol=CLOSE)
    rec.case("integers", lambda b, x, y: torch.addmm(b, x, y, beta=2, alpha=3),
             [torch.arange(3), torch.arange(6).view(2, 3), torch.arange(9).view(3, 3)], {"beta": 2, "alpha": 3})
    rec.error("bias", [randn(4), a, m], {}, "c5")
    rec.error("rank", [randn(5), randn(2, 3, 4), m], {}, "c1")

    rec.op("baddbmm")
    a, m = randn(2, 3, 4), randn(2, 4, 5)
    for name, bias in (("row", randn(5)), ("full", randn(2, 3, 5)), ("batch", randn(2, 1, 1)), ("matrix", randn(3, 5))):
        rec.case(name, torch.baddbmm, [bias, a, m], tol=CLOSE)
    rec.case("scaled", lambda b, x, y: torch.baddbmm(b, x, y, beta=3, alpha=0.25), [randn(1, 3, 1), a, m], {"beta": 3, "alpha": 0.25}, tol=CLOSE)
    rec.error("batch", [randn(5), a, randn(3, 4, 5)], {}, "c3")

    rec.op("int_mm")
    g = torch.Generator().manual_seed(5)
    def ints(*shape):
        return torch.randint(-128, 128, shape, dtype=torch.int8, generator=g)
    for name, rows, depth, cols in (("wide", 17, 8, 16), ("deep", 20, 64, 8), ("square", 32, 32, 32)):
        rec.case(name, torch._int_mm, [ints(rows, depth), ints(depth, cols)])
    low = torch.full((17, 16), -128, dtype=torch.int8)
    rec.case("extremes", torch._int_mm, [low, low.t().contiguous()[:, :8].contiguous()])
    rec.case("one_column", lambda a, b: (a.int() @ b.int()), [ints(3, 5), ints(5, 1)])
    rec.error("types", [randn(17, 8), randn(8, 8)], {}, "c4")


rec = Recorder("affine")
convolutions(rec)
products(rec)
rec.write()
