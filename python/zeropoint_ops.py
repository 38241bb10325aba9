"""Zeropoint's integer operators for torch: import it before torch.export.load of an archive of `--form integer`.

Every operator of namespace `zp` has the name, operands and attributes of the card (`zp op conv2d`), then `quantization`
(one text for each operand and each result: storage, range, expressed type, where the scales are; empty: plain) and
`parameters` (tensors that the texts name by number). The meaning is always

    dequantize -> the operator on real numbers -> clamp to act_min, act_max -> quantize

with the sums of integer products exact, as Zeropoint's interpreter has it: the results agree in every bit. Where numbers are
added as floats the interpreter's order is kept (16 lanes, then a tree); functions without an exact form (exp, tanh ...) are
computed in float64 and rounded once.

The schemas below are written by `zp op --schemas`; a test of the project compares the two. Needs torch only.
"""
import itertools
import re

import torch
import torch.nn.functional as F

SCHEMAS = """
abs(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
acos(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
acosh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
adaptive_avg_pool1d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> Tensor
adaptive_avg_pool2d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> Tensor
adaptive_avg_pool3d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> Tensor
adaptive_max_pool1d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
adaptive_max_pool2d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
adaptive_max_pool3d(Tensor self, *, SymInt[] output_size=[], str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
add(Tensor self, Tensor other, *, Scalar alpha=1, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
addmm(Tensor bias, Tensor input, Tensor other, *, Scalar beta=1, Scalar alpha=1, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
amax(Tensor self, *, int[] dims=[], bool keepdim=False, str[] quantization, Tensor[] parameters) -> Tensor
amin(Tensor self, *, int[] dims=[], bool keepdim=False, str[] quantization, Tensor[] parameters) -> Tensor
asin(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
asinh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
atan(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
atanh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
avg_pool1d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None, str[] quantization, Tensor[] parameters) -> Tensor
avg_pool2d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None, str[] quantization, Tensor[] parameters) -> Tensor
avg_pool3d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None, str[] quantization, Tensor[] parameters) -> Tensor
baddbmm(Tensor bias, Tensor input, Tensor other, *, Scalar beta=1, Scalar alpha=1, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
ceil(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
celu(Tensor self, *, Scalar alpha=1, str[] quantization, Tensor[] parameters) -> Tensor
clamp(Tensor self, *, Scalar? min=None, Scalar? max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv1d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv2d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv3d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv_transpose1d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv_transpose2d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
conv_transpose3d(Tensor input, Tensor weight, Tensor? bias, *, int[] stride=[], int[] padding=[], int[] dilation=[], int[] output_padding=[], int groups=1, str pad_mode="", float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
cos(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
cosh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
deg2rad(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
elu(Tensor self, *, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1, str[] quantization, Tensor[] parameters) -> Tensor
embedding(Tensor weight, Tensor indices, *, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False, str[] quantization, Tensor[] parameters) -> Tensor
erf(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
erfc(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
erfinv(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
exp(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
exp2(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
expm1(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
floor(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
frac(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
gelu(Tensor self, *, str approximate="none", str[] quantization, Tensor[] parameters) -> Tensor
hardshrink(Tensor self, *, Scalar lambd=0.5, str[] quantization, Tensor[] parameters) -> Tensor
hardsigmoid(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
hardswish(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
hardtanh(Tensor self, *, Scalar min_val=-1, Scalar max_val=1, str[] quantization, Tensor[] parameters) -> Tensor
im2col(Tensor self, *, int[] kernel_size=[], int[] dilation=[], int[] padding=[], int[] stride=[], str[] quantization, Tensor[] parameters) -> Tensor
leaky_relu(Tensor self, *, Scalar negative_slope=0.01, str[] quantization, Tensor[] parameters) -> Tensor
lgamma(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
linear(Tensor input, Tensor weight, Tensor? bias, *, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
log(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
log10(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
log1p(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
log2(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
log_sigmoid(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
logit(Tensor self, *, float? eps=None, str[] quantization, Tensor[] parameters) -> Tensor
masked_fill(Tensor self, Tensor mask, Tensor value, *, str[] quantization, Tensor[] parameters) -> Tensor
matmul(Tensor input, Tensor other, *, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
max_pool1d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> Tensor
max_pool1d_with_indices(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
max_pool2d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> Tensor
max_pool2d_with_indices(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
max_pool3d(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> Tensor
max_pool3d_with_indices(Tensor self, *, int[] kernel_size=[], int[] stride=[], int[] padding=[], int[] dilation=[], bool ceil_mode=False, str[] quantization, Tensor[] parameters) -> (Tensor out, Tensor indices)
maximum(Tensor self, Tensor other, *, str[] quantization, Tensor[] parameters) -> Tensor
mean(Tensor self, *, int[] dims=[], bool keepdim=False, ScalarType? dtype=None, str[] quantization, Tensor[] parameters) -> Tensor
minimum(Tensor self, Tensor other, *, str[] quantization, Tensor[] parameters) -> Tensor
mish(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
mul(Tensor self, Tensor other, *, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
nan_to_num(Tensor self, *, float? nan=None, float? posinf=None, float? neginf=None, str[] quantization, Tensor[] parameters) -> Tensor
neg(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
rad2deg(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
reciprocal(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
relu(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
round(Tensor self, *, int decimals=0, str[] quantization, Tensor[] parameters) -> Tensor
rsqrt(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
safe_softmax(Tensor self, *, int dim=-1, ScalarType? dtype=None, str[] quantization, Tensor[] parameters) -> Tensor
selu(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sgn(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sigmoid(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sign(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
silu(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sin(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sinc(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sinh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
softmax(Tensor self, *, int dim=-1, ScalarType? dtype=None, str[] quantization, Tensor[] parameters) -> Tensor
softplus(Tensor self, *, Scalar beta=1, Scalar threshold=20, str[] quantization, Tensor[] parameters) -> Tensor
softshrink(Tensor self, *, Scalar lambd=0.5, str[] quantization, Tensor[] parameters) -> Tensor
sqrt(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
square(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
sub(Tensor self, Tensor other, *, Scalar alpha=1, float? act_min=None, float? act_max=None, str[] quantization, Tensor[] parameters) -> Tensor
sum(Tensor self, *, int[] dims=[], bool keepdim=False, ScalarType? dtype=None, str[] quantization, Tensor[] parameters) -> Tensor
tan(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
tanh(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
threshold(Tensor self, *, Scalar threshold=0, Scalar value=0, str[] quantization, Tensor[] parameters) -> Tensor
trunc(Tensor self, *, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest1d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest2d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest3d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest_exact1d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest_exact2d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
upsample_nearest_exact3d(Tensor input, *, SymInt[]? output_size=None, float[]? scale_factors=None, str[] quantization, Tensor[] parameters) -> Tensor
where(Tensor condition, Tensor self, Tensor other, *, str[] quantization, Tensor[] parameters) -> Tensor
"""

