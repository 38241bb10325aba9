"""Records the operators that move elements: shape, view, join, padding, indexing, scattering."""

import torch
import torch.nn.functional as F
from recording import Recorder

torch.manual_seed(5)
aten = torch.ops.aten
rec = Recorder("shape", dynamic=False)
x = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
m = torch.arange(12, dtype=torch.int8).reshape(3, 4) - 5
wide = torch.arange(6, dtype=torch.int64).reshape(2, 3)
half = torch.arange(6, dtype=torch.float16).reshape(2, 3)
double = torch.arange(6, dtype=torch.float64).reshape(3, 2)
flags = torch.tensor([[True, False, True], [False, False, True]])
scalar = torch.tensor(3.5)
empty = torch.zeros(0, 3)

rec.op("reshape")
for name, shape in {"same": [2, 3, 4], "merge": [6, 4], "split": [2, 3, 2, 2], "open": [-1, 8], "flat": [24], "ones": [1, 24, 1]}.items():
    rec.case(name, lambda t, s=shape: t.reshape(s), [x], {"shape": shape})
rec.case("scalar_to_one", lambda t: t.reshape(1, 1), [scalar], {"shape": [1, 1]})
rec.case("one_to_scalar", lambda t: t.reshape([]), [torch.ones(1)], {"shape": []})
rec.case("empty", lambda t: t.reshape(3, 0, 2), [empty], {"shape": [3, 0, 2]})
rec.case("wide", lambda t: t.reshape(3, 2), [wide], {"shape": [3, 2]})
rec.error("two_open", [x], {"shape": [-1, -1]}, "c1")
rec.error("count", [x], {"shape": [5, 5]}, "c2")
rec.error("open_count", [x], {"shape": [5, -1]}, "c2")
rec.error("open_zero", [empty], {"shape": [0, -1]}, "c3")

rec.op("permute")
for dims in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [-1, 0, 1], [0, 2, 1]):
    rec.case("_".join(map(str, dims)), lambda t, d=dims: t.permute(d), [x], {"dims": dims})
rec.case("i8", lambda t: t.permute(1, 0), [m], {"dims": [1, 0]})
rec.case("f64", lambda t: t.permute(1, 0), [double], {"dims": [1, 0]})
rec.case("f16", lambda t: t.permute(1, 0), [half], {"dims": [1, 0]})
rec.case("bool", lambda t: t.permute(1, 0), [flags], {"dims": [1, 0]})
rec.case("scalar", lambda t: t.permute([]), [scalar], {"dims": []})
rec.error("twice", [x], {"dims": [0, 0, 1]}, "c1")
rec.error("rank", [x], {"dims": [1, 0]}, "c1")
rec.error("outside", [x], {"dims": [0, 1, 3]}, "c1")

rec.op("squeeze")
ones = torch.arange(6.0).reshape(1, 2, 1, 3)
rec.case("all", lambda t: t.squeeze(), [ones], {"all": True})
rec.case("one", lambda t: t.squeeze(2), [ones], {"dims": [2]})
rec.case("not_one", lambda t: t.squeeze(1), [ones], {"dims": [1]})
rec.case("several", lambda t: t.squeeze((0, -2, 1)), [ones], {"dims": [0, -2, 1]})
rec.case("none", lambda t: torch.squeeze(t, ()), [ones], {"dims": []})
rec.case("scalar", lambda t: t.squeeze(0), [scalar], {"dims": [0]})
rec.error("outside", [ones], {"dims": [4]}, "c1")

rec.op("unsqueeze")
for d in (0, 1, 3, -1, -4):
    rec.case(f"dim_{d}", lambda t, d=d: t.unsqueeze(d), [x], {"dim": d})
rec.case("scalar", lambda t: t.unsqueeze(0), [scalar], {"dim": 0})
rec.error("outside", [x], {"dim": 4}, "c1")

