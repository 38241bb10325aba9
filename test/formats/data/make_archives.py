#!/usr/bin/env python3
"""Writes the small archives of this folder. Needs torch (2.9 or later) and torchao; the tests need neither.

    make_archives.py [FOLDER]
"""
import io, json, os, sys, zipfile
import torch, torch.nn as nn, torch.nn.functional as F
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch.export import Dim

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
Q = torch.ops.quantized_decomposed


def save(name, module, arguments, dynamic=None, decompose=False):
    torch.manual_seed(0)
    program = torch.export.export(module.eval(), arguments, dynamic_shapes=dynamic, strict=False)
    if decompose:
        program = program.run_decompositions({})
    for graph in [m.graph for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]:
        for node in graph.nodes:                      # stack traces name files of the machine
            node.meta.pop("stack_trace", None)
    torch.export.save(program, f"{OUT}/{name}.pt2")


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *arguments):
        return self.function(*arguments)


def views(x):
    y = x.clone()
    v = y[1:3]
    v.mul_(2)
    y[0].add_(1)
    y.view(-1)[3:5].fill_(7.0)
    y.t().relu_()
    a, b = y.chunk(2, 1)
    a.add_(b)
    return y, v


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("rows", torch.zeros(4, 3))
        self.register_buffer("count", torch.tensor(0), persistent=False)

    def forward(self, x):
        self.rows[1] = x
        self.count.add_(1)
        return self.rows.sum(0) + self.count


class Storages(nn.Module):
    def __init__(self):
        super().__init__()
        big = torch.arange(40, dtype=torch.float32)
        self.register_buffer("slice", big[4:24].view(4, 5))
        self.register_buffer("transposed", big[10:22].view(3, 4).t())
        self.register_buffer("expanded", torch.ones(4, 1).expand(4, 5))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("narrow", torch.tensor([1, 2, 60000], dtype=torch.uint16))
        self.register_buffer("brain", torch.tensor([1.5, -2.0]).bfloat16())
        self.weight = nn.Parameter(torch.arange(96, dtype=torch.float32).view(2, 3, 4, 4).to(memory_format=torch.channels_last))

    def forward(self, x):
        return F.conv2d(x, self.weight) + self.slice.sum() + self.transposed.sum() + self.expanded.sum() + self.brain.float().sum()


class NoGrad(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        y = self.linear(x)
        with torch.no_grad():
            z = y * 2
            w = z + x
        return w.relu(), z


class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.arange(-6, 6, dtype=torch.int8).view(3, 4))
        self.register_buffer("scales", torch.tensor([0.5, 0.25, 0.125]))
        self.register_buffer("zeros", torch.tensor([0, 1, -1]))
        self.register_buffer("one_scale", torch.tensor([0.5]))
        self.register_buffer("one_zero", torch.tensor([3]))

    def forward(self, x):
        w = Q.dequantize_per_channel(self.weight, self.scales, self.zeros, 0, -127, 127, torch.int8)
        x = Q.dequantize_per_tensor(Q.quantize_per_tensor(x, 0.1, 2, -128, 127, torch.int8), 0.1, 2, -128, 127, torch.int8)
        y = F.linear(x, w)
        y = Q.dequantize_per_tensor.tensor(Q.quantize_per_tensor.tensor(y, self.one_scale, self.one_zero, 0, 255, torch.uint8), self.one_scale, self.one_zero, 0, 255, torch.uint8)
        scale, zero = Q.choose_qparams.tensor(y, -128, 127, 1e-5, torch.int8)
        q = Q.quantize_per_tensor.tensor(y, scale, zero, -128, 127, torch.int8)
        return Q.dequantize_per_tensor.tensor(q, scale, zero, -128, 127, torch.int8), q


def torch_bytes(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def old_generations(source):
    """The same program in the layouts of torch 2.7 (A) and 2.8 (B)."""
    program = torch.export.load(f"{OUT}/{source}.pt2")
    with zipfile.ZipFile(f"{OUT}/{source}.pt2") as archive:
        text = archive.read(next(n for n in archive.namelist() if n.endswith("models/model.json"))).decode()
    data = json.loads(text)
    data["schema_version"]["minor"] = 7
    for node in data["graph_module"]["graph"]["nodes"]:
        node.pop("name", None)
    old = json.dumps(data)
    state, constants = dict(program.state_dict), dict(program.constants)
    with zipfile.ZipFile(f"{OUT}/generation_a.pt2", "w") as out:
        out.writestr("serialized_exported_program.json", old)
        out.writestr("serialized_state_dict.pt", torch_bytes(state))
        out.writestr("serialized_constants.pt", torch_bytes(constants))
        out.writestr("serialized_example_inputs.pt", b"")
        out.writestr("version", "8.7")
    with zipfile.ZipFile(f"{OUT}/generation_b.pt2", "w") as out:
        out.writestr("b/data/weights/model.pt", torch_bytes(state))
        out.writestr("b/data/constants/model.pt", torch_bytes(constants))
        out.writestr("b/data/sample_inputs/model.pt", b"")
        out.writestr("b/models/model.json", old, zipfile.ZIP_DEFLATED)
        out.writestr("b/archive_format", "pt2")
        out.writestr("b/archive_version", "0")
        out.writestr("b/.data/version", "6\n")


def main():
    batch, height = Dim("batch", min=1, max=64), Dim("height")
    x = torch.linspace(-1, 1, 24).view(4, 6)
    save("views", Of(views), (x,))
    save("buffers", Buffers(), (torch.ones(3),))
    save("buffers_functional", Buffers(), (torch.ones(3),), decompose=True)
    save("storages", Storages(), (torch.ones(1, 3, 6, 6),))
    save("no_grad", NoGrad(), (torch.ones(3, 4),))
    save("quantized", Quantized(), (torch.ones(2, 4),))
    save("dynamic", Of(lambda x: x.view(x.shape[0], -1).relu().reshape(x.shape[0] * 2, -1)), (torch.ones(4, 6, 2),), {"arguments": ({0: batch},)})
    save("derived", Of(lambda x: x.reshape(-1, 2, 3).sum(1)), (torch.ones(8, 3),), {"arguments": ({0: 2 * height},)})
    save("condition", Of(lambda x: torch.cond(x.sum() > 0, lambda x: x.sin() + 1, lambda x: x.cos() * 2, (x,))), (torch.ones(3, 4),))
    save("item", Of(lambda x, n: x * n.item() + torch.nonzero(x > 0).sum()), (torch.ones(3), torch.tensor(3)))
    old_generations("no_grad")
    from torchao.quantization import quantize_, IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup
    table = nn.Sequential(nn.Embedding(8, 64))
    quantize_(table, IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)), lambda m, _: isinstance(m, nn.Embedding))
    save("subclass", table, (torch.tensor([1, 3]),))


main()