# --- quantization texts
INTEGERS = {"i2": torch.int8, "u2": torch.uint8, "i4": torch.int8, "u4": torch.uint8, "i8": torch.int8, "u8": torch.uint8, "i16": torch.int16,
            "u16": torch.uint16, "i32": torch.int32, "i64": torch.int64}
FLOATS = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}


class Quant:
    """One text: "i8 -127 127 f32 axis=0 scales=0", with the tensors it names."""

    def __init__(self, text, parameters):
        words = text.split(" ")
        self.storage, self.expressed = INTEGERS[words[0]], FLOATS[words[3]]
        self.low, self.high = int(words[1]), int(words[2])
        self.axis, self.block, self.dynamic, self.float_zero = None, None, False, False
        self.scales, self.zeros = torch.tensor(1.0, dtype=torch.float64), None
        for word in words[4:]:
            key, _, value = word.partition("=")
            if key == "axis": self.axis = int(value)
            elif key == "block": self.block = [int(v) for v in value.split(",")]
            elif key == "dynamic": self.dynamic = True
            elif key == "domain": self.float_zero = value == "float"
            elif key == "scale": self.scales = torch.tensor(float(value), dtype=torch.float64)
            elif key == "zero_point": self.zeros = torch.tensor(float(value), dtype=torch.float64)
            elif key == "scales": self.scales = parameters[int(value)]
            elif key == "zero_points": self.zeros = parameters[int(value)]
        self.per_tensor = self.axis is None and self.block is None
        self.wide = self.scales.dtype == torch.float64 and not self.per_tensor

    def grid(self, shape):
        """Cells along each dim."""
        if self.block is not None:
            return [1 if b == 0 else -(-n // b) for b, n in zip(self.block, shape)]
        return [n if d == self.axis else 1 for d, n in enumerate(shape)]

    def spread(self, values, shape):
        """Parameters in float64, one an element (or broadcast to that)."""
        values = values.to(torch.float64)
        if self.per_tensor or values.numel() == 1:
            return values.reshape(())
        values = values.reshape(self.grid(shape))
        for d, cells in enumerate(values.shape):
            if cells not in (1, shape[d]):
                values = values.repeat_interleave(self.block[d], d).narrow(d, 0, shape[d])
        return values

    def centred(self, q):
        """Integers less zero point: exact in float64."""
        x = q.to(torch.float64)
        return x if self.zeros is None else x - self.spread(self.zeros, q.shape)

    def dequantize(self, q):
        working = torch.float64 if self.wide else torch.float32
        x = self.centred(q)
        return (x.to(working) * self.spread(self.scales, q.shape).to(working)).to(self.expressed)

    def quantize(self, x):
        if self.per_tensor:
            inverse = (1.0 / self.scales.to(torch.float64)).to(torch.float32).reshape(())
        elif self.wide:
            inverse = 1.0 / self.spread(self.scales, x.shape)
        else:
            inverse = 1.0 / self.spread(self.scales, x.shape).to(torch.float32)
        scaled = torch.round(x.to(inverse.dtype) * inverse).to(torch.float64)
        if self.zeros is not None:
            scaled = scaled + self.spread(self.zeros, x.shape)
        return torch.nan_to_num(scaled, nan=0.0).clamp(self.low, self.high).to(self.storage)


def quants(texts, parameters):
    return [Quant(t, parameters) if t else None for t in texts]


# --- arithmetic
def tree(lanes):
    for width in (8, 4, 2, 1):
        lanes = lanes[..., :width] + lanes[..., width:2 * width]
    return lanes[..., 0]


def sum16(x):
    """Sum over the last dim: element i goes to lane i % 16, then the lanes in a tree."""
    n = x.shape[-1]
    x = F.pad(x, (0, -n % 16)).reshape(*x.shape[:-1], -1, 16)
    lanes = x.new_zeros(*x.shape[:-2], 16)
    for k in range(x.shape[-2]):
        lanes = lanes + x[..., k, :]
    return tree(lanes)


def products(a, b):
    """a[..., M, K] times b[..., N, K] to [..., M, N] as floats, in the interpreter's order."""
    k = a.shape[-1]
    a, b = F.pad(a, (0, -k % 16)), F.pad(b, (0, -k % 16))
    lanes = a.new_zeros(1)
    for i in range(0, a.shape[-1], 16):
        lanes = lanes + a[..., :, None, i:i + 16] * b[..., None, :, i:i + 16]
    return tree(lanes) if a.shape[-1] else a.new_zeros(*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-2])


def clamped(x, attrs):
    low, high = attrs.get("act_min"), attrs.get("act_max")
    if low is not None: x = torch.where(x < low, torch.full_like(x, low), x)
    if high is not None: x = torch.where(x > high, torch.full_like(x, high), x)
    return x


def real_bias(bias, quant):
    return None if bias is None else (bias if quant is None else quant.dequantize(bias)).to(torch.float64)


def along(values, rank, axis):
    """A vector along one dim."""
    return values.reshape([-1 if d == axis % rank else 1 for d in range(rank)]) if values.numel() > 1 else values.reshape(())


def integer_bias(bias, quant, unit):
    """The bias in units of the sums, where its scales are those; else None."""
    if bias is None or quant is None or bias.dtype == torch.int64 or quant.zeros is not None and bool((quant.zeros != 0).any()):
        return None
    scales, unit = quant.scales.to(torch.float64).reshape(-1), unit.reshape(-1)
    if unit.numel() not in (1, bias.numel()) or not bool(((scales - unit).abs() <= unit * 2.0 ** -22).all()):
        return None
    return bias.to(torch.float64)


def matrix_product(x, w, b, qx, qw, qb, alpha=1, beta=1):
    """x[..., M, K], w[..., N, K]; b broadcast to [..., M, N] as it is."""
    if qx is None or qw is None or qw.float_zero or qx.float_zero:
        xf = x if qx is None else qx.dequantize(x)
        wf = w if qw is None else qw.dequantize(w)
        y = products(xf, wf.to(xf.dtype))
        if alpha != 1: y = y * torch.tensor(alpha, dtype=y.dtype)
        if b is not None:
            bias = real_bias(b, qb).to(y.dtype)
            y = y + (bias if beta == 1 else torch.tensor(beta, dtype=y.dtype) * bias)
        return y
    xi, wi = qx.centred(x), qw.centred(w)
    sx, sw = qx.spread(qx.scales, x.shape), qw.spread(qw.scales, w.shape)
    column = sx if sx.dim() == 0 else sx[..., :1].expand(*x.shape[:-1], 1)
    k = x.shape[-1]
    group = qw.block[-1] if qw.block is not None and qw.block[-1] not in (0, 1) else k
    if sw.dim() and sw.shape[-1] == 1: group = k
    y = None
    for start in range(0, max(k, 1), max(group, 1)):
        sums = xi[..., start:start + group] @ wi[..., start:start + group].transpose(-1, -2)
        row = sw if sw.dim() == 0 else sw[..., min(start, sw.shape[-1] - 1)].unsqueeze(-2)
        integers = None
        if group == k and alpha == 1 and beta == 1 and qx.per_tensor:
            integers = integer_bias(b, qb, sx * (sw if sw.dim() == 0 else sw[..., 0]))
        part = (sums if integers is None else sums + integers) * (column * row)
        y = part if y is None else y + part
        if integers is not None: b = None
    if alpha != 1: y = y * alpha
    if b is not None:
        bias = real_bias(b, qb)
        y = y + (bias if beta == 1 else beta * bias)
    return y.to(torch.float32)


def linear(t, q, a):
    x, w, b = t
    if x.dim() == 1:
        return matrix_product(x[None], w, b, *q)[0]
    return matrix_product(x, w, b, *q)


def matmul_like(x, w, b, qx, qw, qb, alpha=1, beta=1):
    shape = w.shape
    if x.dim() == 1 or w.dim() == 1:
        raise NotImplementedError("zp.matmul of vectors")
    wt = w.transpose(-1, -2)
    if qw is not None and not qw.per_tensor:
        spread_s = qw.spread(qw.scales, shape).expand(shape).transpose(-1, -2)
        flat = Quant.__new__(Quant)
        flat.__dict__.update(qw.__dict__)
        flat.axis, flat.per_tensor = None, False
        flat.block = [1] * w.dim()
        flat.scales = spread_s.contiguous().to(qw.scales.dtype)
        flat.zeros = None if qw.zeros is None else qw.spread(qw.zeros, shape).expand(shape).transpose(-1, -2).contiguous()
        per_row = bool((flat.scales == flat.scales[..., :1]).all())
        if per_row:
            flat.scales, flat.block = flat.scales[..., :1].contiguous(), [1] * (w.dim() - 1) + [0]
            flat.zeros = None if flat.zeros is None else flat.zeros[..., :1].contiguous()
        qw = flat
    return matrix_product(x, wt, b, qx, qw, qb, alpha, beta)


def matmul(t, q, a):
    return matmul_like(t[0], t[1], None, q[0], q[1], None)


def addmm(t, q, a):
    return matmul_like(t[1], t[2], t[0], q[1], q[2], q[0], a.get("alpha", 1), a.get("beta", 1))


def convolution(dims, transposed):
    plain = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dims]
    turned = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]

    def run(t, q, a):
        x, w, b = t
        qx, qw, qb = q
        exact = qx is not None and qw is not None and qx.per_tensor
        xi = qx.centred(x) if exact else (x if qx is None else qx.dequantize(x)).to(torch.float64)
        wi = qw.centred(w) if exact else (w if qw is None else qw.dequantize(w)).to(torch.float64)
        out_axis, stride, dilation = 1 if transposed else 0, a["stride"] or 1, a["dilation"] or 1
        if transposed:
            y = turned(xi, wi, None, stride, a["padding"] or 0, a["output_padding"] or 0, a["groups"], dilation)
        else:
            y = plain(xi, wi, None, stride, a["pad_mode"] or a["padding"] or 0, dilation, a["groups"])
        channel = y.dim() - dims - 1
        if not exact:
            if b is not None: y = y + along(real_bias(b, qb), y.dim(), channel)
            return y.to(torch.float32)
        scale = qx.scales.to(torch.float64).reshape(()) * (qw.spread(qw.scales, w.shape).amax(
            [d for d in range(w.dim()) if d != out_axis]) if not qw.per_tensor else qw.scales.to(torch.float64).reshape(()))
        if transposed and scale.dim() and a["groups"] > 1: scale = scale.repeat(a["groups"])
        integers = integer_bias(b, qb, scale)
        if integers is not None: y, b = y + along(integers, y.dim(), channel), None
        y = y * along(scale, y.dim(), channel)
        if b is not None: y = y + along(real_bias(b, qb), y.dim(), channel)
        return y.to(torch.float32)
    return run


