"""Records what ExecuTorch's Cadence flow makes of the bias of a convolution when it folds the simulation chain of
quantization-aware training: python record_cadence_bias.py > cadence_bias.txt

Needs torch, torchao and executorch. One case a line of key=value words; numbers are the shortest that read back as the
same float. `bias` is float (`f:`), int32 (`i:`) or missing (`-`).
"""
import typing
import typing_extensions
if not hasattr(typing, "override"):
    typing.override = typing_extensions.override
import numpy as np
import torch
import executorch.backends.cadence.aot.ops_registrations  # noqa: F401
from executorch.backends.cadence.aot.quantizer.passes.fuse_ops import FuseQATConvBN

Q = torch.ops.quantized_decomposed
# torch's square root may be MKL's, which is an ulp off for some numbers on some machines: the correctly rounded one.
inexact_sqrt = torch.sqrt
torch.sqrt = lambda t: inexact_sqrt(t.double()).float()


def words(tensor):
    return ",".join(repr(float(np.float32(v))) if tensor.dtype == torch.float32 else str(int(v)) for v in tensor.tolist())


g = torch.Generator().manual_seed(11)
rand = lambda n, s=1.0: (torch.randn(n, generator=g) * s).float()
CHANNELS = 8
for k in range(32):
    sx, sw = 0.01 + 0.03 * float(torch.rand(1, generator=g)), 10 ** -(2 + 3 * float(torch.rand(1, generator=g)))
    scale = sx * (sw if k < 24 else 1e-4)  # the last eight: one scale for the bias, weights with one a channel
    gamma, beta, mean = rand(CHANNELS) + 0.3, rand(CHANNELS, 2.0), rand(CHANNELS)
    var = torch.rand(CHANNELS, generator=g) + 0.2
    eps = [1e-5, 1e-3][k % 2]
    kind = "-fi"[k % 3] if k < 24 else "i"
    added = rand(CHANNELS) if k % 4 else None
    stored = {"-": torch.zeros(CHANNELS), "f": rand(CHANNELS, 0.5)}.get(kind)
    integers = (torch.randint(-100000, 100000, (CHANNELS,), generator=g).int() if kind == "i"
                else Q.quantize_per_tensor.default(stored, scale, 0, -2 ** 31, 2 ** 31 - 1, torch.int32))
    match = {"bias_scale": scale, "bias_zp": 0, "bias_qmin": -2 ** 31, "bias_qmax": 2 ** 31 - 1, "eps": eps}
    tensors = {"bn_weight": gamma, "bn_bias": beta, "bn_mean": mean, "bn_var": var, "conv_bias": integers}
    folded = FuseQATConvBN._compute_folded_bias(match, tensors, added)
    bias = "-" if kind == "-" else f"f:{words(stored)}" if kind == "f" else f"i:{words(integers)}"
    print(f"input_scale={sx!r} weight_scale={sw!r} bias_scale={scale!r} per_channel={int(k >= 24)} eps={eps!r} gamma={words(gamma)} beta={words(beta)} mean={words(mean)} var={words(var)} "
          f"added={words(added) if added is not None else '-'} bias={bias} folded={words(folded)}")
