"""Records reductions, scans, searches and sorting."""

import math

import torch
from recording import Recorder

torch.manual_seed(3)
aten = torch.ops.aten
INF, NAN = math.inf, math.nan
rec = Recorder("reduce")

x = torch.randn(2, 3, 4)
long_row = torch.randn(3, 100)
edges = torch.tensor([[1.0, NAN, 3.0], [INF, 2.0, -INF], [-0.0, 0.0, -1.0], [INF, INF, 1.0]])
i8 = torch.tensor([[1, -128, 127], [5, 5, -7]], dtype=torch.int8)
i64 = torch.tensor([[3, 1, 2], [2, 2, 9]])
u8 = torch.tensor([[0, 200, 200], [0, 0, 1]], dtype=torch.uint8)
bools = torch.tensor([[True, False, True], [False, False, False]])
ties = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, -0.0, 0.0, -0.0, 0.0]])
DIMS = [None, [0], [1], [-1], [0, 2], [1, 2], [-3, 1]]
SUMS = "abs 1e-6 rel 2e-6"


def over_dims(call, tol, key="dims", empty=True):
    """`call(x, dims, keepdim)` over several choices of dims."""
    for dims in DIMS:
        for keep in (False, True):
            name = "all" if dims is None else "_".join(str(d) for d in dims)
            rec.case(f"{name}{'_keep' if keep else ''}", lambda t: call(t, dims, keep), [x], {key: dims, "keepdim": keep or None}, tol)
    rec.case("long", lambda t: call(t, [1], False), [long_row], {key: [1]}, tol)
    rec.case("long_strided", lambda t: call(t, [0], False), [long_row.t().contiguous()], {key: [0]}, tol)
    rec.case("edges", lambda t: call(t, [1], False), [edges], {key: [1]}, tol)
    rec.case("zero_dims", lambda t: call(t, None, False), [torch.tensor(1.5)], {}, tol)
    rec.case("zero_dims_dim", lambda t: call(t, [0], False), [torch.tensor(1.5)], {key: [0]}, tol)
    rec.case("f64", lambda t: call(t, [1], False), [x.double()], {key: [1]}, "abs 1e-14 rel 1e-13" if tol != "exact" else tol)
    rec.case("f16", lambda t: call(t, [1], False), [x.half()], {key: [1]}, "ulp 1" if tol != "exact" else tol)
    rec.case("bf16", lambda t: call(t, [1], False), [x.bfloat16()], {key: [1]}, "ulp 1" if tol != "exact" else tol)
    if empty:
        rec.case("empty", lambda t: call(t, [1], False), [torch.empty(2, 0)], {key: [1]}, tol)
    rec.case("empty_kept", lambda t: call(t, [1], False), [torch.empty(0, 3)], {key: [1]}, tol)
    rec.error("dim", [x], {key: [3]}, "c1")
    rec.error("twice", [x], {key: [1, -2]}, "c1")


def integers(call, key="dims"):
    for name, t in (("i8", i8), ("i64", i64), ("u8", u8), ("bool", bools)):
        rec.case(name, lambda t: call(t, [1], False), [t], {key: [1]})
        rec.case(name + "_all", lambda t: call(t, None, False), [t], {})


rec.op("sum")
over_dims(lambda t, d, k: torch.sum(t, d, k) if d is not None else aten.sum.dim_IntList(t, None, k), SUMS)
integers(lambda t, d, k: torch.sum(t, d, k) if d is not None else torch.sum(t))
rec.case("dtype", lambda t: torch.sum(t, [1], dtype=torch.float64), [x], {"dims": [1], "dtype": torch.float64}, "abs 1e-13 rel 1e-13")
rec.case("dtype_integer", lambda t: torch.sum(t, [1], dtype=torch.int32), [x * 3], {"dims": [1], "dtype": torch.int32})
rec.case("f16_f32", lambda t: torch.sum(t, [1], dtype=torch.float32), [x.half()], {"dims": [1], "dtype": torch.float32}, SUMS)