rec.op("expand")
thin = torch.arange(3.0).reshape(3, 1)
rec.case("dim", lambda t: t.expand(3, 4), [thin], {"shape": [3, 4]})
rec.case("keep", lambda t: t.expand(-1, 4), [thin], {"shape": [-1, 4]})
rec.case("lead", lambda t: t.expand(2, 3, 4), [thin], {"shape": [2, 3, 4]})
rec.case("scalar", lambda t: t.expand(2, 2), [scalar], {"shape": [2, 2]})
rec.case("to_empty", lambda t: t.expand(3, 0), [thin], {"shape": [3, 0]})
rec.error("grow", [thin], {"shape": [4, 4]}, "c2")
rec.error("rank", [thin], {"shape": [3]}, "c1")
rec.error("open_lead", [thin], {"shape": [-1, 3, 1]}, "c1")

rec.op("identity")
rec.case("f32", lambda t: t.clone(), [x])
rec.case("scalar", lambda t: t.clone(), [scalar])

rec.op("slice")
for name, (d, a, b, s) in {"plain": (1, 1, 3, 1), "step": (2, 0, 4, 2), "step3": (2, 1, 4, 3), "negative": (2, -3, -1, 1), "clamped": (1, -9, 99, 1),
                           "backwards": (1, 2, 1, 1), "last": (-1, 2, 4, 1), "to_end": (1, 1, 2**63 - 1, 1)}.items():
    rec.case(name, lambda t, d=d, a=a, b=b, s=s: aten.slice.Tensor(t, d, a, b, s), [x], {"dim": d, "start": a, "end": b, "step": s})
rec.case("open", lambda t: aten.slice.Tensor(t, 1, None, None, 2), [x], {"dim": 1, "step": 2})
rec.case("i8", lambda t: t[1:3], [m], {"start": 1, "end": 3})
rec.error("step", [x], {"step": 0}, "c2")
rec.error("dim", [x], {"dim": 3}, "c1")

rec.op("select")
for d, i in ((0, 1), (1, -1), (-1, 2)):
    rec.case(f"{d}_{i}", lambda t, d=d, i=i: t.select(d, i), [x], {"dim": d, "index": i})
rec.case("to_scalar", lambda t: t.select(0, 2), [torch.arange(4)], {"index": 2})
rec.error("outside", [x], {"dim": 1, "index": 3}, "c2")

rec.op("split")
rec.case("even", lambda t: t.split([2, 2], 2), [x], {"sizes": [2, 2], "dim": 2})
rec.case("uneven", lambda t: t.split([1, 0, 2], 1), [x], {"sizes": [1, 0, 2], "dim": 1})
rec.case("negative_dim", lambda t: t.split([3, 1], -1), [m], {"sizes": [3, 1], "dim": -1})

rec.op("unbind")
rec.case("first", lambda t: t.unbind(0), [x], {"dim": 0})
rec.case("last", lambda t: t.unbind(-1), [m], {"dim": -1})

rec.op("diagonal")
for o, a, b in ((0, 0, 1), (1, 1, 2), (-1, 1, 2), (2, 0, -1), (5, 0, 1), (-1, 2, 0)):
    rec.case(f"{o}_{a}_{b}", lambda t, o=o, a=a, b=b: t.diagonal(o, a, b), [x], {"offset": o, "dim1": a, "dim2": b})
rec.error("equal", [x], {"dim1": 1, "dim2": -2}, "c1")

rec.op("as_strided")
rec.case("transpose", lambda t: t.as_strided((4, 3), (1, 4)), [m], {"size": [4, 3], "stride": [1, 4]})
rec.case("overlap", lambda t: t.as_strided((3, 3), (2, 1), 1), [m], {"size": [3, 3], "stride": [2, 1], "storage_offset": 1})
rec.case("repeat", lambda t: t.as_strided((2, 5), (0, 2)), [m], {"size": [2, 5], "stride": [0, 2]})
rec.case("scalar", lambda t: t.as_strided((), (), 7), [m], {"size": [], "stride": [], "storage_offset": 7})
rec.error("outside", [m], {"size": [4, 4], "stride": [4, 1]}, "c2")

rec.op("unfold")
for d, n, s in ((1, 2, 1), (2, 3, 2), (0, 2, 1), (-1, 1, 3), (2, 4, 1)):
    rec.case(f"{d}_{n}_{s}", lambda t, d=d, n=n, s=s: t.unfold(d, n, s), [x], {"dimension": d, "size": n, "step": s})
