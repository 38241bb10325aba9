#!/usr/bin/env python3
"""Every recorded call of test/ops as an archive of its own, through zp and back into torch.

For a maintainer's machine: needs torch (2.9 or later), torchao and the program `zp`; no test runs it. The record
scripts name a call for each variant of each operator; here each becomes a program of torch.export, and
  run      `zp run` on the archive must give what torch gives
  convert  `zp convert` must write an archive that torch.export.load takes and that gives what torch gives
Opaque nodes are reported too: a recorded operator that is not known in archives is a gap.

    check_torch_roundtrip.py ZP [--decompose] [--archives] [--only OP,...] [--limit N] [--work FOLDER] [FAMILY...]
"""
import argparse, collections, json, os, runpy, shutil, subprocess, sys, tempfile, traceback, types, warnings

import numpy
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDS = os.path.join(HERE, "..", "..", "ops")


class Call(torch.nn.Module):
    """The recorded call; tensors are inputs, numbers and None stay in the program."""

    def __init__(self, call, operands):
        super().__init__()
        self.call, self.operands = call, operands

    def forward(self, *tensors):
        rest = iter(tensors)
        out = self.call(*[next(rest) if isinstance(o, torch.Tensor) else o for o in self.operands])
        return tuple(out) if isinstance(out, (list, tuple)) else (out,)