# --- operators on real values: (tensors, attributes) -> result, in float32
def in_double(f):
    return lambda t, a: f(t[0].to(torch.float64), a).to(t[0].dtype)


def binary(f):
    return lambda t, a: f(t[0], t[1])


def scaled(f):
    def run(t, a):
        alpha = a.get("alpha", 1)
        return f(t[0], t[1] if alpha == 1 else t[1] * alpha)
    return run


def listed(value, dims):
    value = list(value) if isinstance(value, (list, tuple)) else [value]
    return value * dims if len(value) == 1 else value


def max_pool(dims):
    f = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    return lambda t, a: f(t[0], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"], a["dilation"], a["ceil_mode"])


def mean_over(x, dims, sizes, window):
    """Means of windows of the last dims; `window(d, i)` gives begin, end and the length to divide by."""
    out = []
    for at in itertools.product(*[range(n) for n in sizes]):
        cells, divisor = x, 1
        for d, i in enumerate(at):
            begin, end, length = window(d, i)
            cells = cells.narrow(x.dim() - dims + d, begin, end - begin)
            divisor *= length
        out.append(sum16(cells.flatten(-dims)) / divisor)
    return torch.stack(out, -1).unflatten(-1, sizes)


def avg_pool(dims):
    def run(t, a):
        x, kernel = t[0], listed(a["kernel_size"], dims)
        stride, padding = listed(a["stride"] or kernel, dims), listed(a["padding"] or [0], dims)
        spatial, sizes, override = x.shape[-dims:], [], a["divisor_override"]
        for d in range(dims):
            free = spatial[d] + 2 * padding[d] - kernel[d]
            n = (-(-free // stride[d]) if a["ceil_mode"] else free // stride[d]) + 1
            sizes.append(n - (a["ceil_mode"] and (n - 1) * stride[d] >= spatial[d] + padding[d]))

        def window(d, i):
            begin = i * stride[d] - padding[d]
            end = min(begin + kernel[d], spatial[d] + padding[d])
            low, high = max(begin, 0), min(end, spatial[d])
            length = (override if d == 0 else 1) if override else end - begin if a["count_include_pad"] else high - low
            return low, high, length
        return mean_over(x, dims, sizes, window)
    return run


def adaptive_avg_pool(dims):
    def run(t, a):
        x, spatial = t[0], t[0].shape[-dims:]
        sizes = listed(a["output_size"], dims)
        ends = lambda d, i: (i * spatial[d] // sizes[d], -(-(i + 1) * spatial[d] // sizes[d]))
        return mean_over(x, dims, sizes, lambda d, i: (*ends(d, i), ends(d, i)[1] - ends(d, i)[0]))
    return run


def mean(t, a):
    x, dims = t[0], [d % max(t[0].dim(), 1) for d in (a["dims"] or range(t[0].dim()))]
    kept = [d for d in range(x.dim()) if d not in dims]
    rows = x.permute(*kept, *dims).reshape(*[x.shape[d] for d in kept], -1)
    y = sum16(rows) / rows.shape[-1]
    return y.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())]) if a["keepdim"] else y


def total(t, a):
    x, dims = t[0], [d % max(t[0].dim(), 1) for d in (a["dims"] or range(t[0].dim()))]
    kept = [d for d in range(x.dim()) if d not in dims]
    y = sum16(x.permute(*kept, *dims).reshape(*[x.shape[d] for d in kept], -1))
    return y.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())]) if a["keepdim"] else y


