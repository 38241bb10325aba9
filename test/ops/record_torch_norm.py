"""Records softmax and the normalizations."""

import math

import torch
import torch.nn.functional as F
from recording import Recorder

torch.manual_seed(4)
aten = torch.ops.aten
INF, NAN = math.inf, math.nan
rec = Recorder("norm")
x = torch.randn(2, 4, 3)
image = torch.randn(2, 4, 3, 2) * 2 + 1
volume = torch.randn(1, 2, 2, 3, 2)
weight, bias, mean, var = torch.randn(4), torch.randn(4), torch.randn(4), torch.rand(4) + 0.2
TOL, WIDE = "abs 2e-6 rel 2e-6", "abs 1e-14 rel 1e-13"
HALF, BHALF = "abs 2e-3 rel 2e-3", "abs 2e-2 rel 1.6e-2"

for name, call in (("softmax", F.softmax), ("log_softmax", F.log_softmax), ("safe_softmax", lambda t, dim, dtype=None: aten._safe_softmax(t, dim, dtype))):
    rec.op(name)
    for dim in (0, 1, 2, -1, -3):
        rec.case(f"{dim}", lambda t: call(t, dim), [x], {"dim": dim}, "abs 1e-7 rel 2e-6")
    rec.case("long", lambda t: call(t, 1), [torch.randn(2, 77) * 5], {"dim": 1}, "abs 1e-7 rel 4e-6")
    rec.case("infinite", lambda t: call(t, 1), [torch.tensor([[-INF, -INF, -INF], [-INF, 0.0, 1.0], [INF, 0.0, 1.0], [NAN, 0.0, 1.0], [1e30, -1e30, 1e30]])],
             {"dim": 1}, "abs 1e-7 rel 2e-6")
    rec.case("zero_dims", lambda t: call(t, 0), [torch.tensor(3.0)], {"dim": 0})
    rec.case("empty", lambda t: call(t, 1), [torch.empty(2, 0)], {"dim": 1})
    rec.case("f64", lambda t: call(t, 1), [x.double()], {"dim": 1}, WIDE)
    rec.case("f16", lambda t: call(t, 1), [x.half()], {"dim": 1}, "abs 1e-6 rel 2e-3")
    rec.case("bf16", lambda t: call(t, 1), [x.bfloat16()], {"dim": 1}, "abs 1e-6 rel 1.6e-2")
    rec.case("dtype", lambda t: call(t, 1, dtype=torch.float32), [x.half()], {"dim": 1, "dtype": torch.float32}, "abs 1e-7 rel 2e-6")
    rec.case("dtype_of_integers", lambda t: call(t, 1, dtype=torch.float32), [torch.tensor([[1, 2, 3]])], {"dim": 1, "dtype": torch.float32}, "abs 1e-7 rel 2e-6")
    rec.error("integers", [torch.tensor([1, 2])], {"dim": 0}, "c1")
    rec.error("dim", [x], {"dim": 3}, "c2")


def batch_norm(t, w, b, m, v):
    return torch.batch_norm(t, w, b, m, v, False, 0.1, 1e-3, False)


rec.op("batch_norm")
for name, t in (("image", image), ("rows", torch.randn(5, 4)), ("sequence", torch.randn(2, 4, 5)), ("volume", torch.randn(1, 4, 2, 2, 2)),
                ("no_batch", torch.empty(0, 4, 3))):
    rec.case(name, batch_norm, [t, weight, bias, mean, var], {"eps": 1e-3}, TOL)
rec.case("no_affine", batch_norm, [image, None, None, mean, var], {"eps": 1e-3}, TOL)
rec.case("no_bias", batch_norm, [image, weight, None, mean, var], {"eps": 1e-3}, TOL)
rec.case("zero_variance", lambda t, w, b, m, v: torch.batch_norm(t, w, b, m, v, False, 0.1, 0.0, False), [image, weight, bias, mean, torch.zeros(4)], {"eps": 0.0}, TOL)
rec.case("training", lambda t, w, b, m, v: torch.batch_norm(t, w, b, m, v, True, 0.1, 1e-5, False), [image, weight, bias, mean, var], {"training": True}, TOL)
rec.case("training_no_running", lambda t, w, b, m, v: torch.batch_norm(t, w, b, None, None, True, 0.1, 1e-5, False), [image, weight, bias, None, None], {"training": True}, TOL)
rec.case("f64", batch_norm, [image.double(), weight.double(), bias.double(), mean.double(), var.double()], {"eps": 1e-3}, WIDE)
rec.case("bf16", batch_norm, [image.bfloat16(), weight, bias, mean, var], {"eps": 1e-3}, BHALF)
rec.error("no_statistics", [image, weight, bias, None, None], {}, "c4")
rec.error("channels", [image, weight, torch.randn(3), mean, var], {}, "c3")
rec.error("rank", [weight, weight, bias, mean, var], {}, "c2")
rec.error("integers", [torch.ones(2, 4, dtype=torch.int32), weight, bias, mean, var], {}, "c1")

