"""Records activations and unary mathematics."""

import math

import torch
import torch.nn.functional as F
from recording import Recorder

torch.manual_seed(1)
INF, NAN = math.inf, math.nan
EDGES = [-INF, -1e30, -200.0, -88.5, -20.5, -10.0, -6.0, -3.5, -3.0, -2.5, -1.5, -1.0, -0.5, -0.25, -1e-3, -1e-20, -1e-40, -0.0,
         0.0, 1e-40, 1e-20, 1e-3, 0.25, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 6.0, 10.0, 20.5, 88.5, 100.0, 200.0, 1e30, INF, NAN]
edges = torch.tensor(EDGES)
noise = torch.randn(3, 7) * 3
ints = torch.tensor([-128, -100, -3, -1, 0, 1, 2, 3, 100, 127], dtype=torch.int8)
longs = torch.tensor([-(2**63), -5, -1, 0, 1, 6, 7, 2**62], dtype=torch.int64)
bytes_ = torch.tensor([0, 1, 6, 127, 128, 255], dtype=torch.uint8)
bools = torch.tensor([True, False])
rec = Recorder("unary")


def floats(name, call, attrs=None, tol32="exact", tol64=None, tol16=None):
    """f32 edges and noise, f64, f16, bf16, 0-d and empty."""
    rec.case("edges", call, [edges], attrs, tol32)
    rec.case("noise", call, [noise], attrs, tol32)
    rec.case("f64", call, [torch.cat([edges.double(), noise.double().flatten()])], attrs, tol64 or tol32)
    rec.case("f16", call, [torch.cat([edges[3:-4], noise.flatten()]).half()], attrs, tol16 or "ulp 1")
    rec.case("bf16", call, [noise.bfloat16()], attrs, tol16 or "ulp 1")
    rec.case("zero_dims", call, [torch.tensor(-0.75)], attrs, tol32)
    rec.case("empty", call, [torch.empty(2, 0)], attrs, tol32)


def integers(call, attrs=None, tol="exact", bool_too=True):
    for name, x in (("i8", ints), ("i64", longs), ("u8", bytes_)) + ((("bool", bools),) if bool_too else ()):
        rec.case(name, call, [x], attrs, tol)


rec.op("relu")
floats("relu", torch.relu)
integers(torch.relu, bool_too=False)
rec.error("bool", [bools], {}, "c1")

rec.op("hardtanh")
floats("default", F.hardtanh)
floats("relu6", lambda x: F.hardtanh(x, 0.0, 6.0), {"min_val": 0.0, "max_val": 6.0})
rec.case("integers", lambda x: F.hardtanh(x, -2, 3), [ints], {"min_val": -2, "max_val": 3})

rec.op("clamp")
floats("both", lambda x: torch.clamp(x, -0.5, 2.0), {"min": -0.5, "max": 2.0})
rec.case("min_above_max", lambda x: torch.clamp(x, 3.0, 1.0), [edges], {"min": 3.0, "max": 1.0})
rec.case("min_only", lambda x: torch.clamp(x, min=0.0), [edges], {"min": 0.0})
rec.case("max_only", lambda x: torch.clamp(x, max=1), [edges], {"max": 1})
rec.case("integer_bounds", lambda x: torch.clamp(x, -1, 2), [edges], {"min": -1, "max": 2})
rec.case("integers", lambda x: torch.clamp(x, -3, 100), [ints], {"min": -3, "max": 100})
rec.case("integers_float_bound", lambda x: torch.clamp(x, min=0.5), [ints], {"min": 0.5})
rec.case("longs", lambda x: torch.clamp(x, max=5), [longs], {"max": 5})
rec.case("nan_bound", lambda x: torch.clamp(x, min=NAN), [noise], {"min": NAN})
rec.error("none", [edges], {}, "c1")

rec.op("threshold")
floats("default", lambda x: F.threshold(x, 0.5, -7.0), {"threshold": 0.5, "value": -7.0})
rec.case("integers", lambda x: F.threshold(x, 1, 20), [longs], {"threshold": 1, "value": 20})

