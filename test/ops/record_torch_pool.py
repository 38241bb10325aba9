"""Records pooling and windows as columns."""

import math

import torch
import torch.nn.functional as F
from recording import Recorder

torch.manual_seed(5)
aten = torch.ops.aten
INF, NAN = math.inf, math.nan
rec = Recorder("pool")
line, image, volume = torch.randn(2, 2, 9), torch.randn(1, 2, 7, 6), torch.randn(1, 1, 5, 5, 4)
SUMS = "abs 1e-6 rel 1e-6"


def by_rank(rank):
    return {1: line, 2: image, 3: volume}[rank]


MAX = [  # kernel, stride, padding, dilation, ceil_mode
    (2, None, 0, 1, False), (3, 2, 1, 1, False), (3, 2, 0, 1, True), (3, 1, 1, 2, False), (2, 3, 0, 1, True), (2, 2, 1, 1, True), (3, 3, 1, 1, True),
    (5, 1, 2, 1, False), (1, 4, 0, 1, True),
]
for rank in (1, 2, 3):
    x = by_rank(rank)
    call = {1: aten.max_pool1d.default, 2: aten.max_pool2d.default, 3: aten.max_pool3d.default}[rank]
    indexed = {1: torch.max_pool1d_with_indices, 2: aten.max_pool2d_with_indices, 3: aten.max_pool3d_with_indices}[rank]
    for name, f in ((f"max_pool{rank}d", call), (f"max_pool{rank}d_with_indices", indexed)):
        rec.op(name)
        for k, s, p, d, ceil in MAX:
            window = (k - 1) * d + 1
            if window > min(x.shape[2:]) + 2 * p:
                continue
            attrs = {"kernel_size": [k], "stride": [s] if s else None, "padding": [p], "dilation": [d], "ceil_mode": ceil}
            rec.case(f"k{k}_s{s}_p{p}_d{d}_{ceil}", lambda t: f(t, [k] * rank, [s] * rank if s else [], [p] * rank, [d] * rank, ceil), [x], attrs)
        lists = {"kernel_size": [2, 3, 2][:rank], "stride": [1, 2, 3][:rank], "padding": [1, 1, 0][:rank]}
        rec.case("lists", lambda t: f(t, lists["kernel_size"], lists["stride"], lists["padding"]), [x], lists)
        rec.case("unbatched", lambda t: f(t, [2] * rank), [x[0]], {"kernel_size": [2]})
        rec.case("f64", lambda t: f(t, [2] * rank), [x.double()], {"kernel_size": [2]})
        rec.case("bf16", lambda t: f(t, [2] * rank), [x.bfloat16()], {"kernel_size": [2]})
        special = x.clone()
        special.view(-1)[::7], special.view(-1)[3::11] = -INF, NAN
        rec.case("special", lambda t: f(t, [2] * rank, [2] * rank, [1] * rank), [special], {"kernel_size": [2], "stride": [2], "padding": [1]})
        rec.case("minus_infinity", lambda t: f(t, [2] * rank, [2] * rank, [1] * rank), [torch.full_like(x, -INF)],
                 {"kernel_size": [2], "stride": [2], "padding": [1]})
        rec.case("ties", lambda t: f(t, [3] * rank, [2] * rank), [x.round().clamp(0, 1).abs()], {"kernel_size": [3], "stride": [2]}, "value")
        rec.error("rank", [torch.randn(3)], {"kernel_size": [2]}, "c1")
        rec.error("lists", [x], {"kernel_size": [2] * (rank + 1 if rank > 1 else 2)}, "c2")
        rec.error("padding", [x], {"kernel_size": [2], "padding": [2]}, "c3")
        rec.error("stride", [x], {"kernel_size": [2], "stride": [0]}, "c3")
        rec.error("small", [x[..., :1]], {"kernel_size": [2]}, "c4")
rec.op("max_pool2d")
rec.case("i64", lambda t: F.max_pool2d(t, 2), [(image * 10).long()], {"kernel_size": [2]})
rec.case("u8", lambda t: F.max_pool2d(t, 2), [(image * 10).abs().to(torch.uint8)], {"kernel_size": [2]})
rec.case("ceil_6", lambda t: F.max_pool2d(t, 3, 2, ceil_mode=True), [torch.randn(1, 1, 6, 6)], {"kernel_size": [3], "stride": [2], "ceil_mode": True})
rec.case("ceil_5_p1", lambda t: F.max_pool2d(t, 2, 2, 1, ceil_mode=True), [torch.randn(1, 1, 5, 5)], {"kernel_size": [2], "stride": [2], "padding": [1], "ceil_mode": True})
rec.case("no_batch", lambda t: F.max_pool2d(t, 2), [torch.empty(0, 2, 4, 4)], {"kernel_size": [2]})

