"""Side by side: folding conv-bn residue of quantization-aware training by torchao, by ExecuTorch's FuseQATConvBN, and by zp.

    python bench/peers/qat_fold.py --zp build/zp [--blocks 50 100 200]

Needs torch, torchao and executorch (Cadence's package); nothing else in the project does. For each number of blocks a
stack of conv-bn-relu is prepared, converted and saved with the convolution's output annotated, which leaves the chain
that FuseQATConvBN folds; then each system folds the same graph. Printed: seconds, batch norms left, and dB against the
archive's own output. torchao's convert is timed as a whole: its fold is a part of it.
"""
import argparse, os, subprocess, sys, tempfile, time, typing, warnings
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


def batch_norms(graph):
    return sum("batch_norm" in str(n.target) for n in graph.nodes)


def sqnr(reference, value):
    noise = float(((reference - value) ** 2).sum())
    return float("inf") if noise == 0 else 10 * np.log10(float((reference ** 2).sum()) / noise)


def one(blocks, zp, folder):
    torch.manual_seed(1)
    x = torch.randn(1, 8, 4, 4)
    model = nn.Sequential(*[Block(8) for _ in range(blocks)])
    prepared = prepare_qat_pt2e(torch.export.export(model.train(), (x,), strict=True).module(), CadenceDefaultQuantizer(is_qat=True))
    move_exported_model_to_eval(prepared)
    with torch.no_grad():
        prepared(x)
    start = time.time()
    converted = convert_pt2e(prepared)
    rows = [("torchao convert", time.time() - start, batch_norms(converted.graph), float("nan"))]
    program = torch.export.export(converted, (x,))
    archive, out = f"{folder}/blocks_{blocks}.pt2", f"{folder}/out_{blocks}.pt2"
    torch.export.save(program, archive)
    with torch.no_grad():
        reference = program.module()(x).numpy()
    theirs = torch.export.load(archive)
    start = time.time()
    FuseQATConvBN(theirs).call(theirs.graph_module)
    seconds = time.time() - start
    with torch.no_grad():
        rows.append(("FuseQATConvBN", seconds, batch_norms(theirs.graph), sqnr(reference, theirs.module()(x).numpy())))
    start = time.time()
    subprocess.run([zp, "compile", archive, "-o", out, "-q"], check=True)
    seconds = time.time() - start
    ours = torch.export.load(out)
    with torch.no_grad():
        rows.append(("zp compile (whole process)", seconds, batch_norms(ours.graph), sqnr(reference, ours.module()(x).numpy())))
    for name, seconds, left, db in rows:
        print(f"{blocks:6d} blocks  {name:28s} {seconds:9.3f} s  {left:5d} batch norms left  {db:7.1f} dB", flush=True)


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