rec.case("scalar", lambda t: t.unfold(0, 1, 1), [scalar], {"dimension": 0, "size": 1, "step": 1})
rec.error("size", [x], {"dimension": 1, "size": 4, "step": 1}, "c2")

rec.op("flip")
for dims in ([0], [1, 2], [-1], []):
    rec.case("dims_" + "_".join(map(str, dims)), lambda t, d=dims: t.flip(d), [x], {"dims": dims})
rec.error("twice", [x], {"dims": [0, -3]}, "c1")

rec.op("roll")
for s, d in (([1], [1]), ([-1], [2]), ([5, 2], [1, 2]), ([7], []), ([0], [0]), ([1, 1], [1, 1])):
    rec.case(f"{'_'.join(map(str, s))}_at_{'_'.join(map(str, d))}", lambda t, s=s, d=d: t.roll(s, d), [x], {"shifts": s, "dims": d})
rec.error("count", [x], {"shifts": [1, 2], "dims": [0]}, "c2")

for name, call in (("tril", torch.tril), ("triu", torch.triu)):
    rec.op(name)
    for k in (0, 1, -1, 9, -9):
        rec.case(f"by_{k}", lambda t, k=k: call(t, k), [x + 1], {"diagonal": k})
    rec.case("i8", lambda t: call(t), [m])
    rec.error("rank", [torch.ones(3)], {}, "c1")

rec.op("pixel_shuffle")
rec.case("two", lambda t: F.pixel_shuffle(t, 2), [torch.arange(32.0).reshape(1, 8, 2, 2)], {"upscale_factor": 2})
rec.case("three_dims", lambda t: F.pixel_shuffle(t, 3), [torch.arange(18.0).reshape(9, 1, 2)], {"upscale_factor": 3})
rec.error("channels", [torch.ones(1, 6, 2, 2)], {"upscale_factor": 2}, "c3")
rec.op("pixel_unshuffle")
rec.case("two", lambda t: F.pixel_unshuffle(t, 2), [torch.arange(32.0).reshape(1, 2, 4, 4)], {"downscale_factor": 2})
rec.error("pixels", [torch.ones(1, 6, 3, 2)], {"downscale_factor": 2}, "c3")
rec.op("channel_shuffle")
rec.case("three", lambda t: torch.channel_shuffle(t, 3), [torch.arange(24.0).reshape(1, 6, 2, 2)], {"groups": 3})
rec.error("groups", [torch.ones(1, 6, 2, 2)], {"groups": 4}, "c2")

rec.op("repeat")
for r in ([1, 1, 1], [2, 1, 3], [2, 1, 2, 1], [0, 1, 1]):
    rec.case("_".join(map(str, r)), lambda t, r=r: t.repeat(r), [x], {"repeats": r})
rec.case("scalar", lambda t: t.repeat(3), [scalar], {"repeats": [3]})
rec.error("rank", [x], {"repeats": [2, 2]}, "c1")

rec.op("repeat_interleave")
rec.case("dim", lambda t: t.repeat_interleave(2, 1), [x], {"repeats": 2, "dim": 1})
rec.case("last", lambda t: t.repeat_interleave(3, -1), [m], {"repeats": 3, "dim": -1})
rec.case("flat", lambda t: t.repeat_interleave(2), [m], {"repeats": 2})
rec.case("counts", lambda t, c: t.repeat_interleave(c, 1), [x, torch.tensor([2, 0, 1])], {"dim": 1}, open=True)
rec.case("one_count", lambda t, c: t.repeat_interleave(c, 1), [x, torch.tensor([2])], {"dim": 1}, open=True)

rec.op("cat")
rec.case("dim0", lambda *t: torch.cat(t), [m, m[:1], m], {"dim": 0})
rec.case("dim1", lambda *t: torch.cat(t, 1), [x, x[:, :1]], {"dim": 1})
rec.case("last", lambda *t: torch.cat(t, -1), [wide, wide], {"dim": -1})
rec.case("legacy_empty", lambda *t: torch.cat(t, 1), [torch.zeros(0), x, torch.zeros(0)], {"dim": 1})
rec.case("all_empty", lambda *t: torch.cat(t), [torch.zeros(0), torch.zeros(0)], {"dim": 0})
rec.case("single", lambda *t: torch.cat(t), [x], {"dim": 0})
rec.error("rank", [x, wide.float()], {}, "c1")
rec.error("extent", [x, x[:, :2]], {"dim": 0}, "c3")
rec.error("dim", [x, x], {"dim": 3}, "c2")
rec.error("dtype", [m, m.to(torch.uint8)], {}, "elements")

