"""Writes qat_core_aten.pt2: the residue of quantization-aware training behind one convolution after torch's default
decompositions (convolution, view, _native_batch_norm_legit_no_training with getitem, a hardswish written out), with an
input and what torch gives for it: python record_qat_archive.py FOLDER

Needs torch.
"""
import sys
import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed

Q = torch.ops.quantized_decomposed
torch.manual_seed(5)
ACTIVATION = (-128, 127, torch.int8)


class Residue(torch.nn.Module):
    def __init__(self):
        super().__init__()
        rand = lambda *n: torch.randn(*n)
        self.register_buffer("weight", torch.randint(-127, 128, (4, 3, 3, 3), dtype=torch.int8))
        for name, value in {"gamma": 0.5 + torch.rand(4), "beta": 0.3 * rand(4), "mean": 0.3 * rand(4), "var": 0.5 + torch.rand(4), "bias": 0.4 * rand(4)}.items():
            self.register_buffer(name, value)

    def pair(self, x, scale, zero_point):
        return Q.dequantize_per_tensor(Q.quantize_per_tensor(x, scale, zero_point, *ACTIVATION), scale, zero_point, *ACTIVATION)

    def forward(self, x):
        weight = Q.dequantize_per_tensor(self.weight, 0.004, 0, -127, 127, torch.int8)
        y = self.pair(torch.conv2d(self.pair(x, 0.025, 3), weight), 0.08, -4)
        scale = self.gamma / torch.sqrt(self.var + 1e-5)
        y = y / scale.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)
        y = torch.batch_norm(y, self.gamma, self.beta, self.mean, self.var, False, 0.1, 1e-5, False)
        return self.pair(torch.nn.functional.hardswish(y), 0.06, -100)


x = torch.randn(1, 3, 6, 6)
program = torch.export.export(Residue().eval(), (x,)).run_decompositions()
for node in program.graph.nodes:
    for key in ("stack_trace", "from_node", "source_fn_stack"):
        node.meta.pop(key, None)
torch.export.save(program, f"{sys.argv[1]}/qat_core_aten.pt2")
np.save(f"{sys.argv[1]}/qat_core_aten_in.npy", x.numpy())
np.save(f"{sys.argv[1]}/qat_core_aten_out.npy", program.module()(x).numpy())