class Checker:
    def __init__(self, options):
        self.options, self.failures, self.counts = options, [], collections.Counter()
        self.number = 0

    def check(self, family, op, name, call, operands):
        self.number += 1
        base = os.path.join(self.options.work, f"{self.number}_{op}")
        place = f"{family} {op} {name}"
        tensors = tuple(o for o in operands if isinstance(o, torch.Tensor))
        try:
            want = Call(call, operands)(*[t.clone() for t in tensors])
            program = torch.export.export(Call(call, operands), tensors, strict=False)
            if self.options.decompose:
                program = program.run_decompositions()
        except Exception as e:
            self.note("torch cannot export", place, str(e).strip().splitlines()[0] if str(e).strip() else repr(e))
            return
        try:
            torch.export.save(program, base + ".pt2")
        except Exception as e:
            self.note("torch cannot save", place, repr(e)[:200])
            return
        self.counts["exported"] += 1
        arguments = []
        for i, t in enumerate(tensors):
            t = t.detach()
            if t.dtype == torch.bfloat16:
                numpy.save(f"{base}_{i}.npy", t.view(torch.uint16).numpy())
                arguments += ["--input", f"{base}_{i}.npy:bf16"]
            elif t.dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
                self.note("not an .npy type", place, str(t.dtype))
                arguments = None
                break
            else:
                numpy.save(f"{base}_{i}.npy", t.contiguous().numpy())
                arguments += ["--input", f"{base}_{i}.npy"]
        ops = json.loads(self.zp("inspect", base + ".pt2", "--json")[1] or "{}").get("ops", {})
        unknown = [o for o in ops if "." in o]
        if unknown:
            self.note("opaque", place, " ".join(unknown))
        if arguments is not None and not unknown:
            code, _, err = self.zp("run", base + ".pt2", *arguments, "--output-dir", base + "_out")
            if code:
                self.note("run", place, err)
            else:
                self.compare("run", place, want, [self.read(f"{base}_out/out_{i}.npy", w) for i, w in enumerate(want)])
        code, _, err = self.zp("convert", base + ".pt2", base + "_new.pt2")
        if code:
            self.note("convert", place, err)
            return
        try:
            again = torch.export.load(base + "_new.pt2").module()(*[t.clone() for t in tensors])
        except Exception as e:
            self.note("load", place, str(e).strip().splitlines()[-1][:300])
            return
        self.compare("convert", place, want, again)
        self.clean(base)

    def read(self, path, want):
        value = torch.from_numpy(numpy.load(path).view(numpy.uint8).reshape(-1)) if want.dtype == torch.bfloat16 else torch.from_numpy(numpy.load(path))
        return value.view(torch.bfloat16).reshape(want.shape) if want.dtype == torch.bfloat16 else value

    def clean(self, base):
        if not self.options.keep:
            for path in [p for p in os.listdir(self.options.work) if p.startswith(os.path.basename(base))]:
                path = os.path.join(self.options.work, path)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def zp(self, *arguments):
        done = subprocess.run([self.options.zp, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr.strip()

    def compare(self, what, place, want, got):
        for i, (w, g) in enumerate(zip(want, got)):
            if w.dtype != g.dtype or w.shape != g.shape:
                self.note(what, place, f"result {i} is {g.dtype}{list(g.shape)}, torch gives {w.dtype}{list(w.shape)}")
            elif w.dtype.is_floating_point:
                loose = 2e-2 if w.dtype in (torch.float16, torch.bfloat16) or w.element_size() == 1 else 1e-4
                if not torch.allclose(w.double(), g.double(), rtol=loose, atol=loose, equal_nan=True):
                    self.note(what, place, f"result {i} differs by {(w.double() - g.double()).abs().nan_to_num(0).max().item():g}")
            elif not torch.equal(w, g):
                self.note(what, place, f"result {i} differs")
        if len(want) != len(got):
            self.note(what, place, f"{len(got)} results, torch gives {len(want)}")
        self.counts[what + " checked"] += 1

    def note(self, kind, place, text):
        self.counts[kind] += 1
        self.failures.append((kind, place, text))
        print(f"{kind:>20}: {place}: {text}", flush=True)


def recorder_for(checker):
    options = checker.options
    seen = collections.Counter()

    class Recorder:
        def __init__(self, name, dynamic=True):
            self.name = name

        def op(self, name):
            self.now = name

        def case(self, name, call, operands, attrs=None, tol="exact", open=False):
            if options.only and self.now not in options.only:
                return
            seen[self.now] += 1
            if seen[self.now] <= options.limit:
                plain = [o[0] if isinstance(o, tuple) else o for o in operands]
                checker.check(self.name, self.now, name, call, plain)

        def error(self, *_):
            pass

        def write(self):
            pass

    return Recorder


def check_archives(checker, folder):
    """The archives of test/compile/data: written again by zp, and after all passes, loaded and run by torch."""
    for name in sorted(f[:-4] for f in os.listdir(folder) if f.endswith(".pt2")):
        for how in ("convert", "compile"):
            target = os.path.join(checker.options.work, name + "_new.pt2")
            code, _, err = checker.zp(*([how, f"{folder}/{name}.pt2"] + (["-o"] if how == "compile" else []) + [target]))
            if code:
                checker.note(how, name, err)
                continue
            try:
                module = torch.export.load(target).module()
                k = 0
                while os.path.exists(f"{folder}/{name}.{k}_out_0.npy"):
                    read = lambda kind: {int(f[f.rindex("_") + 1:-4]): torch.from_numpy(numpy.load(os.path.join(folder, f)))
                                         for f in os.listdir(folder) if f.startswith(f"{name}.{k}_{kind}_")}
                    inputs = [t.item() if t.dim() == 0 and name == "integer_input" else t for _, t in sorted(read("in").items())]
                    got = module(*inputs)
                    got = got if isinstance(got, tuple) else (got,)
                    want = sorted(read("out").items())  # None has no file
                    got = [torch.as_tensor(got[i]) for i, _ in want]
                    checker.compare(how, f"{name} set {k}", [w.to(g.dtype) for (_, w), g in zip(want, got)], got)
                    k += 1
            except Exception as e:
                checker.note("load", f"{name} by {how}", (str(e).strip().splitlines() or [repr(e)])[-1][:300])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("zp")
    parser.add_argument("families", nargs="*")
    parser.add_argument("--decompose", action="store_true")
    parser.add_argument("--only", type=lambda s: s.split(","))
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--work")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--archives", action="store_true", help="only the archives of test/compile/data")
    options = parser.parse_args()
    options.work = options.work or tempfile.mkdtemp()
    os.makedirs(options.work, exist_ok=True)
    warnings.simplefilter("ignore")
    sys.path.insert(0, RECORDS)
    import recording

    checker = Checker(options)
    recording.Recorder = recorder_for(checker)
    if not options.families and not options.only:
        check_archives(checker, os.path.join(HERE, "..", "..", "compile", "data"))
    for script in [] if options.archives else sorted(os.listdir(RECORDS)):
        family = script[len("record_torch_"):-3]
        if script.startswith("record_torch_") and (not options.families or family in options.families):
            try:
                runpy.run_path(os.path.join(RECORDS, script), run_name="__main__")
            except Exception:
                traceback.print_exc()
    print(dict(checker.counts))
    return 1 if any(k in ("run", "convert", "load", "opaque") for k, _, _ in checker.failures) else 0


sys.exit(main())
