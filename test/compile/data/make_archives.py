#!/usr/bin/env python3
"""Writes the archives of this folder, with inputs and what torch gives for them: NAME.pt2, NAME.SET_in_K.npy,
NAME.SET_out_K.npy. Needs torch 2.13; the tests do not. Control flow, dynamic shapes, numbers read from tensors,
assertions.

    make_archives.py [NAME...]
"""
import os
import sys

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch.export import Dim
from torch._higher_order_ops.map import map as map_parts
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.strict_mode import strict_mode
from torch._higher_order_ops.while_loop import while_loop

Q = torch.ops.quantized_decomposed
OUT = os.path.dirname(os.path.abspath(__file__))
x = torch.linspace(-1, 1, 12).view(3, 4)


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.linear = function, nn.Linear(4, 4)
        self.cells = cells if function is run_cells else None
        if function in (quantized_branches, composed_folds):
            self.register_buffer("w", torch.arange(-8, 8, dtype=torch.int8).view(4, 4) * 9)
            self.register_buffer("s", torch.tensor([0.5, 0.25, 0.125, 0.0625]) / 16)
            self.register_buffer("z", torch.zeros(4, dtype=torch.int64))
            self.register_buffer("b", torch.tensor([0.5, -1.0, 0.25, 0.0]))

    def forward(self, *arguments):
        return self.function(self, *arguments)


def save(name, function, *sets, dynamic=None, decompose=False):
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        return
    torch.manual_seed(0)
    module = Of(function).eval()
    program = torch.export.export(module, sets[0], dynamic_shapes=dynamic and (dynamic,), strict=False)
    if decompose:
        program = program.run_decompositions()
    for graph in [m.graph for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]:
        for node in graph.nodes:  # stack traces name files of the machine; the rest is long and not looked at
            for key in ("stack_trace", "from_node", "source_fn_stack", "torch_fn"):
                node.meta.pop(key, None)
    torch.export.save(program, f"{OUT}/{name}.pt2")
    for s, arguments in enumerate(sets):
        with torch.no_grad():
            results = module(*[a.clone() if isinstance(a, torch.Tensor) else a for a in arguments])
        results = results if isinstance(results, tuple) else (results,)
        for kind, tensors in (("in", arguments), ("out", results)):
            for k, t in enumerate(tensors):
                if t is None:
                    continue
                value = t.detach().float() if isinstance(t, torch.Tensor) and t.dtype == torch.bfloat16 else t
                value = value.detach().contiguous().numpy() if isinstance(value, torch.Tensor) else numpy.array(value)
                numpy.save(f"{OUT}/{name}.{s}_{kind}_{k}.npy", value)