rec.op("mean")
over_dims(lambda t, d, k: torch.mean(t, d, k) if d is not None else aten.mean.dim(t, None, k), SUMS)
rec.case("dtype", lambda t: torch.mean(t, [1], dtype=torch.float32), [i8], {"dims": [1], "dtype": torch.float32}, SUMS)
rec.error("integers", [i8], {"dims": [1]}, "c2")


def product(t, d, k):
    if d is None:
        return torch.prod(t) if not k else aten.prod.dim_int(t.flatten(), 0).reshape([1] * t.dim())
    for one in sorted([v % max(t.dim(), 1) for v in d], reverse=True):
        t = torch.prod(t, one, keepdim=k)
    return t


rec.op("prod")
over_dims(product, "abs 1e-12 rel 1e-5")
integers(product)

rec.op("nansum")
over_dims(lambda t, d, k: torch.nansum(t, d, k) if d is not None else aten.nansum(t, None, k), SUMS)
integers(lambda t, d, k: torch.nansum(t, d, k) if d is not None else torch.nansum(t))

for name, call in (("amax", torch.amax), ("amin", torch.amin)):
    rec.op(name)
    over_dims(lambda t, d, k: call(t, d if d is not None else [], k), "value", empty=False)
    for kind, t in (("i8", i8), ("i64", i64), ("u8", u8), ("bool", bools)):
        rec.case(kind, lambda t: call(t, [1]), [t], {"dims": [1]})
    rec.error("empty", [torch.empty(2, 0)], {"dims": [1]}, "c3")

for name, call in (("any", torch.any), ("all", torch.all)):
    rec.op(name)
    over_dims(lambda t, d, k: call(t, d, k) if d is not None else (call(t).reshape([1] * t.dim()) if k else call(t)), "exact")
    integers(lambda t, d, k: call(t, d, k) if d is not None else call(t))
    rec.case("sparse", lambda t: call(t, 0), [torch.tensor([[0.0, 1.0, NAN], [0.0, 0.0, 0.0]])], {"dims": [0]})

rec.op("count_nonzero")
for name, t in (("floats", edges), ("bool", bools), ("i8", i8), ("empty", torch.empty(2, 0))):
    rec.case(name, lambda t: torch.count_nonzero(t, [1]), [t], {"dims": [1]})
    rec.case(name + "_all", torch.count_nonzero, [t])

rec.op("logsumexp")
over_dims(lambda t, d, k: torch.logsumexp(t, d if d is not None else list(range(t.dim())), k), "abs 1e-6 rel 1e-6")
rec.case("infinite", lambda t: torch.logsumexp(t, 1), [torch.tensor([[-INF, -INF], [INF, 1.0], [-INF, 2.0], [1000.0, 1000.5]])], {"dims": [1]}, "ulp 2")
rec.case("i64", lambda t: torch.logsumexp(t, 1), [i64], {"dims": [1]}, "ulp 2")

for name, call in (("var", torch.var), ("std", torch.std)):
    rec.op(name)
    over_dims(lambda t, d, k: call(t, d, keepdim=k), "abs 1e-6 rel 2e-6", empty=False)
    for correction in (0, 2, 0.5, 10):
        rec.case(f"correction_{correction}", lambda t: call(t, [1], correction=correction), [x], {"dims": [1], "correction": correction}, "ulp 4")
    rec.case("large_mean", lambda t: call(t, [1]), [long_row + 1e4], {"dims": [1]}, "abs 1e-4 rel 1e-4")
    rec.case("one", lambda t: call(t, [1]), [torch.randn(3, 1)], {"dims": [1]})
    rec.error("integers", [i8], {}, "c2")
for name, call in (("var_mean", torch.var_mean), ("std_mean", torch.std_mean)):
    rec.op(name)
    for dims in ([0], [1, 2], [-1], None):
        for correction in (0, 1):
            rec.case(f"{correction}", lambda t: call(t, dims, correction=correction), [x], {"dims": dims, "correction": correction}, "abs 1e-6 rel 2e-6")
    rec.case("keep", lambda t: call(t, [1], keepdim=True), [x], {"dims": [1], "keepdim": True}, "abs 1e-6 rel 2e-6")