# Functions that torch computes in f32 with vectorized approximations: two units in the last place; where it cancels,
# an absolute bound of the cancelled terms.
for name, call, tol in [
    ("sigmoid", torch.sigmoid, "ulp 4"), ("tanh", torch.tanh, "ulp 4"), ("exp", torch.exp, "ulp 2"), ("exp2", torch.exp2, "ulp 2"),
    ("expm1", torch.expm1, "ulp 3"), ("log", torch.log, "ulp 2"), ("log2", torch.log2, "ulp 2"), ("log10", torch.log10, "ulp 2"),
    ("log1p", torch.log1p, "ulp 2"), ("erf", torch.erf, "ulp 2"), ("erfc", torch.erfc, "abs 1e-42 rel 2e-6"), ("erfinv", torch.erfinv, "ulp 4"),
    ("lgamma", torch.lgamma, "abs 2e-7 rel 1e-6"),
    ("sin", torch.sin, "abs 1e-7 rel 1e-6"), ("cos", torch.cos, "abs 1e-7 rel 1e-6"), ("tan", torch.tan, "abs 1e-7 rel 1e-6"),
    ("asin", torch.asin, "ulp 2"), ("acos", torch.acos, "ulp 2"), ("atan", torch.atan, "ulp 2"),
    ("sinh", torch.sinh, "ulp 3"), ("cosh", torch.cosh, "ulp 3"), ("asinh", torch.asinh, "ulp 2"), ("acosh", torch.acosh, "ulp 2"),
    ("atanh", torch.atanh, "ulp 2"), ("deg2rad", torch.deg2rad, "ulp 1"), ("rad2deg", torch.rad2deg, "ulp 1"), ("sinc", torch.sinc, "abs 1e-7 rel 1e-6"),
]:
    rec.op(name)
    wide = "abs 1e-300 rel 1e-13" if name in ("erfc", "lgamma", "sin", "cos", "tan", "erfinv", "sinc") else "ulp 4"
    if name == "erfc":
        wide = "abs 5e-324 rel 1e-12"
    if name in ("lgamma", "erfinv", "sinc"):
        wide = "abs 1e-15 rel 1e-12"
    floats(name, call, tol32=tol, tol64=wide)
    # torch overflows inside sigmoid(-100) of integers and gives 0, where 3.8e-44 is right
    integers(call, tol=tol if name != "sigmoid" else "abs 1e-37 rel 1e-6")

for name, call in [("sqrt", torch.sqrt), ("rsqrt", torch.rsqrt), ("reciprocal", torch.reciprocal)]:
    rec.op(name)
    floats(name, call, tol32="exact" if name != "rsqrt" else "ulp 1")
    integers(call, tol="exact" if name != "rsqrt" else "ulp 1")

rec.op("hardsigmoid")
floats("hardsigmoid", F.hardsigmoid, tol32="ulp 1")
rec.error("integers", [ints], {}, "c1")
rec.op("hardswish")
floats("hardswish", F.hardswish, tol32="ulp 1")

rec.op("gelu")
# torch gives NaN for +inf in vectors and inf for single elements; the limit is inf, so it is left out.
everything, edges = edges, edges[edges != INF]
floats("erf", F.gelu, tol32="abs 1e-6 rel 1e-6", tol64="abs 1e-14 rel 1e-12", tol16="abs 1e-5 rel 0.008")
floats("tanh", lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}, tol32="abs 1e-6 rel 1e-6", tol64="abs 1e-14 rel 1e-12",
       tol16="abs 1e-5 rel 0.008")
edges = everything
rec.error("other", [noise], {"approximate": "fast"}, "c2")
rec.error("integers", [ints], {}, "c1")

for name, call in [("silu", F.silu), ("mish", F.mish), ("log_sigmoid", F.logsigmoid)]:
    rec.op(name)
    floats(name, call, tol32="abs 1e-37 rel 1e-6", tol64="abs 1e-300 rel 1e-14", tol16="abs 1e-5 rel 0.008")
    rec.error("integers", [ints], {}, "c1")

rec.op("leaky_relu")
floats("default", F.leaky_relu, tol32="exact")
floats("slope", lambda x: F.leaky_relu(x, 0.2), {"negative_slope": 0.2})
rec.case("negative_slope", lambda x: F.leaky_relu(x, -1), [edges], {"negative_slope": -1})

rec.op("elu")
floats("default", F.elu, tol32="ulp 4")
aten = torch.ops.aten
rec.case("all", lambda x: aten.elu(x, 0.5, 1.5, 2.0), [edges], {"alpha": 0.5, "scale": 1.5, "input_scale": 2.0}, "ulp 4")
rec.op("celu")
floats("default", F.celu, tol32="ulp 4")
rec.case("alpha", lambda x: F.celu(x, 0.7), [edges], {"alpha": 0.7}, "ulp 4")
rec.op("selu")
floats("default", F.selu, tol32="ulp 4")

