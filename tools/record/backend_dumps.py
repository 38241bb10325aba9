"""Writes test/backend/data/torch_presets.txt: PyTorch's backend dictionaries as a compact listing.

    backend_dumps.py DUMP.json...        dictionaries in JSON form, written from `get_*_backend_config().to_dict()` of torch 2.13

`preset NAME` opens a dictionary, `keys JSON` gives the keys of the spellings that follow, one a line. Keys that belong to the
spelling itself (root module, fuser ...) stand in src/backend/torch_entries.inc, written by torch_entries.py.
"""
import json, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def short(name, table=[("torch.nn.modules.", "nn."), ("torch.nn.functional.", "F."), ("torch.ao.nn.intrinsic.modules.fused.", "nni."),
                       ("torch.ao.nn.intrinsic.qat.modules.", "nniqat."), ("torch.ao.nn.qat.modules.", "nnqat.")]):
    return next((s + name[len(p):] for p, s in table if name.startswith(p)), name)


def spell(pattern):
    if isinstance(pattern, dict):
        return json.dumps(pattern["literal"])
    if isinstance(pattern, str):
        return "_" if pattern == "MatchAllNode" else short(pattern)
    return "(" + ", ".join(map(spell, pattern)) + ")"


target = os.path.join(os.path.dirname(__file__), "../../test/backend/data/torch_presets.txt")
os.makedirs(os.path.dirname(target), exist_ok=True)
with open(target, "w") as f:
    f.write("# Written by tools/record/backend_dumps.py from the dictionaries of torch 2.13.\n")
    for path in sys.argv[1:]:
        f.write(f"preset {os.path.splitext(os.path.basename(path))[0]}\n")
        groups = {}
        for entry in json.load(open(path))["configs"]:
            keys = {k: entry[k] for k in ("observation_type", "dtype_configs", "num_tensor_args_to_observation_type") if k in entry}
            pattern = entry.get("pattern")
            text = spell(entry["pattern_complex_format"]) if pattern is None else short(pattern) if isinstance(pattern, str) else ", ".join(map(short, pattern))
            groups.setdefault(json.dumps(keys), []).append(text)
        for keys, patterns in groups.items():
            f.write(f"keys {keys}\n" + "".join(f"{p}\n" for p in patterns))