rec.op("linalg_vector_norm")
norm = torch.linalg.vector_norm
over_dims(lambda t, d, k: norm(t, 2, d, k), "abs 1e-7 rel 2e-6")
for o in (0, 1, 3, 0.5, -1, INF, -INF):
    rec.case(f"ord_{o}", lambda t: norm(t, o, [1]), [x], {"ord": o, "dims": [1]}, "abs 1e-7 rel 4e-6")
    rec.case(f"ord_{o}_edges", lambda t: norm(t, o, [1]), [edges], {"ord": o, "dims": [1]}, "abs 1e-7 rel 4e-6")
rec.case("dtype", lambda t: norm(t, 2, [1], dtype=torch.float64), [x], {"dims": [1], "dtype": torch.float64}, "ulp 4")
rec.error("integers", [i8], {}, "c2")

for name, call in (("max", torch.max), ("min", torch.min)):
    rec.op(name)
    for dim in (0, 1, 2, -1):
        for keep in (False, True):
            rec.case(f"{dim}{'_keep' if keep else ''}", lambda t: call(t, dim, keep), [x], {"dim": dim, "keepdim": keep or None})
    rec.case("ties", lambda t: call(t, 1), [ties], {"dim": 1}, "value")
    rec.case("edges", lambda t: call(t, 1), [edges], {"dim": 1}, "value")
    rec.case("zero_dims", lambda t: call(t, 0), [torch.tensor(2.0)])
    for kind, t in (("i8", i8), ("i64", i64), ("u8", u8), ("bool", bools), ("f16", x.half()), ("f64", x.double())):
        rec.case(kind, lambda t: call(t, 1), [t], {"dim": 1})
    rec.error("empty", [torch.empty(2, 0)], {"dim": 1}, "c3")
    rec.error("dim", [x], {"dim": 3}, "c1")

for name, call in (("argmax", torch.argmax), ("argmin", torch.argmin)):
    rec.op(name)
    for dim in (None, 0, 1, -1):
        for keep in (False, True):
            rec.case(f"{dim}{'_keep' if keep else ''}", lambda t: call(t, dim, keep), [x], {"dim": dim, "keepdim": keep or None})
    rec.case("ties", lambda t: call(t, 1), [ties], {"dim": 1})
    rec.case("edges", lambda t: call(t, 1), [edges], {"dim": 1})
    rec.case("zero_dims", lambda t: call(t), [torch.tensor(2.0)])
    for kind, t in (("i8", i8), ("i64", i64), ("u8", u8), ("bf16", x.bfloat16())):
        rec.case(kind, lambda t: call(t, 1), [t], {"dim": 1})
    rec.error("empty", [torch.empty(0)], {}, "c3")

rec.op("median")
odd = torch.tensor([[5.0, 1.0, 4.0, 2.0, 3.0], [0.5, -1.0, 7.0, 2.5, NAN]])
for dim in (0, 1, -1):
    rec.case(f"{dim}", lambda t: torch.median(t, dim), [odd], {"dim": dim})
rec.case("even", lambda t: torch.median(t, 1), [torch.randn(3, 4)], {"dim": 1})
rec.case("keep", lambda t: torch.median(t, 1, True), [torch.randn(3, 4)], {"dim": 1, "keepdim": True})
rec.case("i64", lambda t: torch.median(t, 1), [i64], {"dim": 1}, ["exact", "skip"])
rec.case("zero_dims", lambda t: torch.median(t, 0), [torch.tensor(1.0)])

rec.op("kthvalue")
for k in (1, 2, 5):
    rec.case(f"{k}", lambda t: torch.kthvalue(t, k), [odd], {"k": k})
    rec.case(f"{k}_keep", lambda t: torch.kthvalue(t, k, 1, True), [odd], {"k": k, "dim": 1, "keepdim": True})
rec.case("ties", lambda t: torch.kthvalue(t, 3), [ties], {"k": 3}, ["value", "skip"])
rec.error("k", [odd], {"k": 6}, "c3")