rec.op("stack")
for d in (0, 1, -1, 3):
    rec.case(f"dim_{d}", lambda *t, d=d: torch.stack(t, d), [x, x + 24, x], {"dim": d})
rec.case("scalars", lambda *t: torch.stack(t), [scalar, scalar * 2], {"dim": 0})
rec.error("shapes", [x, x[:1]], {}, "c1")

rec.op("meshgrid")
a, b, c = torch.arange(2.0), torch.arange(3), scalar
rec.case("ij", lambda *t: torch.meshgrid(*t, indexing="ij"), [torch.arange(2.0), torch.arange(3.0), scalar], {"indexing": "ij"})
rec.case("xy", lambda *t: torch.meshgrid(*t, indexing="xy"), [torch.arange(2.0), torch.arange(3.0), torch.arange(4.0)], {"indexing": "xy"})

rec.op("pad")
for mode, pads in (("constant", ([1, 2], [0, 0, 1, 1], [1, 0, 0, 2, 1, 1], [-1, 2], [-1, -1], [2, -3, 1, 0])),
                   ("reflect", ([2, 1], [1, 3, 2, 1])), ("replicate", ([2, 1], [0, 2, 3, 0])), ("circular", ([3, 4], [1, 0, 2, 2]))):
    for p in pads:
        rec.case(f"{mode}_{'_'.join(map(str, p))}", lambda t, p=p, mode=mode: F.pad(t, p, mode=mode), [x], {"pad": p, "mode": mode})
rec.case("value", lambda t: F.pad(t, (1, 1), value=2.5), [x], {"pad": [1, 1], "value": 2.5})
rec.case("minus_infinity", lambda t: F.pad(t, (0, 1), value=float("-inf")), [x], {"pad": [0, 1], "value": float("-inf")})
rec.case("integer", lambda t: F.pad(t, (1, 0), value=-7), [m], {"pad": [1, 0], "value": -7})
rec.error("reflect_long", [x], {"pad": [4, 0], "mode": "reflect"}, "c4")
rec.error("crop", [x], {"pad": [-3, -2]}, "c3")
rec.error("odd", [x], {"pad": [1]}, "c1")
rec.error("mode", [x], {"pad": [1, 1], "mode": "mirror"}, "c2")

rec.op("embedding")
rec.case("two_dims", lambda w, i: F.embedding(i, w), [torch.randn(5, 3), torch.tensor([[4, 0], [1, 1]])])
rec.case("scalar", lambda w, i: F.embedding(i, w), [torch.randn(5, 3), torch.tensor(2)])
rec.error("outside", [torch.randn(5, 3), torch.tensor([5])], {}, "c2")

rec.op("index_select")
rec.case("rows", lambda t, i: t.index_select(1, i), [x, torch.tensor([2, 0, 0])], {"dim": 1})
rec.case("i32", lambda t, i: t.index_select(-1, i), [m, torch.tensor([3, 1], dtype=torch.int32)], {"dim": -1})
rec.case("scalar_index", lambda t, i: t.index_select(0, i), [m, torch.tensor(1)], {"dim": 0})
rec.case("scalar_input", lambda t, i: t.index_select(0, i), [scalar, torch.tensor([0])], {"dim": 0})
rec.case("nothing", lambda t, i: t.index_select(0, i), [m, torch.zeros(0, dtype=torch.int64)], {"dim": 0})
rec.error("outside", [m, torch.tensor([3])], {"dim": 0}, "c2")

