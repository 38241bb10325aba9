"""Side by side: folding conv-bn residue of quantization-aware training by torchao, by ExecuTorch's FuseQATConvBN, and by zp.

    python bench/peers/qat_fold.py --zp build/zp [--blocks 50 100 200]

Needs torch, torchao and executorch (Cadence's package); nothing else in the project does. For each number of blocks a
stack of conv-bn-relu is prepared, converted and saved with the convolution's output annotated, which leaves the chain
that FuseQATConvBN folds; then each system folds the same graph. Printed: processor seconds, batch norms and operators
left, and dB against the archive's own output and against the float model; noise of this many random layers adds up, so
the archive itself is far from the float model too. torchao's convert is timed as a whole: its fold is a part of it.
"""
import argparse, os, resource, subprocess, sys, tempfile, time, typing, warnings
import typing_extensions
if not hasattr(typing, "override"):
    typing.override = typing_extensions.override
warnings.filterwarnings("ignore")
import numpy as np
import torch
from torch import nn
import executorch.backends.cadence.aot.ops_registrations  # noqa: F401
from executorch.backends.cadence.aot.quantizer.passes.fuse_ops import FuseQATConvBN
from executorch.backends.cadence.aot.quantizer.quantizer import CadenceDefaultQuantizer
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


def warm(model, x):
    """Running statistics of data that come through, as training leaves them; at their initial values they would describe nothing."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    for m in norms:
        m.momentum = 0.1


def batch_norms(graph):
    return sum("batch_norm" in str(n.target) for n in graph.nodes)


def nodes(graph):
    return sum(n.op == "call_function" for n in graph.nodes)


def sqnr(reference, value):
    noise = float(((reference - value) ** 2).sum())
    return float("inf") if noise == 0 else 10 * np.log10(float((reference ** 2).sum()) / noise)


def cpu_seconds():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def one(blocks, zp, folder):
    torch.manual_seed(1)
    x, batch = torch.randn(1, 8, 4, 4), torch.randn(64, 8, 4, 4)
    model = nn.Sequential(*[Block(8) for _ in range(blocks)])
    warm(model, batch)
    prepared = prepare_qat_pt2e(torch.export.export(model.train(), (x,), strict=True).module(), CadenceDefaultQuantizer(is_qat=True))
    move_exported_model_to_eval(prepared)
    with torch.no_grad():
        for image in (x, *batch[:16].split(1)):
            prepared(image)
    start = cpu_seconds()
    converted = convert_pt2e(prepared)
    rows = [("torchao convert", cpu_seconds() - start, converted.graph, None)]
    program = torch.export.export(converted, (x,))
    archive, out = f"{folder}/blocks_{blocks}.pt2", f"{folder}/out_{blocks}.pt2"
    torch.export.save(program, archive)
    with torch.no_grad():
        exact, reference = model.eval()(x).numpy(), program.module()(x).numpy()
    rows[0] = (*rows[0][:3], reference)
    theirs = torch.export.load(archive)
    start = cpu_seconds()
    FuseQATConvBN(theirs).call(theirs.graph_module)
    seconds = cpu_seconds() - start
    with torch.no_grad():
        rows.append(("FuseQATConvBN", seconds, theirs.graph, theirs.module()(x).numpy()))
    start = cpu_seconds()
    subprocess.run([zp, "compile", archive, "-o", out, "-q"], check=True)
    seconds = cpu_seconds() - start
    ours = torch.export.load(out)
    with torch.no_grad():
        rows.append(("zp compile (whole process)", seconds, ours.graph, ours.module()(x).numpy()))
    for name, seconds, graph, value in rows:
        print(f"{blocks:6d} blocks  {name:28s} {seconds:9.3f} s  {batch_norms(graph):5d} batch norms  {nodes(graph):6d} nodes  "
              f"{sqnr(reference, value):7.1f} dB to the archive  {sqnr(exact, value):7.1f} dB to the float model", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zp", default="build/zp")
    parser.add_argument("--blocks", type=int, nargs="+", default=[25, 50, 100])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for blocks in options.blocks:
            one(blocks, os.path.abspath(options.zp), folder)


if __name__ == "__main__":
    sys.exit(main())