rec.op("native_batch_norm")
for training in (False, True):
    def native(t, w, b, m, v):
        if not training:
            out = aten._native_batch_norm_legit_no_training(t, w, b, m, v, 0.2, 1e-3)
            return list(out) + [m, v]
        out = aten._native_batch_norm_legit_functional(t, w, b, m, v, True, 0.2, 1e-3)
        return list(out)
    for name, operands in (("all", [image, weight, bias, mean, var]), ("no_affine", [image, None, None, mean, var]), ("rows", [torch.randn(5, 4), weight, bias, mean, var])):
        rec.case(f"{name}_{training}", native, operands, {"training": training, "momentum": 0.2, "eps": 1e-3}, TOL)
rec.case("three_results", lambda *o: native(*o)[:3], [image, weight, bias, mean, var], {"training": True, "momentum": 0.2, "eps": 1e-3}, TOL)

w3, b3, w43, b43 = torch.randn(3), torch.randn(3), torch.randn(4, 3), torch.randn(4, 3)
rec.op("layer_norm")
rec.case("last", lambda t, w, b: F.layer_norm(t, [3], w, b), [x, w3, b3], {"normalized_shape": [3]}, TOL)
rec.case("two", lambda t, w, b: F.layer_norm(t, [4, 3], w, b, 1e-3), [x, w43, b43], {"normalized_shape": [4, 3], "eps": 1e-3}, TOL)
rec.case("plain", lambda t: F.layer_norm(t, [3]), [x], {"normalized_shape": [3]}, TOL)
rec.case("weight_only", lambda t, w, b: F.layer_norm(t, [3], w, None), [x, w3, None], {"normalized_shape": [3]}, TOL)
rec.case("bias_only", lambda t, w, b: F.layer_norm(t, [3], None, b), [x, None, b3], {"normalized_shape": [3]}, TOL)
rec.case("whole", lambda t: F.layer_norm(t, [2, 4, 3]), [x], {"normalized_shape": [2, 4, 3]}, TOL)
rec.case("long", lambda t: F.layer_norm(t, [100]), [torch.randn(3, 100) * 3 + 5], {"normalized_shape": [100]}, TOL)
rec.case("large_mean", lambda t: F.layer_norm(t, [64]), [torch.randn(2, 64) + 1000], {"normalized_shape": [64]}, "abs 2e-4 rel 1e-4")
rec.case("constant", lambda t: F.layer_norm(t, [4]), [torch.full((2, 4), 3.0)], {"normalized_shape": [4]}, TOL)
rec.case("empty", lambda t: F.layer_norm(t, [3]), [torch.empty(0, 3)], {"normalized_shape": [3]}, TOL)
rec.case("f64", lambda t: F.layer_norm(t, [3]), [x.double()], {"normalized_shape": [3]}, WIDE)
rec.case("bf16", lambda t: F.layer_norm(t, [3]), [x.bfloat16()], {"normalized_shape": [3]}, BHALF)
rec.error("shape", [x], {"normalized_shape": [4]}, "c2")
rec.error("weight", [x, b43], {"normalized_shape": [3]}, "c3")
rec.error("none", [x], {}, "c2")

rec.op("native_layer_norm")
rec.case("last", lambda t, w, b: aten.native_layer_norm(t, [3], w, b, 1e-5), [x, w3, b3], {"normalized_shape": [3]}, TOL)
rec.case("two", lambda t, w, b: aten.native_layer_norm(t, [4, 3], w, b, 1e-5), [x, w43, b43], {"normalized_shape": [4, 3]}, TOL)
rec.case("plain", lambda t: aten.native_layer_norm(t, [3], None, None, 1e-3), [x], {"normalized_shape": [3], "eps": 1e-3}, TOL)
rec.case("one_row", lambda t: aten.native_layer_norm(t, [2, 4, 3], None, None, 1e-3), [x], {"normalized_shape": [2, 4, 3], "eps": 1e-3}, TOL)
rec.case("f64", lambda t: aten.native_layer_norm(t, [3], None, None, 1e-3), [x.double()], {"normalized_shape": [3], "eps": 1e-3}, WIDE)

rec.op("group_norm")
for groups in (1, 2, 4):
    rec.case(f"{groups}", lambda t, w, b: F.group_norm(t, groups, w, b), [image, weight, bias], {"num_groups": groups}, TOL)