def softmax(t, a):
    x = t[0].movedim(a["dim"], -1)
    e = torch.exp((x - x.amax(-1, keepdim=True)).to(torch.float64)).to(x.dtype)
    return (e / sum16(e).unsqueeze(-1)).movedim(-1, a["dim"])


def extremum(f):
    return lambda t, a: f(t[0], a["dims"] or list(range(t[0].dim())), a["keepdim"])


AFFINE = {"linear": linear, "matmul": matmul, "addmm": addmm, "baddbmm": addmm, **{f"conv{n}d": convolution(n, False) for n in (1, 2, 3)},
          **{f"conv_transpose{n}d": convolution(n, True) for n in (1, 2, 3)}}
REAL = {
    "add": scaled(torch.add), "sub": scaled(torch.sub), "mul": binary(torch.mul), "maximum": binary(torch.maximum), "minimum": binary(torch.minimum),
    "embedding": lambda t, a: t[0][t[1].long()], "cat": lambda t, a: torch.cat(t, a["dim"]), "stack": lambda t, a: torch.stack(t, a["dim"]),
    "where": lambda t, a: torch.where(t[0], t[1], t[2]), "masked_fill": lambda t, a: torch.where(t[1], t[2], t[0]),
    "relu": lambda t, a: torch.relu(t[0]), "hardtanh": lambda t, a: F.hardtanh(t[0], a["min_val"], a["max_val"]),
    "clamp": lambda t, a: torch.clamp(t[0], a["min"], a["max"]), "abs": lambda t, a: torch.abs(t[0]), "neg": lambda t, a: -t[0],
    "mean": mean, "sum": total, "softmax": softmax, "amax": extremum(torch.amax), "amin": extremum(torch.amin),
    **{f"max_pool{n}d": max_pool(n) for n in (1, 2, 3)}, **{f"avg_pool{n}d": avg_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive_avg_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": (lambda n: lambda t, a: getattr(F, f"adaptive_max_pool{n}d")(t[0], a["output_size"]))(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": (lambda n: lambda t, a: getattr(F, f"max_pool{n}d")(
        t[0], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"], a["dilation"], a["ceil_mode"], return_indices=True))(n) for n in (1, 2, 3)},
    **{f"upsample_nearest{e}{n}d": (lambda n, e: lambda t, a: F.interpolate(
        t[0], a["output_size"], a["scale_factors"] if a["output_size"] is None else None, mode="nearest" + e.replace("_", "-")))(n, e)
       for n in (1, 2, 3) for e in ("", "_exact")},
    "safe_softmax": softmax, "round": lambda t, a: torch.round(t[0], decimals=a["decimals"]), "logit": in_double(lambda x, a: torch.logit(x, a["eps"])),
    "nan_to_num": lambda t, a: torch.nan_to_num(t[0], a["nan"] or 0.0, a["posinf"], a["neginf"]),
    "leaky_relu": lambda t, a: F.leaky_relu(t[0], a["negative_slope"]), "threshold": lambda t, a: F.threshold(t[0], a["threshold"], a["value"]),
    "hardswish": lambda t, a: F.hardswish(t[0]), "hardsigmoid": lambda t, a: F.hardsigmoid(t[0]),
    "elu": in_double(lambda x, a: torch.ops.aten.elu(x, a["alpha"], a["scale"], a["input_scale"])), "celu": in_double(lambda x, a: F.celu(x, a.get("alpha", 1.0))),
    "gelu": in_double(lambda x, a: F.gelu(x, approximate=a.get("approximate") or "none")),
    "softplus": in_double(lambda x, a: F.softplus(x, a.get("beta", 1), a.get("threshold", 20))),
    "hardshrink": lambda t, a: F.hardshrink(t[0], a.get("lambd", 0.5)), "softshrink": lambda t, a: F.softshrink(t[0], a.get("lambd", 0.5)),
    **{n: in_double(lambda x, a, f=f: f(x)) for n, f in {
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "silu": F.silu, "mish": F.mish, "selu": F.selu, "log_sigmoid": F.logsigmoid, "exp": torch.exp,
        "log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "erf": torch.erf, "reciprocal": torch.reciprocal, "square": torch.square,
        "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh,
        "cosh": torch.cosh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh, "erfc": torch.erfc, "erfinv": torch.erfinv,
        "exp2": torch.exp2, "lgamma": torch.lgamma, "sinc": torch.sinc, "sign": torch.sign, "sgn": torch.sgn, "floor": torch.floor,
        "ceil": torch.ceil, "trunc": torch.trunc, "frac": torch.frac, "deg2rad": torch.deg2rad, "rad2deg": torch.rad2deg, "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p, "expm1": torch.expm1}.items()},
}


# --- registration
def parse(schema):
    name, rest = schema.split("(", 1)
    arguments, results = rest.rsplit(") -> ", 1)
    fields = []
    for part in re.split(r", (?![^\[]*\])", arguments.replace("*, ", "")):
        kind, field = part.split("=")[0].rsplit(" ", 1)
        fields.append((kind, field))
    return name, fields, results.count("Tensor")


def run(name, fields, results, values):
    """Operands, attributes and texts of one call to its results."""
    values = dict(zip([f for _, f in fields], values))
    texts, parameters = values.pop("quantization"), values.pop("parameters")
    operands, optional, attrs = [], 0, {}
    for kind, field in fields:
        if field not in values: continue
        if kind == "Tensor[]": operands += list(values[field])
        elif kind in ("Tensor", "Tensor?"): operands.append(values[field])
        else: attrs[field] = values[field]
    q = quants(texts, parameters)
    of_operands, of_results = (q + [None] * len(operands))[:len(operands)], (q + [None] * results)[len(operands):len(operands) + results]
    if name in AFFINE:
        y = AFFINE[name](operands, of_operands, attrs)
    else:
        f = REAL.get(name)
        if f is None:
            raise NotImplementedError(f"zp.{name} has no reference implementation for torch")
        y = f([t if t is None or k is None else k.dequantize(t) for t, k in zip(operands, of_operands)], attrs)
    y = list(y) if isinstance(y, (tuple, list)) else [y]
    y[0] = clamped(y[0], attrs)
    y = [v if k is None else k.quantize(v) for v, k in zip(y, of_results)]
    return tuple(y) if results > 1 else y[0]


def register(schema):
    name, fields, results = parse(schema)
    library.define(schema)

    def implementation(*args, **kwargs):
        values = list(args)
        for (kind, field) in fields[len(args):]:
            values.append(kwargs.get(field, DEFAULTS[name].get(field)))
        return run(name, fields, results, values)

    DEFAULTS[name] = defaults(schema)
    library.impl(name, implementation, "CompositeExplicitAutograd")
    library.impl(name, implementation, "Meta")


def defaults(schema):
    out = {}
    for field, text in re.findall(r"(\w+)=(\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[^,)]+)", schema):
        out[field] = {"None": None, "True": True, "False": False}.get(text, text)
        if isinstance(out[field], str):
            if text[0] == "[": out[field] = [float(v) if "." in v else int(v) for v in text[1:-1].split(",") if v.strip()]
            elif text[0] in "\"'": out[field] = text[1:-1]
            else: out[field] = float(text) if re.search(r"[.einf]", text) else int(text)
    return out


DEFAULTS = {}
library = torch.library.Library("zp", "DEF")
for line in SCHEMAS.strip().splitlines():
    register(line)
