"""Writes what PyTorch computes as data for recorded_test.cpp; README.md describes the format."""

import os
import warnings

import torch

NAMES = {
    torch.bool: "bool", torch.int8: "i8", torch.uint8: "u8", torch.int16: "i16", torch.uint16: "u16",
    torch.int32: "i32", torch.uint32: "u32", torch.int64: "i64", torch.uint64: "u64", torch.float16: "f16",
    torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64", torch.float8_e4m3fn: "f8e4m3",
    torch.float8_e5m2: "f8e5m2",
}


class Quant:
    """A quantization: Quant(storage="u8", scale=0.5, zero_point=3, axis=0, scales=[...], dynamic=True, ...)."""

    def __init__(self, **keys):
        self.keys = keys

    def __str__(self):
        words = []
        for key, value in self.keys.items():
            if value is True:
                words.append(key)
            elif value is not None and value is not False:
                words.append(f"{key}={text(value)}")
        return " ".join(words)


def text(value):
    if isinstance(value, torch.dtype):
        return NAMES[value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(text(v) for v in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return str(value)


def tensor(t):
    data = t.detach().contiguous().view(-1).view(torch.uint8) if t.numel() else torch.empty(0, dtype=torch.uint8)
    digits = bytes(data.tolist()).hex()
    return f"{NAMES[t.dtype]}[{','.join(str(d) for d in t.shape)}] {digits}".rstrip()


class Recorder:
    def __init__(self, name, dynamic=True):
        self.path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", name + ".txt")
        self.lines = [f"# written by record_torch_{name}.py with torch {torch.__version__.split('+')[0]}"]
        if dynamic:
            self.lines.append("dynamic")
        self.cases = 0

    def op(self, name):
        self.lines += ["", f"op {name}"]

    def _begin(self, name, operands, attrs):
        self.cases += 1
        self.lines.append(f"case {name}")
        for key, value in attrs.items():
            if value is not None:
                self.lines.append(f"attr {key} {text(value)}")
        double = any(isinstance(o, torch.Tensor) and o.dtype == torch.float64 for o in operands)
        for o in operands:
            if o is None:
                self.lines.append("none")
            elif isinstance(o, torch.Tensor):
                self.lines.append("in " + tensor(o))
            elif isinstance(o, tuple):  # a tensor and the quantization of its type
                self.lines += ["in " + tensor(o[0]), f"as {o[1]}"]
            elif isinstance(o, bool):
                self.lines.append("lit bool " + text(o))
            elif isinstance(o, int):
                self.lines.append(f"lit i64 {o}")
            else:
                self.lines.append(f"lit {'f64' if double else 'f32'} {o!r}")

    def case(self, name, call, operands, attrs=None, tol="exact", open=False):
        """`call` gets the operands; `tol` is one text, or a list with one for each result; `open`: extents depend on values."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = [o[0] if isinstance(o, tuple) else o for o in operands]
            results = call(*[o.clone() if isinstance(o, torch.Tensor) else o for o in plain])
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        tols = [tol] * len(results) if isinstance(tol, str) else tol
        self._begin(name, operands, attrs or {})
        if open:
            self.lines.append("open")
        now = "exact"
        for r, t in zip(results, tols):
            if t != now:
                self.lines.append(f"tol {t}")
                now = t
            self.lines.append("out " + tensor(r))
        self.lines.append("end")

    def error(self, name, operands, attrs, check):
        self._begin(name, operands, attrs or {})
        self.lines += [f"error {check}", "end"]

    def write(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "w") as f:
            f.write("\n".join(self.lines) + "\n")
        print(f"{self.path}: {self.cases} cases, {os.path.getsize(self.path)} bytes")