rec.case("plain", lambda t: F.group_norm(t, 2), [x], {"num_groups": 2}, TOL)
rec.case("rows", lambda t: F.group_norm(t, 2, eps=0.1), [torch.randn(3, 4)], {"num_groups": 2, "eps": 0.1}, TOL)
rec.case("f64", lambda t: F.group_norm(t, 2), [image.double()], {"num_groups": 2}, WIDE)
rec.error("groups", [image], {"num_groups": 3}, "c4")

rec.op("native_group_norm")
for groups in (1, 2, 4):
    rec.case(f"{groups}", lambda t, w, b: aten.native_group_norm(t, w, b, 2, 4, 6, groups, 1e-5), [image, weight, bias],
             {"N": 2, "C": 4, "HxW": 6, "group": groups}, TOL)
rec.case("plain", lambda t: aten.native_group_norm(t, None, None, 2, 4, 3, 2, 1e-2), [x], {"N": 2, "C": 4, "HxW": 3, "group": 2, "eps": 1e-2}, TOL)
rec.case("f64", lambda t: aten.native_group_norm(t, None, None, 2, 4, 3, 2, 1e-2), [x.double()], {"N": 2, "C": 4, "HxW": 3, "group": 2, "eps": 1e-2}, WIDE)

rec.op("instance_norm")
rec.case("own", lambda t, w, b: F.instance_norm(t, weight=w, bias=b), [image, weight, bias], {}, TOL)
rec.case("plain", lambda t: F.instance_norm(t), [x], {}, TOL)
rec.case("eps", lambda t: F.instance_norm(t, eps=0.1), [x], {"eps": 0.1}, TOL)
rec.case("running", lambda t, w, b, m, v: torch.instance_norm(t, w, b, m, v, False, 0.1, 1e-3, False), [image, weight, bias, mean, var],
         {"use_input_stats": False, "eps": 1e-3}, TOL)
rec.case("running_plain", lambda t, w, b, m, v: torch.instance_norm(t, w, b, m, v, False, 0.1, 1e-3, False), [image, None, None, mean, var],
         {"use_input_stats": False, "eps": 1e-3}, TOL)
rec.case("f64", lambda t: F.instance_norm(t), [x.double()], {}, WIDE)
rec.error("no_statistics", [image], {"use_input_stats": False}, "c4")

rec.op("rms_norm")
rec.case("last", lambda t, w: F.rms_norm(t, [3], w, 1e-6), [x, w3], {"normalized_shape": [3], "eps": 1e-6}, TOL)
rec.case("plain", lambda t: F.rms_norm(t, [3], None, 1e-6), [x], {"normalized_shape": [3], "eps": 1e-6}, TOL)
rec.case("no_eps", lambda t: F.rms_norm(t, [3]), [x * 1e-4], {"normalized_shape": [3]}, TOL)
rec.case("no_eps_f64", lambda t: F.rms_norm(t, [3]), [x.double() * 1e-9], {"normalized_shape": [3]}, WIDE)
rec.case("two", lambda t, w: F.rms_norm(t, [4, 3], w, 1e-5), [x, w43], {"normalized_shape": [4, 3], "eps": 1e-5}, TOL)
rec.case("f16", lambda t, w: F.rms_norm(t, [3], w, 1e-5), [x.half(), w3.half()], {"normalized_shape": [3], "eps": 1e-5}, HALF)
rec.case("bf16", lambda t, w: F.rms_norm(t, [3], w, 1e-5), [x.bfloat16(), w3.bfloat16()], {"normalized_shape": [3], "eps": 1e-5}, BHALF)
rec.case("f16_no_eps", lambda t: F.rms_norm(t, [3]), [(x * 1e-3).half()], {"normalized_shape": [3]}, HALF)
rec.op("native_rms_norm")
rec.case("last", lambda t, w: aten._fused_rms_norm(t, [3], w, 1e-6), [x, w3], {"normalized_shape": [3], "eps": 1e-6}, TOL)
rec.case("two", lambda t, w: aten._fused_rms_norm(t, [4, 3], w, 1e-6), [x, w43], {"normalized_shape": [4, 3], "eps": 1e-6}, TOL)
rec.case("plain", lambda t: aten._fused_rms_norm(t, [3], None, 1e-3), [x], {"normalized_shape": [3], "eps": 1e-3}, TOL)
rec.case("f64", lambda t: aten._fused_rms_norm(t, [3], None, 1e-3), [x.double()], {"normalized_shape": [3], "eps": 1e-3}, WIDE)
rec.case("no_eps", lambda t: aten._fused_rms_norm(t, [3], None, None), [x * 1e-4], {"normalized_shape": [3]}, TOL)
rec.write()
