"""Records creation and casts."""

import math

import torch
from recording import Recorder

aten = torch.ops.aten
INF, NAN = math.inf, math.nan
rec = Recorder("create")

rec.op("arange")
ARANGES = [(0, 5, 1), (2, 9, 3), (5, -4, -2), (0, 0, 1), (-3, 4, 1), (0, 2**40, 2**38), (0.0, 1.0, 0.25), (1, 2.5, 0.5), (0.0, 1.0, 0.1), (3.5, -1.0, -0.75), (0.0, 10.0, 3.0)]
for start, end, step in ARANGES:
    attrs = {"start": start, "end": end, "step": step}
    rec.case(f"{start}_{end}_{step}", lambda: torch.arange(start, end, step), [], attrs, "ulp 1")
    rec.case(f"{start}_{end}_{step}_f32", lambda: torch.arange(start, end, step, dtype=torch.float32), [], {**attrs, "dtype": torch.float32}, "ulp 1")
for dtype in (torch.int8, torch.uint8, torch.int32, torch.float16, torch.bfloat16, torch.float64):
    rec.case(f"dtype_{dtype}"[12:], lambda: torch.arange(0, 20, 3, dtype=dtype), [], {"end": 20, "step": 3, "dtype": dtype})
rec.error("zero_step", [], {"end": 5, "step": 0}, "c1")
rec.error("wrong_sign", [], {"end": 5, "step": -1}, "c1")
rec.error("infinite", [], {"end": INF}, "c1")

rec.op("linspace")
for start, end, steps in ((0, 1, 5), (-1.0, 1.0, 11), (3, 3, 4), (0, 10, 1), (0, 1, 0), (5, -5, 3), (0.0, 1.0, 50)):
    rec.case(f"{start}_{end}_{steps}", lambda: torch.linspace(start, end, steps), [], {"start": start, "end": end, "steps": steps}, "abs 1e-7 rel 1e-6")
rec.case("f64", lambda: torch.linspace(0, 1, 7, dtype=torch.float64), [], {"start": 0, "end": 1, "steps": 7, "dtype": torch.float64}, "abs 1e-16 rel 1e-15")
rec.case("i32", lambda: torch.linspace(0, 10, 5, dtype=torch.int32), [], {"start": 0, "end": 10, "steps": 5, "dtype": torch.int32})
rec.case("f16", lambda: torch.linspace(0, 1, 7, dtype=torch.float16), [], {"start": 0, "end": 1, "steps": 7, "dtype": torch.float16}, "ulp 1")
rec.op("logspace")
for start, end, steps, base in ((0, 2, 3, 10.0), (0, 4, 5, 2.0), (-1.0, 1.0, 4, 10.0), (1, 1, 1, 3.0), (0, 1, 0, 10.0)):
    rec.case(f"{start}_{end}_{steps}_{base}", lambda: torch.logspace(start, end, steps, base), [], {"start": start, "end": end, "steps": steps, "base": base}, "ulp 4")

FILLS = [(1.5, None), (2, None), (True, None), (2, torch.float32), (2.75, torch.int32), (-100, torch.int8), (200, torch.uint8), (0.1, torch.float16), (0.1, torch.float64),
         (3, torch.bool), (0.0, torch.bool), (INF, None), (NAN, None), (-0.0, None), (1e6, torch.bfloat16), (2**40, None)]
x = torch.zeros(2, 3)
rec.op("full")
for value, dtype in FILLS:
    rec.case(f"{value}_{dtype}", lambda: torch.full([2, 3], value, dtype=dtype), [], {"size": [2, 3], "fill_value": value, "dtype": dtype})
rec.case("zero_dims", lambda: torch.full([], 4.5), [], {"size": [], "fill_value": 4.5})
rec.case("empty", lambda: torch.full([0, 2], 4.5), [], {"size": [0, 2], "fill_value": 4.5})
rec.error("negative", [], {"size": [-1], "fill_value": 1}, "c1")
rec.op("full_like")
for value, dtype in FILLS:
    rec.case(f"{value}_{dtype}", lambda t: torch.full_like(t, value, dtype=dtype), [x], {"fill_value": value, "dtype": dtype})
rec.case("of_integers", lambda t: torch.full_like(t, 3.7), [torch.zeros(2, dtype=torch.int16)], {"fill_value": 3.7})
rec.op("new_full")
for value, dtype in FILLS:
    rec.case(f"{value}_{dtype}", lambda t: t.new_full([3], value, dtype=dtype), [x], {"size": [3], "fill_value": value, "dtype": dtype})

for name, f in (("zeros", torch.zeros), ("ones", torch.ones), ("empty", torch.zeros)):
    rec.op(name)
    for dtype in (None, torch.int64, torch.bool, torch.float16, torch.uint8, torch.float64):
        rec.case(f"{dtype}", lambda: f([2, 2], dtype=dtype), [], {"size": [2, 2], "dtype": dtype})
    rec.case("zero_dims", lambda: f([]), [], {"size": []})
