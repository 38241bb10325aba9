#!/usr/bin/env python3
"""Random convolutions with affine chains behind them, folded by zp, written as archives, loaded and run by torch.

For a maintainer's machine: needs torch (2.9 or later), torchao and the programs `zp` and `bench_figures`; no test runs
it. For each chain of `bench_figures --write-chains`
  as it is  `zp convert` writes an archive that torch loads and that gives there what `zp run` gives
  folded    the same of `zp compile --passes cleanup,fold-qat-batch-norm,prepare-bias`
How far the two may be apart is what `check_random_chain` of the tests holds the records to.

    check_chains_in_torch.py BUILD [COUNT] [--work FOLDER]
"""
import argparse, glob, json, os, subprocess, sys, tempfile

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
import torchao.quantization.pt2e.quantize_pt2e  # registers torchao's


def zp(options, *arguments):
    done = subprocess.run([os.path.join(options.build, "zp"), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"zp {arguments[0]}: {(done.stderr or done.stdout).strip()[:300]}")


def both(options, archive, inputs):
    """What torch and zp compute from an archive."""
    program = torch.export.load(archive)
    with torch.no_grad():
        theirs = [t.numpy() for t in torch.utils._pytree.tree_leaves(program.module()(*[torch.from_numpy(x) for x in inputs]))]
    out = archive[:-4] + "_out"
    os.makedirs(out, exist_ok=True)
    flags = []
    for k, x in enumerate(inputs):
        np.save(f"{out}/in_{k}.npy", x)
        flags += ["--input", f"{out}/in_{k}.npy"]
    zp(options, "run", archive, *flags, "--output-dir", out)
    return program, theirs, [np.load(f"{out}/out_{k}.npy") for k in range(len(theirs))]


def disagreement(a, b):
    """Largest difference against the size of the values; nan and inf must be at the same places."""
    worst = 0.0
    for x, y in zip(a, b):
        finite = np.isfinite(x)
        if (np.isfinite(y) != finite).any():
            return float("inf")
        if finite.any():
            worst = max(worst, float(np.abs(x[finite] - y[finite]).max() / max(np.abs(x[finite]).max(), 1e-3)))
    return worst


def check(options, path, counts):
    before, after, report = path[:-3] + ".pt2", path[:-3] + "_folded.pt2", path[:-3] + ".json"
    zp(options, "convert", path, before)
    zp(options, "compile", path, "-o", after, "-q", "--backend", "none", "--passes", "cleanup,fold-qat-batch-norm,prepare-bias", "--report", report)
    shapes = [n.meta["val"].shape for n in torch.export.load(before).graph.nodes
              if n.op == "placeholder" and n.name in torch.export.load(before).graph_signature.user_inputs]
    rng = np.random.default_rng(len(counts) + int(path.split("_")[-1][:-3]))
    inputs = [rng.standard_normal(tuple(s)).astype(np.float32) for s in shapes]
    _, was, was_zp = both(options, before, inputs)
    program, now, now_zp = both(options, after, inputs)
    facts = json.load(open(report))
    folds = [r for r in facts["rewrites"] if r["pass"] == "fold-qat-batch-norm"]
    counts["chains"] += 1
    counts["folds"] += len(folds)
    counts["batch norms left"] += sum("batch_norm" in str(n.target) for n in program.graph.nodes)
    for name, a, b in (("as it is", was, was_zp), ("folded", now, now_zp)):
        off = disagreement(a, b)
        if off > 1e-4:
            raise RuntimeError(f"{name}: torch and zp differ by {off:.3g} of the largest value")
    counts["agree"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("count", nargs="?", type=int, default=200)
    parser.add_argument("--work")
    options = parser.parse_args()
    folder = options.work or tempfile.mkdtemp(prefix="zp_chains")
    subprocess.run([os.path.join(options.build, "bench_figures"), "--write-chains", folder, str(options.count)], check=True)
    counts, wrong = {"chains": 0, "folds": 0, "batch norms left": 0, "agree": 0}, 0
    for path in sorted(glob.glob(f"{folder}/chain_*.zp"), key=lambda p: int(p.split("_")[-1][:-3])):
        try:
            check(options, path, counts)
        except Exception as problem:  # one chain says no more about the others
            wrong += 1
            print(f"{os.path.basename(path)}: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
    print(", ".join(f"{v} {k}" for k, v in counts.items()), f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