rec.op("softplus")
floats("default", F.softplus, tol32="abs 1e-37 rel 1e-6", tol64="abs 1e-300 rel 1e-14")
rec.case("beta", lambda x: F.softplus(x, 2, 5), [edges], {"beta": 2, "threshold": 5}, "abs 1e-37 rel 1e-6")

rec.op("hardshrink")
floats("default", F.hardshrink)
rec.case("lambd", lambda x: F.hardshrink(x, 1.5), [edges], {"lambd": 1.5})
rec.op("softshrink")
# torch gives 0 or -0.0, as it takes its vector form or the other
floats("default", F.softshrink, tol32="value", tol16="value")
rec.case("lambd", lambda x: F.softshrink(x, 1.5), [edges], {"lambd": 1.5}, "value")

rec.op("glu")
for name, x, dim in [("last", torch.randn(3, 8), -1), ("first", torch.randn(4, 3), 0), ("middle", torch.randn(2, 6, 3), 1),
                     ("f16", torch.randn(2, 4).half(), 1), ("f64", torch.randn(2, 4).double(), 1), ("one", torch.randn(2), 0)]:
    rec.case(name, lambda x: F.glu(x, dim), [x], {"dim": dim}, "ulp 4" if x.dtype != torch.float16 else "ulp 1")
rec.error("odd", [torch.randn(3, 3)], {}, "c3")
rec.error("no_dims", [torch.tensor(1.0)], {}, "c2")

rec.op("logit")
probabilities = torch.tensor([-0.5, 0.0, 1e-8, 0.1, 0.25, 0.5, 0.75, 0.999, 1.0, 1.5, NAN])
rec.case("plain", torch.logit, [probabilities], {}, "abs 1e-7 rel 1e-6")
rec.case("eps", lambda x: torch.logit(x, 0.01), [probabilities], {"eps": 0.01}, "abs 1e-7 rel 1e-6")
rec.case("f64", torch.logit, [probabilities.double()], {}, "abs 1e-15 rel 1e-12")
rec.case("integers", torch.logit, [bytes_], {}, "ulp 2")
rec.case("f16", torch.logit, [probabilities.half()], {}, "abs 1e-5 rel 2e-3")

for name, call in [("abs", torch.abs), ("neg", torch.neg), ("square", torch.square)]:
    rec.op(name)
    floats(name, call)
    integers(call, bool_too=False)
for name, call in [("sign", torch.sign), ("sgn", torch.sgn)]:
    rec.op(name)
    floats(name, call)
    integers(call)
for name, call in [("floor", torch.floor), ("ceil", torch.ceil), ("trunc", torch.trunc), ("round", torch.round)]:
    rec.op(name)
    floats(name, call)
    integers(call, bool_too=False)
rec.op("round")
halves = torch.tensor([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1e10, 8388609.0, -8388607.5])
rec.case("halves", torch.round, [halves])
rec.case("decimals", lambda x: torch.round(x, decimals=2), [noise], {"decimals": 2}, "ulp 1")
rec.case("tens", lambda x: torch.round(x, decimals=-1), [noise * 20], {"decimals": -1}, "ulp 1")
rec.op("frac")
floats("frac", torch.frac, tol32="value")

rec.op("nan_to_num")
floats("default", torch.nan_to_num)
rec.case("values", lambda x: torch.nan_to_num(x, 1.5, 2.5, -3.5), [edges], {"nan": 1.5, "posinf": 2.5, "neginf": -3.5})
rec.case("f16", torch.nan_to_num, [torch.tensor([INF, -INF, NAN, 1.0]).half()])
rec.case("bf16", torch.nan_to_num, [torch.tensor([INF, -INF, NAN, 1.0]).bfloat16()])
integers(torch.nan_to_num)

for name, call in [("isnan", torch.isnan), ("isinf", torch.isinf), ("isfinite", torch.isfinite), ("isposinf", torch.isposinf),
                   ("isneginf", torch.isneginf), ("signbit", torch.signbit), ("logical_not", torch.logical_not)]:
    rec.op(name)
    floats(name, call)
    integers(call)
rec.op("bitwise_not")
integers(torch.bitwise_not)
rec.case("i32", torch.bitwise_not, [torch.tensor([[5, -7], [0, 2**31 - 1]], dtype=torch.int32)])
rec.error("float", [noise], {}, "c1")
rec.write()