for name, f in (("zeros_like", torch.zeros_like), ("ones_like", torch.ones_like), ("empty_like", torch.zeros_like)):
    rec.op(name)
    for dtype in (None, torch.int64, torch.bool, torch.float16):
        rec.case(f"{dtype}", lambda t: f(t, dtype=dtype), [x], {"dtype": dtype})
        rec.case(f"{dtype}_of_i8", lambda t: f(t, dtype=dtype), [torch.zeros(3, 1, dtype=torch.int8)], {"dtype": dtype})
for name in ("new_zeros", "new_ones", "new_empty"):
    rec.op(name)
    f = getattr(torch.Tensor, name.replace("empty", "zeros"))
    for dtype in (None, torch.int64, torch.bool):
        rec.case(f"{dtype}", lambda t: f(t, [2], dtype=dtype), [x], {"size": [2], "dtype": dtype})
        rec.case(f"{dtype}_of_i8", lambda t: f(t, [2, 0], dtype=dtype), [torch.zeros(3, dtype=torch.int8)], {"size": [2, 0], "dtype": dtype})

rec.op("scalar_tensor")
for s, dtype in ((1.5, None), (3, None), (True, None), (3, torch.int64), (2.9, torch.int32), (0.1, torch.float64), (-INF, None), (1, torch.bool)):
    rec.case(f"{s}_{dtype}", lambda: aten.scalar_tensor(s, dtype=dtype), [], {"s": s, "dtype": dtype})
rec.op("eye")
for n, m in ((3, None), (2, 4), (4, 2), (0, None), (1, 1)):
    rec.case(f"{n}_{m}", lambda: torch.eye(n, m) if m is not None else torch.eye(n), [], {"n": n, "m": m})
rec.case("i32", lambda: torch.eye(2, dtype=torch.int32), [], {"n": 2, "dtype": torch.int32})
rec.case("bool", lambda: torch.eye(2, dtype=torch.bool), [], {"n": 2, "dtype": torch.bool})

rec.op("cast")
ALL = [torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
small = torch.tensor([-3.0, -2.75, -1.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 100.0, 127.0])
for source in ALL:
    for target in ALL:
        value = small.to(source) if source not in (torch.uint8,) else small.abs().to(source)
        if target == torch.uint8:
            value = value.abs() if source != torch.bool else value
        rec.case(f"{str(source)[6:]}_{str(target)[6:]}", lambda t: t.to(target), [value], {"dtype": target})
# Beyond the range: what the machine's conversions do. The elements are converted one by one, because torch's vector
# forms differ among machines.
wide = [300.0, -129.0, 128.0, 255.0, 256.0, 40000.0, 70000.0, 2147483520.0, -2147483648.0]
for target in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64):
    def one_by_one(t):
        return torch.stack([v.clone().reshape(1).to(target)[0] for v in t])
    rec.case(f"wide_{str(target)[6:]}", one_by_one, [torch.tensor(wide)], {"dtype": target})
    rec.case(f"wide_f64_{str(target)[6:]}", one_by_one, [torch.tensor(wide).double()], {"dtype": target})
for target in (torch.int8, torch.int16):
    rec.case(f"beyond_{str(target)[6:]}", one_by_one, [torch.tensor([1e10, -1e10, INF, -INF, NAN])], {"dtype": target})
integers = torch.tensor([-(2**63), -(2**31) - 1, -129, 255, 256, 65537, 2**31, 2**53 + 1, 2**63 - 1])
for target in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.float32, torch.float64, torch.bool, torch.float16, torch.bfloat16):
    rec.case(f"integers_{str(target)[6:]}", lambda t: t.to(target), [integers], {"dtype": target})
rounding = torch.tensor([1.00048828125, 1.00146484375, 65504.0, 65519.0, 65520.0, 1e-8, 6e-8, 5.96e-8, 1.00390625, 1.01171875, 3.4e38, 1e-40, INF, -INF, NAN])
for target in (torch.float16, torch.bfloat16, torch.float8_e5m2):
    rec.case(f"rounding_{str(target)[6:]}", lambda t: t.to(target), [rounding], {"dtype": target})
    rec.case(f"rounding_f64_{str(target)[6:]}", lambda t: t.to(target), [rounding.double()], {"dtype": target})
fp8 = torch.tensor([0.0, -0.0, 1.0, 1.0625, 1.1875, 0.001, 0.0009765625, 0.0078125, 240.0, 432.0, 448.0, -448.0, NAN])
rec.case("f8e4m3", lambda t: t.to(torch.float8_e4m3fn), [fp8], {"dtype": torch.float8_e4m3fn})
every = torch.arange(256, dtype=torch.uint8)
for source in (torch.float8_e4m3fn, torch.float8_e5m2):
    rec.case(f"from_{str(source)[6:]}", lambda t: t.to(torch.float32), [every.view(source)], {"dtype": torch.float32})
rec.write()