AVG = [(2, None, 0, False, True), (3, 2, 1, False, True), (3, 2, 1, True, True), (3, 2, 1, True, False), (3, 1, 1, False, False), (2, 3, 0, True, True), (1, 4, 0, True, True)]
for rank in (1, 2, 3):
    x = by_rank(rank)
    f = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[rank]
    rec.op(f"avg_pool{rank}d")
    for k, s, p, ceil, include in AVG:
        attrs = {"kernel_size": [k], "stride": [s] if s else None, "padding": [p], "ceil_mode": ceil, "count_include_pad": include}
        rec.case(f"k{k}_s{s}_p{p}_{ceil}_{include}", lambda t: f(t, k, s, p, ceil, include), [x], attrs, SUMS)
        if rank > 1:
            rec.case(f"k{k}_s{s}_p{p}_{ceil}_{include}_divisor", lambda t: f(t, k, s, p, ceil, include, 5), [x], {**attrs, "divisor_override": 5}, SUMS)
    rec.case("unbatched", lambda t: f(t, 2), [x[0]], {"kernel_size": [2]}, SUMS)
    rec.case("f64", lambda t: f(t, 2), [x.double()], {"kernel_size": [2]}, "abs 1e-15 rel 1e-14")
    if rank < 3:
        rec.case("bf16", lambda t: f(t, 2), [x.bfloat16()], {"kernel_size": [2]}, "abs 1e-2 rel 1.6e-2")
    rec.case("large_window", lambda t: f(t, 4), [x], {"kernel_size": [4]}, SUMS)
    rec.error("padding", [x], {"kernel_size": [2], "padding": [2]}, "c3")
    if rank > 1:
        rec.error("divisor", [x], {"kernel_size": [2], "divisor_override": 0}, "c6")
rec.op("avg_pool1d")
rec.case("ceil_border", lambda t: F.avg_pool1d(t, 3, 2, 1, True), [torch.arange(1.0, 8).reshape(1, 1, 7)], {"kernel_size": [3], "stride": [2], "padding": [1], "ceil_mode": True}, SUMS)
rec.case("ceil_border_inside", lambda t: F.avg_pool1d(t, 3, 2, 1, True, False), [torch.arange(1.0, 8).reshape(1, 1, 7)],
         {"kernel_size": [3], "stride": [2], "padding": [1], "ceil_mode": True, "count_include_pad": False}, SUMS)
rec.op("avg_pool2d")
rec.case("i64", lambda t: F.avg_pool2d(t, 2), [(image * 10).long()], {"kernel_size": [2]})

for rank in (1, 2, 3):
    x = by_rank(rank)
    rec.op(f"adaptive_avg_pool{rank}d")
    f = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[rank]
    for size in (1, 2, 3, 4, 7):
        rec.case(f"{size}", lambda t: f(t, size), [x], {"output_size": [size]}, SUMS)
    rec.case("list", lambda t: f(t, [3, 2, 4][:rank]), [x], {"output_size": [3, 2, 4][:rank]}, SUMS)
    rec.case("unbatched", lambda t: f(t, 2), [x[0]], {"output_size": [2]}, SUMS)
    rec.case("f64", lambda t: f(t, 2), [x.double()], {"output_size": [2]}, "abs 1e-15 rel 1e-13")
    rec.case("f16", lambda t: f(t, 2), [x.half()], {"output_size": [2]}, "abs 1e-3 rel 2e-3")
    rec.error("rank", [torch.randn(3)], {"output_size": [2]}, "c1")
    rec.error("size", [x], {"output_size": [2] * (rank + 1)}, "c2")
    rec.error("negative", [x], {"output_size": [-1]}, "c3")
    rec.op(f"adaptive_max_pool{rank}d")
    g = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}[rank]
    for size in (1, 2, 3, 4, 7):
        rec.case(f"{size}", lambda t: g(t, size, True), [x], {"output_size": [size]})
    rec.case("list", lambda t: g(t, [3, 2, 4][:rank], True), [x], {"output_size": [3, 2, 4][:rank]})
    rec.case("unbatched", lambda t: g(t, 2, True), [x[0]], {"output_size": [2]})
    special = x.clone()
    special.view(-1)[::9] = NAN
    rec.case("special", lambda t: g(t, 2, True), [special], {"output_size": [2]})
    rec.case("ties", lambda t: g(t, 2, True), [torch.ones_like(x)], {"output_size": [2]})

COLUMNS = [((2, 2), (1, 1), (0, 0), (1, 1)), ((3, 2), (1, 1), (1, 1), (2, 1)), ((2, 3), (2, 1), (1, 0), (1, 2)), ((1, 1), (1, 1), (0, 0), (3, 3)), ((4, 4), (1, 1), (2, 2), (4, 4))]
rec.op("im2col")
for k, d, p, s in COLUMNS:
    attrs = {"kernel_size": k, "dilation": d, "padding": p, "stride": s}
    rec.case(f"{k[0]}{k[1]}_{d[0]}{p[0]}{s[0]}", lambda t: aten.im2col(t, k, d, p, s), [image], attrs)
rec.case("unbatched", lambda t: aten.im2col(t, [2, 2], [1, 1], [0, 0], [2, 2]), [image[0]], {"kernel_size": [2, 2], "dilation": [1, 1], "padding": [0, 0], "stride": [2, 2]})
rec.case("f16", lambda t: aten.im2col(t, [2, 2], [1, 1], [0, 0], [2, 2]), [image.half()], {"kernel_size": [2, 2], "dilation": [1, 1], "padding": [0, 0], "stride": [2, 2]})
rec.op("col2im")
for k, d, p, s in COLUMNS:
    attrs = {"output_size": [7, 6], "kernel_size": k, "dilation": d, "padding": p, "stride": s}
    rec.case(f"{k[0]}{k[1]}_{d[0]}{p[0]}{s[0]}", lambda t: aten.col2im(t, [7, 6], k, d, p, s), [aten.im2col(image, k, d, p, s)], attrs, SUMS)
rec.error("columns", [torch.randn(1, 8, 5)], {"output_size": [4, 4], "kernel_size": [2, 2], "stride": [2, 2]}, "c4")
rec.error("rows", [torch.randn(1, 7, 4)], {"output_size": [4, 4], "kernel_size": [2, 2], "stride": [2, 2]}, "c4")
rec.write()