def autocast(m, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = m.linear(x)
        z, w = y.softmax(-1), torch.cat([y, x], 0)
        v = y @ y.T + x.sum()
    return z.float(), w, v.float(), y.prod(1)


def checked(m, x, n):
    k = n.item()
    torch._check(k >= 0)
    torch._check(k <= 3)
    return x[:k] * k, torch.zeros(k + 1, 3) + x.sum()


def ratio(m, x):
    return x * (x.shape[0] / x.shape[1]), x.sum() / x.numel()


def nested(m, x):
    def body(c, a):
        return torch.cond(a.sum() > 0, lambda c, a: c + a, lambda c, a: c - a * 2, (c, a)), c * a

    return scan(body, torch.zeros(4), x, dim=0)


def shapes_of_found(m, x):
    n = (x > 0).nonzero().shape[0]
    return torch.full((n, 2), 3.0) + x.sum()


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(4, 3), nn.GRUCell(4, 3), nn.RNNCell(4, 3, nonlinearity="relu", bias=False)

    def forward(self, x, h, c):
        h, c = self.lstm(x, (h, c))
        return self.gru(x, h), self.rnn(x, h), c


def quantized_branches(m, x):
    def yes(x, w, s, z, b):
        q = Q.dequantize_per_tensor(Q.quantize_per_tensor(x, 0.02, 0, -128, 127, torch.int8), 0.02, 0, -128, 127, torch.int8)
        y = F.linear(q, Q.dequantize_per_channel(w, s, z, 0, -127, 127, torch.int8), b)
        return Q.dequantize_per_tensor(Q.quantize_per_tensor(y, 0.1, 3, -128, 127, torch.int8), 0.1, 3, -128, 127, torch.int8)

    return torch.cond(x.sum() > 0, yes, lambda x, w, s, z, b: x * 2, (x, m.w, m.s, m.z, m.b))


def run_cells(m, x, h, c):
    return m.cells(x, h, c)


def composed_shapes(m, x):
    v, s, cube = x[0], x[1, 1], torch.stack([x, x * 2])
    flat = lambda *ts: torch.cat([t.flatten() for t in ts])
    return (flat(x.rot90(), x.rot90(2), cube.rot90(3, [0, -1]), cube.rot90(-2, [2, 1]), x.rot90(4)),
            torch.dstack([v, v * 3]), torch.dstack([x, x * 3]), torch.column_stack([v, x.t(), v]), torch.hstack([s, s]), torch.vstack([v, x]),
            flat(*torch.hsplit(x, 2), *torch.hsplit(x, [1, 3]), *torch.hsplit(v, 2), *torch.vsplit(x, [2]), *torch.vsplit(x, 3), *torch.dsplit(cube, 4)),
            x.take(torch.tensor([[0, 11], [5, 5]])), x.take_along_dim(torch.tensor([[2], [0], [1]]), 1), x.take_along_dim(torch.tensor([[2, 0, 1, 1]]), -2),
            x.take_along_dim(torch.tensor([[7], [0]])), flat(v.diag(), v.diag(-2), x.diag(), x.diag(1), x.diag(-3)),
            flat(x.diag_embed(), x.diag_embed(1), x.diag_embed(-2), cube.diag_embed(0, 0, 2), v.diag_embed(1, -1, 0)), torch.block_diag(x, v, s, x[:, :2]),
            flat(*torch.atleast_1d(s, v), *torch.atleast_2d(s, v, x), *torch.atleast_3d([s, v, x, cube])), torch.atleast_1d(s), torch.atleast_2d(v),
            torch.atleast_3d(x), flat(*torch.broadcast_tensors(v, x[:, :1], cube)))


def composed_folds(m, x):
    w = Q.dequantize_per_channel(m.w, m.s, m.z, 0, -128, 127, torch.int8)
    v = w[:, 0]
    return tuple(t * x for t in (w.rot90(), w.rot90(-1), torch.dstack([w])[:, :, 0], torch.column_stack([v, w[:, :3]]), torch.hstack([w[:, :1], w[:, 1:]]),
                                 torch.vstack([w[:1], w[1:]]), torch.hsplit(w, 2)[1].repeat(1, 2), w.take_along_dim(torch.tensor([[2, 0, 1, 1]]), 1), v.diag(),
                                 v[:3].diag_embed(-1), torch.block_diag(w[:2, :2], w[2:, 2:]), torch.atleast_3d(w)[..., 0]))


torch.manual_seed(1)
cells = Cells()
ones, zeros, n = torch.ones(4), torch.zeros(4), Dim("n", min=2, max=50)
save("map", lambda m, x, y: map_parts(lambda a, b: (m.linear(a) + b, a * 2), x, y), (x, ones), (-x, ones * 3))
save("scan", lambda m, x, i: scan(lambda c, a: (m.linear(c) + a, (c * a).relu()), i, x, dim=0), (x, zeros), (-x, ones))
save("scan_reverse", lambda m, x, i: scan(lambda c, a: (c + a, (c * a).relu()), i, x, dim=0, reverse=True), (x, ones))
save("scan_cond", nested, (x,), (-x * 2,))
save("while", lambda m, x: while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, m.linear(a)), (torch.tensor(0), x)), (x,))
save("autocast", autocast, (x,))
save("autocast_core", autocast, (x,), decompose=True)
save("cond_size", lambda m, x: torch.cond(x.shape[0] > 4, lambda a: a.sin(), lambda a: m.linear(a).cos(), (x,)), (x,), (torch.cat([x, x]),),
     dynamic=({0: n},))
