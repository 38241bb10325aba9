"""Compares the reference implementations of zeropoint_ops with Zeropoint's interpreter, bit for bit.

    check_cases.py --zp build/zp FOLDER...          FOLDER: model.pt2 and in_0.npy ...

Each model is compiled to its integer form for the backend, run by `zp run` and by torch.export.load(...).module(); outputs must
have equal bits. Needs torch (and torchao, executorch where the models were made by them).
"""
import argparse, glob, os, subprocess, sys, tempfile, warnings
warnings.filterwarnings("ignore")
import numpy as np, torch
for module in ("torchao.quantization.pt2e.quantize_pt2e", "torch.ao.quantization.fx._decomposed"):
    try: __import__(module)
    except Exception: pass
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import zeropoint_ops  # noqa: E402, F401

MOVES = {getattr(torch.ops.aten, n).default for n in ("permute", "clone", "view", "reshape", "t")}


def check(zp, folder, backend):
    inputs = sorted(glob.glob(f"{folder}/in_*.npy"), key=lambda p: int(p.rsplit("_", 1)[1][:-4]))
    with tempfile.TemporaryDirectory() as temp:
        target = f"{temp}/model.pt2"
        subprocess.run([zp, "compile", f"{folder}/model.pt2", "-o", target, "--backend", backend, "--form", "integer", "-q"], check=True)
        flags = [w for p in inputs for w in ("--input", p)]
        subprocess.run([zp, "run", target, *flags, "--output-dir", temp, "-q"], check=True, stdout=subprocess.DEVNULL)
        program = torch.export.load(target)
        ours = sum(str(n.target).startswith("zp.") for n in program.graph.nodes)
        with torch.no_grad():
            results = torch.utils._pytree.tree_leaves(program.module()(*[torch.from_numpy(np.load(p)) for p in inputs]))
        worst, equal = 0.0, True
        for k, y in enumerate(results):
            wanted, got = np.load(f"{temp}/out_{k}.npy"), y.numpy()
            if wanted.shape != got.shape or wanted.dtype != got.dtype: return f"{got.dtype}{got.shape}, not {wanted.dtype}{wanted.shape}", ours
            equal = equal and wanted.tobytes() == got.tobytes()
            worst = max(worst, float(np.abs(wanted.astype(np.float64) - got).max(initial=0)))
        # Where torch's own operators compute, their sums have their own order. An operator that takes the real value of a dequantize
        # is in zp an exact sum of integers, which the float it is given here does not show.
        real = any("dequantize" in str(i.target) for n in program.graph.nodes if str(n.target).startswith("zp.") for i in n.all_input_nodes)
        others = ours == 0 or real or any(str(n.target).startswith("aten.") and n.target not in MOVES for n in program.graph.nodes if n.op == "call_function")
        close = worst <= 1e-5 * max(1.0, float(max(np.abs(y).max(initial=0) for y in (r.numpy() for r in results))))
        return ("equal" if equal else "close (torch computes too)" if others and close else f"off by {worst:.3g}"), ours


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--zp", default="build/zp")
    parser.add_argument("--backend", default="vulkan")
    options = parser.parse_args()
    bad = 0
    for folder in options.folders:
        try: verdict, ours = check(options.zp, folder, options.backend)
        except Exception as error: verdict, ours = f"{type(error).__name__}: {str(error)[:300]}", 0
        bad += not verdict.startswith(("equal", "close"))
        print(f"{os.path.basename(os.path.normpath(folder)):32} {ours} zp operators: {verdict}")
    print(f"{len(options.folders) - bad} of {len(options.folders)} right")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