rec.op("gather")
rec.case("last", lambda t, i: t.gather(1, i), [m, torch.tensor([[0, 3], [1, 1], [2, 0]])], {"dim": 1})
rec.case("shorter", lambda t, i: t.gather(0, i), [m, torch.tensor([[2, 0], [1, 1]])], {"dim": 0})
rec.case("longer", lambda t, i: t.gather(-1, i), [m, torch.randint(0, 4, (3, 6))], {"dim": -1})
rec.case("three", lambda t, i: t.gather(1, i), [x, torch.randint(0, 3, (2, 2, 4))], {"dim": 1})
rec.case("scalar", lambda t, i: t.gather(0, i), [scalar, torch.tensor(0)], {"dim": 0})
rec.case("nothing", lambda t, i: t.gather(1, i), [m, torch.zeros(3, 0, dtype=torch.int64)], {"dim": 1})
rec.error("outside", [m, torch.tensor([[4]])], {"dim": 1}, "c3")

rec.op("index")
i, j = torch.tensor([1, 0, 1]), torch.tensor([2, 2, 0])
rec.case("first", lambda t, a: t[a], [x, i])
rec.case("two_dims", lambda t, a: t[a], [x, torch.tensor([[1, 0], [0, 0]])])
rec.case("adjacent", lambda t, _, a, b: t[:, a, b], [x, None, j, torch.tensor([3, 0, 1])])
rec.case("apart", lambda t, a, _, b: t[a, :, b], [x, i, None, torch.tensor([3, 0, 1])])
rec.case("broadcast", lambda t, a, b: t[a, b], [x, torch.tensor([[0], [1]]), j])
rec.case("negative", lambda t, a: t[a], [m, torch.tensor([-1, -3])])
rec.case("scalar_index", lambda t, a, b: t[a, b], [x, torch.tensor(1), j])
rec.case("mask", lambda t, k: t[k], [wide, flags], open=True)
rec.case("row_mask", lambda t, k: t[k], [m, torch.tensor([True, False, True])], open=True)
rec.case("mask_and_index", lambda t, k, a: t[k, a], [x, torch.tensor([[True, False, True], [False, True, False]]), j])
rec.case("last_mask", lambda t, _, k: t[:, k], [wide, None, torch.tensor([True, False, True])], open=True)
rec.error("too_many", [m, i, i, i], {}, "c1")
rec.error("outside", [m, torch.tensor([3])], {}, "c3")
rec.error("shapes", [m, i, torch.tensor([0, 1])], {}, "c2")
rec.error("mask_extent", [m, torch.tensor([True, False])], {}, "c4")

rec.op("index_put")
put = lambda acc: (lambda t, v, *ix: aten.index_put(t, list(ix), v, acc))
rec.case("rows", put(False), [m, torch.tensor([[9, 9, 9, 9], [8, 8, 8, 8]], dtype=torch.int8), torch.tensor([2, 0])])
rec.case("broadcast", put(False), [x, torch.tensor([5.0]), torch.tensor([1]), torch.tensor([0, 2])])
rec.case("scalar_value", put(False), [wide.float(), torch.tensor(7.0), flags])
rec.case("masked_values", put(False), [wide.float(), torch.tensor([1.5, 2.5, 3.5]), flags])
rec.case("middle", put(False), [x, torch.ones(2, 2, 4), None, torch.tensor([2, 0])])
rec.case("accumulate", put(True), [torch.zeros(4), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1, 1, 3])], {"accumulate": True})
rec.case("accumulate_int", put(True), [torch.zeros(4, dtype=torch.int64), torch.tensor([1, 2, 3]), torch.tensor([1, 1, -1])], {"accumulate": True})

rec.op("index_copy")
rec.case("rows", lambda t, k, s: t.index_copy(0, k, s), [m, torch.tensor([2, 0]), m[:2] + 50], {"dim": 0})
rec.case("columns", lambda t, k, s: t.index_copy(1, k, s), [x, torch.tensor([1]), -x[:, :1]], {"dim": 1})
rec.error("shape", [m, torch.tensor([2, 0]), m], {"dim": 0}, "c3")

rec.op("index_add")
rec.case("rows", lambda t, k, s: t.index_add(0, k, s), [torch.ones(3, 2), torch.tensor([0, 2, 0]), torch.arange(6.0).reshape(3, 2)], {"dim": 0})
rec.case("alpha", lambda t, k, s: t.index_add(1, k, s, alpha=2), [torch.ones(2, 3), torch.tensor([2, 2]), torch.ones(2, 2)], {"dim": 1, "alpha": 2})