save("integer_input", lambda m, x, n: x[:n] * n, (x, 2), (x, 3), dynamic=(None, Dim.DYNAMIC))
save("item_checked", checked, (x, torch.tensor(2)), (x, torch.tensor(0)))
save("item_checked_core", checked, (x, torch.tensor(2)), (x, torch.tensor(3)), decompose=True)
save("size_ratio", ratio, (torch.cat([x, x]),), (torch.cat([x, x, x]),), dynamic=({0: n},))
save("found", shapes_of_found, (x,), (-x - 2,))
save("derived", lambda m, x, y: (x.reshape(-1, 2, 4).sum(1) + y), (torch.cat([x, -x]), x), (torch.cat([x, x, x, x]), torch.cat([x, x])),
     dynamic=({0: 2 * Dim("h")}, {0: Dim("h")}))
save("float_item", lambda m, x, s: x * s.item() + s.item(), (x, torch.tensor(1.5)), (x, torch.tensor(-2.0)))
save("weight_norm", lambda m, v, g, x: F.conv1d(x, torch._weight_norm(v, g, 0)), (x.view(2, 3, 2), torch.tensor([[[2.0]], [[3.0]]]), x.view(1, 3, 4)))
save("cells", run_cells, (x, torch.zeros(3, 3), torch.ones(3, 3)))
save("cond_quantized", quantized_branches, (x + 0.5,), (-x - 0.5,))
save("distances", lambda m, x, y: (F.cosine_similarity(x, y), F.pairwise_distance(x, y), torch.ravel(x.swapdims(0, 1)), x.fliplr()), (x, x.flip(0) + 1))
norm = torch.ops.aten._native_batch_norm_legit_no_training
save("batch_statistics", lambda m, x, v: (*norm(x, v, None, v, v * 2, 0.1, 1e-5), *torch.ops.aten._native_batch_norm_legit.no_stats(x, v, v, True, 0.1, 1e-5)),
     (x, ones))
save("pairs", lambda m, x, y: (torch.cdist(x, y), torch.cdist(x, y, 1.0), torch.cdist(x, y, float("inf"))), (x, x.flip(0)[:2] + 1))
save("returned_numbers", lambda m, x: (x + 1, None, 3, x.shape[0], 2.5, x * 2, True, x.shape[0] * 2 + 1), (x,), (torch.cat([x, x]),), dynamic=({0: n},))


def masked(m, x, y):
    bias = torch.zeros_like(x).masked_fill_(x > 0, -2.0)  # written before it is seen another way
    return bias.view(x.shape[0], 1, 4).expand(-1, 2, -1).reshape(2 * x.shape[0], 4) + y


save("masked_then_seen", masked, (x, ones), (torch.cat([x, -x]), ones), dynamic=({0: n}, None))
save("resized_core", lambda m, x: F.interpolate(x.view(1, 1, -1, 4), scale_factor=1.5, mode="bilinear"), (x,), (torch.cat([x, x, -x]),),
     dynamic=({0: n},), decompose=True)


def repeated(m, x):
    body = torch.fx.symbolic_trace(lambda a, w, b: (torch.relu(torch.addmm(b, a, w)), a + 1))
    call = torch.ops.higher_order.invoke_subgraph
    y, z = call(body, "one", x, m.linear.weight, m.linear.bias)
    return call(body, "one", y, m.linear.weight, m.linear.bias)[0] + z


save("subgraphs", repeated, (x,), (-x,))
save("strict_body", lambda m, x: strict_mode(lambda a: (m.linear(a).sin(), a * 2), (x,)), (x,), (-x,))
save("composed_shapes", composed_shapes, (x,))
save("composed_folds", composed_folds, (torch.cat([x, x[:1]]),))
save("number_operands", lambda m, x: (torch.copysign(x, -2.0), torch.xlogy(x.abs(), 3), torch.xlogy(1.5, x.abs() + 1)), (x,))
P = torch.ops.prims  # what decompositions of torch leave here and there
save("primitives", lambda m, x: (P.view_of(x) + P.scalar_tensor(0.5, dtype=torch.float32, device="cpu"),
                                 P.convert_element_type(x * 3, torch.int32) * P.scalar_tensor(2, dtype=torch.int64, device="cpu")), (x,), (x - 1,))
