"""Writes src/backend/torch_entries.inc: the spellings of PyTorch's backend dictionaries with the classes that belong to each.

    torch_entries.py DUMP.json...    DUMP: a dictionary in JSON form, qualified names for classes and functions

Reads no model and imports no torch; the dumps were written from `get_*_backend_config().to_dict()` of torch 2.13.
A spelling has one set of keys in all dictionaries (checked), so a row is the spelling and its keys:
    "nn.conv.Conv1d, F.relu", "fused=nni.ConvReLU1d fuser=... class=...",
"""
import json, os, sys

SHORT = [("torch.nn.modules.", "nn."), ("torch.nn.functional.", "F."), ("torch.ao.nn.intrinsic.modules.fused.", "nni."),
         ("torch.ao.nn.intrinsic.qat.modules.", "nniqat."), ("torch.ao.nn.qat.modules.", "nnqat."),
         ("torch.ao.nn.quantized.reference.modules.", "nnqr."), ("torch.ao.quantization.", "aoq.")]


def short(name):
    return next((s + name[len(p):] for p, s in SHORT if name.startswith(p)), name)


def spell(pattern, top=True):
    if isinstance(pattern, dict):
        return json.dumps(pattern["literal"])
    if isinstance(pattern, str):
        return "_" if pattern == "MatchAllNode" else short(pattern)
    return "(" + ", ".join(spell(p) for p in pattern) + ")"


def keys(entry):
    out = []
    for key, name in (("root_module", "root"), ("qat_module", "qat"), ("reference_quantized_module_for_root", "ref"),
                      ("fused_module", "fused"), ("root_node_getter", "rootget"), ("extra_inputs_getter", "extraget")):
        if key in entry:
            out.append(f"{name}={short(entry[key])}")
    fuser = entry.get("fuser_method")
    if isinstance(fuser, dict):
        out += [f"fuser={short(fuser['factory'])}", f"class={short(next(iter(fuser['closure'].values())))}"]
    elif fuser:
        out.append(f"fuser={short(fuser)}")
    if "input_type_to_index" in entry:
        out.append("index=" + ",".join(f"{k}:{v}" for k, v in sorted(entry["input_type_to_index"].items(), key=lambda i: i[1])))
    return " ".join(out)


rows = {}
for path in sys.argv[1:]:
    for entry in json.load(open(path))["configs"]:
        pattern = entry.get("pattern")
        text = spell(entry["pattern_complex_format"]) if pattern is None else pattern if isinstance(pattern, str) else None
        text = ", ".join(map(short, pattern)) if text is None else text if text.startswith("(") else short(text)
        assert rows.setdefault(text, keys(entry)) == keys(entry), text
target = os.path.join(os.path.dirname(__file__), "../../src/backend/torch_entries.inc")
with open(target, "w") as f:
    f.write("// Written by tools/record/torch_entries.py from the dictionaries of torch 2.13: a spelling, and its keys.\n")
    for text, value in rows.items():
        f.write(f'{{"{text}", "{value}"}},\n')
print(len(rows), "spellings")
