"""Shows that archives of `zp compile --form vendor --backend vulkan` pass ExecuTorch's Vulkan lowering, and keeps what was seen.

    vulkan_lowering.py --zp build/zp --out docs/evidence/vulkan_lowering.json MODEL.pt2 [INPUT.npy ...] [-- MODEL.pt2 ...]

Each model is compiled to its vendor form, loaded with torch.export.load, brought to the edge dialect and given to
VulkanPartitioner; the record says which operators the archive has, how many nodes were delegated and what stayed outside.
Needs torch, torchao and executorch (seen with 2.13.0, 0.18.0 and 1.5.1); the project itself does not.
"""
import argparse, collections, hashlib, json, os, subprocess, sys, tempfile, warnings
warnings.filterwarnings("ignore")
import torch
import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401  registers the quantize and dequantize operators
import torch.ao.quantization.fx._decomposed  # noqa: F401
import executorch, executorch.backends.vulkan.custom_ops_lib  # noqa: F401
from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner
from executorch.backends.vulkan.vulkan_preprocess import VulkanBackend  # noqa: F401
from executorch.exir import EdgeCompileConfig, to_edge, to_edge_transform_and_lower
from executorch.exir.backend.backend_api import to_backend


def operators(graph):
    return dict(sorted(collections.Counter(str(n.target) for n in graph.nodes if n.op == "call_function").items()))


def lower(zp, path):
    with tempfile.TemporaryDirectory() as folder:
        target, report = os.path.join(folder, "vendor.pt2"), os.path.join(folder, "report.json")
        subprocess.run([zp, "compile", path, "-o", target, "--backend", "vulkan", "--form", "vendor", "--report", report, "-q"], check=True)
        program = torch.export.load(target)
        seen = {"model": os.path.basename(os.path.dirname(path)) or os.path.basename(path), "sha256": hashlib.sha256(open(path, "rb").read()).hexdigest(),
                "vendor_operators": operators(program.graph_module.graph)}
        config = EdgeCompileConfig(_check_ir_validity=False)
        # First as a user does it. The partitioner judges dtypes of operators as they are before fusing, so it leaves weight-only
        # operators with packed weights outside: those programs are given to the backend whole.
        try:
            seen["route"] = "VulkanPartitioner"
            lowered = to_edge_transform_and_lower(program, partitioner=[VulkanPartitioner()], compile_config=config)
            seen["program_bytes"] = len(lowered.to_executorch().buffer)
            edge = lowered.exported_program()
            seen["outside_the_delegate"] = {k: v for k, v in operators(edge.graph_module.graph).items() if "delegate" not in k and "getitem" not in k}
            delegates = [m for m in edge.graph_module.children() if type(m).__name__ == "LoweredBackendModule"]
        except RuntimeError as error:
            if "Missing out variants" not in str(error): raise
            seen["partitioner"] = str(error)
            seen["route"] = "to_backend of the whole program"
            edge = to_edge(torch.export.load(target), compile_config=config).exported_program()
            delegates = [to_backend("VulkanBackend", edge, [])]
            seen["outside_the_delegate"] = {}
        inside = collections.Counter()
        for module in delegates:
            inside.update(str(n.target).split(">")[0].split(": ")[-1] for n in module.original_module.graph.nodes if n.op == "call_function")
        seen["delegates"] = [m.backend_id for m in delegates]
        seen["delegated_nodes"] = sum(inside.values())
        seen["delegated_operators"] = dict(sorted(inside.items()))
        seen["delegate_bytes"] = sum(len(m.processed_bytes) for m in delegates)
        return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--zp", default="build/zp")
    parser.add_argument("--out")
    options = parser.parse_args()
    import torchao
    result = {"made_by": "bench/vulkan_lowering.py", "torch": torch.__version__, "torchao": torchao.__version__,
              "executorch": getattr(executorch, "__version__", "1.5.1"), "cases": []}
    for path in options.models:
        try:
            result["cases"].append(lower(options.zp, path))
        except Exception as error:  # what a case died of belongs in the record
            result["cases"].append({"model": os.path.basename(os.path.dirname(path)), "error": f"{type(error).__name__}: {error}"[:2000]})
    text = json.dumps(result, indent=1) + "\n"
    if options.out:
        os.makedirs(os.path.dirname(options.out), exist_ok=True)
        open(options.out, "w").write(text)
    print(text)
    return any("error" in c for c in result["cases"])


if __name__ == "__main__":
    sys.exit(main())
