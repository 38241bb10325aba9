"""Takes archives into their vendor's flow, as they are and as `zp compile` wrote them, and counts what the vendor takes.

    vendor_flow.py --zp build/zp --out vendor_flow.json BACKEND=ARCHIVE.pt2 ...     BACKEND: xnnpack x86-inductor cadence

xnnpack: ExecuTorch's to_edge_transform_and_lower with XnnpackPartitioner, nodes in and out of delegates. x86-inductor: torch.compile
with freezing, the matcher counters of its quantization passes. cadence: the fusion of executorch/backends/cadence/aot, operators of
namespace cadence. Needs torch 2.13, torchao 0.18, ExecuTorch 1.5.1; run once, the result is kept beside this file.
"""
import argparse, collections, json, os, subprocess, sys, tempfile, typing, warnings

warnings.filterwarnings("ignore")
if not hasattr(typing, "override"):  # Python 3.11: cadence's sources ask for 3.12's
    typing.override = lambda f: f
import torch
import torchao.quantization.pt2e.quantize_pt2e  # registers the quantized_decomposed operators
import torch.ao.quantization.fx._decomposed


def inputs_of(program):
    torch.manual_seed(0)
    args, _ = program.example_inputs if program.example_inputs else (None, None)
    if args:
        return tuple(args)
    values = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    return tuple(torch.randn([int(d) for d in v.shape], dtype=v.dtype) for v in values)


def xnnpack(path):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import to_edge_transform_and_lower
    program = torch.export.load(path)
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    info = get_delegation_info(edge.exported_program().graph_module)
    left = collections.Counter(k for k, v in info.delegation_by_operator.items() for _ in range(v.non_delegated))
    return {"delegates": info.num_delegated_subgraphs, "delegated_nodes": info.num_delegated_nodes,
            "other_nodes": info.num_non_delegated_nodes, "left": dict(left)}


def x86_inductor(path):
    import torch._inductor.config as config
    from torch._dynamo.utils import counters
    torch._dynamo.reset()
    counters.clear()
    config.freezing = True
    config.fx_graph_cache = False
    program = torch.export.load(path)
    module, args = program.module(), inputs_of(program)
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import X86InductorQuantizer  # registers its passes
    with torch.no_grad():
        torch.compile(module)(*args)
    found = {k: v for k, v in counters["inductor"].items() if k.startswith(("q", "dequant", "quant", "woq")) and "count" in k}
    return {"matchers": found, "quantized_kernels": sum(v for k, v in found.items() if k.startswith(("qconv_unary_matcher_count", "qlinear_unary_matcher_count",
            "qconv2d_binary_matcher_count", "qlinear_binary_matcher_count", "qconv_weight_prepack_matcher_count", "qlinear_weight_prepack_matcher_count")))}


def cadence(path):
    from executorch.backends.cadence.aot import compiler
    from executorch.backends.cadence.aot.quantizer.quantizer import CadenceDefaultQuantizer
    program = torch.export.load(path)
    before = len([n for n in program.graph.nodes if n.op == "call_function"])
    program = compiler.apply_pre_edge_transform_passes(program, CadenceDefaultQuantizer())
    after = collections.Counter(str(n.target) for n in program.graph.nodes if n.op == "call_function")
    fused = {k: v for k, v in after.items() if k.startswith("cadence")}
    left = {k: v for k, v in after.items() if not k.startswith("cadence")}
    return {"cadence_operators": sum(fused.values()), "operators": fused, "left": left, "nodes_before": before}


FLOWS = {"xnnpack": xnnpack, "x86-inductor": x86_inductor, "cadence": cadence}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zp", default="build/zp")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "vendor_flow.json"))
    parser.add_argument("work", nargs="+")
    options = parser.parse_args()
    rows = []
    for item in options.work:
        backend, path = item.split("=", 1)
        row = {"backend": backend, "archive": "/".join(path.split("/")[-2:])}
        with tempfile.TemporaryDirectory() as folder:
            ours = os.path.join(folder, "out.pt2")
            done = subprocess.run([options.zp, "compile", path, "-o", ours, "--backend", backend], capture_output=True, text=True)
            for name, file in (("vendor", path), ("zeropoint", ours)):
                try:
                    row[name] = FLOWS[backend](file) if file == path or done.returncode == 0 else {"error": done.stderr.strip()[:300]}
                except Exception as problem:
                    row[name] = {"error": f"{type(problem).__name__}: {str(problem)[:300]}"}
        rows.append(row)
        print(json.dumps(row), flush=True)
    json.dump({"torch": torch.__version__, "rows": rows}, open(options.out, "w"), indent=1)


if __name__ == "__main__":
    main()