rec.op("aminmax")
for dim in (None, 0, 1, -1):
    for keep in (False, True):
        rec.case(f"{dim}", lambda t: torch.aminmax(t, dim=dim, keepdim=keep), [x], {"dim": dim, "keepdim": keep or None})
rec.case("edges", lambda t: torch.aminmax(t, dim=1), [edges], {"dim": 1}, "value")
rec.case("i8", lambda t: torch.aminmax(t), [i8])

SCANS = "abs 1e-6 rel 1e-6"
for name, call, tol in (("cumsum", torch.cumsum, SCANS), ("cumprod", torch.cumprod, SCANS)):
    rec.op(name)
    for dim in (0, 1, 2, -1):
        rec.case(f"{dim}", lambda t: call(t, dim), [x], {"dim": dim}, tol)
    rec.case("long", lambda t: call(t, 1), [long_row], {"dim": 1}, tol if name == "cumsum" else "abs 1e-30 rel 1e-4")
    rec.case("edges", lambda t: call(t, 1), [edges], {"dim": 1}, tol)
    rec.case("zero_dims", lambda t: call(t, 0), [torch.tensor(2.0)])
    rec.case("empty", lambda t: call(t, 1), [torch.empty(2, 0)], {"dim": 1})
    for kind, t in (("i8", i8), ("i64", i64), ("u8", u8), ("bool", bools)):
        rec.case(kind, lambda t: call(t, 1), [t], {"dim": 1})
    rec.case("dtype", lambda t: call(t, 1, dtype=torch.float64), [x], {"dim": 1, "dtype": torch.float64}, "abs 1e-14 rel 1e-13")
    rec.case("dtype_i32", lambda t: call(t, 1, dtype=torch.int32), [i8], {"dim": 1, "dtype": torch.int32})
    rec.case("f16", lambda t: call(t, 1), [x.half()], {"dim": 1}, "ulp 2")
    rec.error("dim", [x], {"dim": 3}, "c1")

rec.op("logcumsumexp")
for dim in (0, 1, -1):
    rec.case(f"{dim}", lambda t: torch.logcumsumexp(t, dim), [x], {"dim": dim}, "abs 1e-6 rel 1e-6")
rec.case("edges", lambda t: torch.logcumsumexp(t, 1), [edges], {"dim": 1}, "abs 1e-6 rel 1e-6")
rec.case("f64", lambda t: torch.logcumsumexp(t, 1), [x.double()], {"dim": 1}, "abs 1e-14 rel 1e-14")
rec.error("integers", [i8], {}, "c2")

for name, call in (("cummax", torch.cummax), ("cummin", torch.cummin)):
    rec.op(name)
    for dim in (0, 1, -1):
        rec.case(f"{dim}", lambda t: call(t, dim), [x], {"dim": dim})
    rec.case("ties", lambda t: call(t, 1), [ties], {"dim": 1}, "value")
    rec.case("edges", lambda t: call(t, 1), [edges], {"dim": 1}, "value")
    rec.case("i8", lambda t: call(t, 1), [i8], {"dim": 1})
    rec.case("f16", lambda t: call(t, 1), [x.half()], {"dim": 1})

shuffled = torch.stack([torch.randperm(10).float() - 4, torch.randperm(10).float() - 7])
shuffled[0, 3], shuffled[1, 2], shuffled[1, 7] = NAN, INF, -INF
rec.op("topk")
for k in (0, 1, 3, 10):
    for largest in (True, False):
        rec.case(f"{k}_{largest}", lambda t: torch.topk(t, k, 1, largest), [shuffled], {"k": k, "dim": 1, "largest": largest})