rec.op("scatter")
at = torch.tensor([[0, 2, 1], [2, 1, 0]])
rec.case("src", lambda t, k, s: t.scatter(0, k, s), [torch.zeros(3, 3), at, torch.arange(1.0, 7).reshape(2, 3)], {"dim": 0})
rec.case("src_longer", lambda t, k, s: t.scatter(1, k, s), [torch.zeros(3, 4), at[:, :2], torch.arange(1.0, 13).reshape(3, 4)], {"dim": 1})
rec.case("value", lambda t, k, _: t.scatter(0, k, 5.0), [torch.zeros(3, 3), at, None], {"dim": 0, "value": 5.0})
rec.case("value_int", lambda t, k, _: t.scatter(1, k, -3), [m, torch.tensor([[0], [3], [1]]), None], {"dim": 1, "value": -3})
rec.case("add", lambda t, k, s: t.scatter(1, k, s, reduce="add"), [torch.ones(2, 3), torch.tensor([[0, 0, 1], [2, 2, 2]]), torch.arange(6.0).reshape(2, 3)],
         {"dim": 1, "reduce": "add"})
rec.case("multiply", lambda t, k, s: t.scatter(1, k, s, reduce="multiply"), [torch.ones(2, 3) * 2, torch.tensor([[0], [2]]), torch.full((2, 1), 3.0)],
         {"dim": 1, "reduce": "multiply"})
rec.error("both", [torch.zeros(3, 3), at, torch.ones(2, 3)], {"dim": 0, "value": 1.0}, "c4")

rec.op("slice_scatter")
rec.case("plain", lambda t, s: t.slice_scatter(s, 1, 1, 3), [x, -x[:, :2]], {"dim": 1, "start": 1, "end": 3})
rec.case("step", lambda t, s: t.slice_scatter(s, 2, 0, 4, 2), [x, -x[:, :, :2]], {"dim": 2, "start": 0, "end": 4, "step": 2})
rec.case("negative", lambda t, s: t.slice_scatter(s, -1, -1), [m, m[:, :1] + 50], {"dim": -1, "start": -1})
rec.error("shape", [x, x], {"dim": 1, "start": 1, "end": 3}, "c3")

rec.op("select_scatter")
rec.case("middle", lambda t, s: t.select_scatter(s, 1, 2), [x, -x[:, 0]], {"dim": 1, "index": 2})
rec.case("last", lambda t, s: t.select_scatter(s, -1, -1), [m, m[:, 0] + 50], {"dim": -1, "index": -1})
rec.error("shape", [x, x], {"dim": 1, "index": 2}, "c3")

rec.op("masked_scatter")
rec.case("plain", lambda t, k, s: t.masked_scatter(k, s), [wide.float(), flags, torch.tensor([7.0, 8.0, 9.0, 10.0])])
rec.case("broadcast_mask", lambda t, k, s: t.masked_scatter(k, s), [wide.float(), torch.tensor([True, False, True]), torch.arange(10.0, 20)])
rec.error("short", [wide.float(), flags, torch.tensor([7.0])], {}, "c2")

rec.op("masked_select")
rec.case("plain", lambda t, k: t.masked_select(k), [wide, flags], open=True)
rec.case("broadcast", lambda t, k: t.masked_select(k), [wide, torch.tensor([[True], [False]])], open=True)
rec.case("none", lambda t, k: t.masked_select(k), [wide, torch.zeros(2, 3, dtype=torch.bool)], open=True)

rec.op("nonzero")
rec.case("f32", lambda t: t.nonzero(), [torch.tensor([[0.0, -0.0, 2.0], [float("nan"), 0.0, 1.0]])], open=True)
rec.case("bool", lambda t: t.nonzero(), [flags], open=True)
rec.case("scalar", lambda t: t.nonzero(), [scalar], open=True)
rec.case("nothing", lambda t: t.nonzero(), [torch.zeros(3)], open=True)

rec.write()
