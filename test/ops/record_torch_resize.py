"""Records interpolation and sampling on a grid."""

import math

import torch
import torch.nn.functional as F
from recording import Recorder

torch.manual_seed(6)
aten = torch.ops.aten
rec = Recorder("resize")
line, image, volume = torch.randn(2, 2, 5), torch.randn(1, 2, 4, 5), torch.randn(1, 1, 3, 4, 2)
TOL = "abs 2e-6 rel 2e-6"


def by_rank(rank):
    return {1: line, 2: image, 3: volume}[rank]


# In two dims torch takes another rule where the output is as large as the input, or twice as large, if both are small;
# factors such as 1.1 and 2.1 on few elements are recorded for one and three dims only.
SIZES = {1: [[5], [10], [3], [7], [1], [12]], 2: [[4, 5], [8, 10], [3, 7], [1, 1], [9, 2]], 3: [[3, 4, 2], [6, 8, 4], [2, 5, 3], [1, 1, 1]]}
SCALES = {1: [[2.0], [2.5], [0.5], [1.7], [1.1], [2.1]], 2: [[2.0, 2.0], [2.5, 1.3], [0.6, 0.5], [1.0, 3.0]], 3: [[2.0, 2.0, 2.0], [1.5, 0.7, 2.3]]}

for rank in (1, 2, 3):
    x = by_rank(rank)
    for name, f in ((f"upsample_nearest{rank}d", getattr(aten, f"upsample_nearest{rank}d").vec),
                    (f"upsample_nearest_exact{rank}d", getattr(aten, f"_upsample_nearest_exact{rank}d").vec)):
        rec.op(name)
        for size in SIZES[rank]:
            rec.case("size_" + "_".join(map(str, size)), lambda t: f(t, size, None), [x], {"output_size": size})
        for scale in SCALES[rank]:
            rec.case("scale_" + "_".join(map(str, scale)), lambda t: f(t, None, scale), [x], {"scale_factors": scale})
        rec.case("f64", lambda t: f(t, SIZES[rank][2], None), [x.double()], {"output_size": SIZES[rank][2]})
        rec.case("bf16", lambda t: f(t, SIZES[rank][2], None), [x.bfloat16()], {"output_size": SIZES[rank][2]})
        rec.case("u8", lambda t: f(t, SIZES[rank][2], None), [(x.abs() * 20).to(torch.uint8)], {"output_size": SIZES[rank][2]})
        rec.error("neither", [x], {}, "c2")
        rec.error("rank", [x[0]], {"output_size": SIZES[rank][0]}, "c1")
        rec.error("count", [x], {"output_size": SIZES[rank][0] + [2]}, "c2")
        rec.error("zero", [x], {"output_size": [0] * rank}, "c3")
# Both a size and scale factors: the factors say where.
rec.op("upsample_nearest2d")
rec.case("both", lambda t: aten.upsample_nearest2d(t, [7, 9], 1.9, 1.9), [image], {"output_size": [7, 9], "scale_factors": [1.9, 1.9]})

LINEAR = {1: "linear1d", 2: "bilinear2d", 3: "trilinear3d"}
for rank in (1, 2, 3):
    x = by_rank(rank)
    f = getattr(aten, "upsample_" + LINEAR[rank]).vec
    rec.op("upsample_" + LINEAR[rank])
    for align in (False, True):
        for size in SIZES[rank]:
            rec.case(f"size_{'_'.join(map(str, size))}_{align}", lambda t: f(t, size, align, None), [x], {"output_size": size, "align_corners": align}, TOL)
        for scale in SCALES[rank]:
            rec.case(f"scale_{'_'.join(map(str, scale))}_{align}", lambda t: f(t, None, align, scale), [x], {"scale_factors": scale, "align_corners": align}, TOL)
    rec.case("f64", lambda t: f(t, SIZES[rank][2], False, None), [x.double()], {"output_size": SIZES[rank][2]}, "abs 1e-14 rel 1e-14")
    rec.case("f16", lambda t: f(t, SIZES[rank][2], False, None), [x.half()], {"output_size": SIZES[rank][2]}, "abs 2e-3 rel 2e-3")
    rec.error("integers", [torch.ones(x.shape, dtype=torch.int32)], {"output_size": SIZES[rank][0]}, "c4")
# 5 -> 12 at 2.5 steps 0.4, not 5 / 12.
rec.op("upsample_linear1d")
rec.case("given_scale", lambda t: aten.upsample_linear1d.vec(t, None, False, [2.5]), [torch.arange(5.0).reshape(1, 1, 5)], {"scale_factors": [2.5]}, TOL)

rec.op("upsample_bicubic2d")
f = aten.upsample_bicubic2d.vec
for align in (False, True):
    for size in SIZES[2]:
        rec.case(f"size_{'_'.join(map(str, size))}_{align}", lambda t: f(t, size, align, None), [image], {"output_size": size, "align_corners": align}, TOL)
    for scale in SCALES[2]:
        rec.case(f"scale_{'_'.join(map(str, scale))}_{align}", lambda t: f(t, None, align, scale), [image], {"scale_factors": scale, "align_corners": align}, TOL)
rec.case("f64", lambda t: f(t, [3, 7], False, None), [image.double()], {"output_size": [3, 7]}, "abs 1e-13 rel 1e-13")

rec.op("grid_sampler")
two = torch.randn(2, 2, 4, 5)
grid = torch.rand(2, 3, 4, 2) * 3 - 1.5
cube, cube_grid = torch.randn(1, 2, 3, 4, 5), torch.rand(1, 2, 3, 2, 3) * 3 - 1.5
for mode, mode_name in enumerate(("bilinear", "nearest", "bicubic")):
    for pad, pad_name in enumerate(("zeros", "border", "reflection")):
        for align in (False, True):
            attrs = {"interpolation_mode": mode, "padding_mode": pad, "align_corners": align}
            rec.case(f"{mode_name}_{pad_name}_{align}", lambda t, g: aten.grid_sampler(t, g, mode, pad, align), [two, grid], attrs, "abs 5e-6 rel 5e-6")
            if mode < 2:
                rec.case(f"volume_{mode_name}_{pad_name}_{align}", lambda t, g: aten.grid_sampler(t, g, mode, pad, align), [cube, cube_grid], attrs, "abs 5e-6 rel 5e-6")
rec.case("corners", lambda t, g: aten.grid_sampler(t, g, 0, 0, True), [two[:1], torch.tensor([[[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [5.0, 5.0]]]])],
         {"align_corners": True}, TOL)
rec.case("f64", lambda t, g: aten.grid_sampler(t, g, 0, 0, False), [two.double(), grid.double()], {}, "abs 1e-14 rel 1e-13")
rec.error("batch", [two, grid[:1]], {}, "c2")
rec.error("coordinates", [two, torch.rand(2, 3, 4, 3)], {}, "c2")
rec.error("rank", [two, torch.rand(2, 3, 2)], {}, "c1")
rec.error("mode", [two, grid], {"padding_mode": 3}, "c3")
rec.error("types", [two, grid.double()], {}, "c4")
rec.write()