rec.case("first_dim", lambda t: torch.topk(t, 2, 0), [shuffled.t().contiguous()], {"k": 2, "dim": 0})
rec.case("default_dim", lambda t: torch.topk(t, 2), [x], {"k": 2})
rec.case("i64", lambda t: torch.topk(t, 2), [torch.tensor([[3, 1, 2], [-2, 7, 9]])], {"k": 2})
rec.case("u8", lambda t: torch.topk(t, 2), [torch.tensor([5, 200, 7], dtype=torch.uint8)], {"k": 2})
rec.case("f16", lambda t: torch.topk(t, 2), [x.half()], {"k": 2})
rec.case("zero_dims", lambda t: torch.topk(t, 1), [torch.tensor(4.0)], {"k": 1})
rec.case("ties", lambda t: torch.topk(t, 3), [ties], {"k": 3}, ["value", "skip"])
rec.error("k", [x], {"k": 5}, "c2")

rec.op("sort")
for dim in (0, 1, -1):
    for descending in (False, True):
        rec.case(f"{dim}_{descending}", lambda t: torch.sort(t, dim=dim, descending=descending, stable=True), [shuffled],
                 {"dim": dim, "descending": descending, "stable": True})
rec.case("ties", lambda t: torch.sort(t, stable=True), [ties], {"stable": True}, ["value", "exact"])
rec.case("ties_descending", lambda t: torch.sort(t, stable=True, descending=True), [ties], {"stable": True, "descending": True}, ["value", "exact"])
rec.case("i64", torch.sort, [torch.tensor([[3, 1, 2], [-2, 7, -9]])])
rec.case("bool", lambda t: torch.sort(t, stable=True), [bools], {"stable": True})
rec.case("zero_dims", torch.sort, [torch.tensor(4.0)])
rec.case("empty", torch.sort, [torch.empty(2, 0)])
rec.op("argsort")
for descending in (False, True):
    rec.case(f"{descending}", lambda t: torch.argsort(t, dim=1, descending=descending, stable=True), [shuffled], {"dim": 1, "descending": descending})
rec.case("default", lambda t: torch.argsort(t, stable=True), [ties])
rec.case("u8", lambda t: torch.argsort(t, stable=True), [u8])
rec.case("first", lambda t: torch.argsort(t, dim=0, stable=True), [i8], {"dim": 0})

rec.op("diff")
rec.case("default", torch.diff, [x])
for dim in (0, 1, -1):
    rec.case(f"{dim}", lambda t: torch.diff(t, dim=dim), [x], {"dim": dim})
for n in (0, 2, 3, 4, 6):
    rec.case(f"n_{n}", lambda t: torch.diff(t, n), [x], {"n": n})
rec.case("prepend", lambda t, p: torch.diff(t, prepend=p), [x, torch.randn(2, 3, 2)])
rec.case("append", lambda t, p, a: torch.diff(t, append=a), [x, None, torch.randn(2, 3, 1)])
rec.case("both", lambda t, p, a: torch.diff(t, dim=1, prepend=p, append=a), [x, torch.randn(2, 1, 4), torch.randn(2, 2, 4)], {"dim": 1})
rec.case("bool", torch.diff, [bools])
rec.case("i64", torch.diff, [i64])
rec.case("i8_wraps", torch.diff, [i8])
rec.case("f16_twice", lambda t: torch.diff(t, 2), [x.half()], {"n": 2})
rec.error("zero_dims", [torch.tensor(1.0)], {}, "c1")
rec.error("negative", [x], {"n": -1}, "c3")

rec.op("bucketize")
bounds = torch.tensor([-1.0, 0.0, 0.0, 1.5])
for right in (False, True):
    rec.case(f"{right}", lambda t, b: torch.bucketize(t, b, right=right), [torch.tensor([[-INF, -1.0, -0.5], [0.0, 1.5, NAN]]), bounds], {"right": right})
rec.case("int32", lambda t, b: torch.bucketize(t, b, out_int32=True), [x, bounds], {"out_int32": True})
rec.case("integers", torch.bucketize, [i64, torch.tensor([1, 2, 2, 5])])
rec.case("empty_bounds", torch.bucketize, [x, torch.empty(0)])
rec.case("mixed", torch.bucketize, [i64, torch.tensor([1.5, 2.5])])
rec.error("rank", [x, torch.randn(2, 2)], {}, "c1")
rec.write()
