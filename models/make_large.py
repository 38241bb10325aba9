#!/usr/bin/env python3
"""Writes large torch.export archives without torch: the shapes of well-known networks with seeded weights, in the
quantize/dequantize form that PyTorch's flow leaves (int8 weights per channel, int8 activations per tensor, float bias).

    make_large.py NETWORK OUT.pt2 [--size 224] [--tokens 128] [--float-weights] [--sparse]

NETWORK: mobilenet_v2, resnet50, bert_base, or huge:GIGABYTES (linear layers, for the limits of file handling).
Needs Python's standard library only. The layout of the archive is that of torch 2.13 (torch/_export/serde/schema.py):
stored zip entries whose payloads start at multiples of 64. The weights are noise of a sensible size, so the networks
compute, yet recognise nothing. --float-weights also keeps the float originals that the flow leaves behind. --sparse
makes large weights zeros that are holes of the file: gigabytes in a second and without disk space.
"""
import argparse
import json
import math
import random
import struct
import sys
import zlib

FLOAT, INT8, INT64 = 7, 2, 5  # dtype numbers of the archive format
ITEM = {FLOAT: 4, INT8: 1, INT64: 8}
HOLE = bytes(1 << 26)  # zeros that are not written but skipped


class ZipWriter:
    """Stored entries, payloads aligned to 64, zip64 records where sizes or offsets need them."""

    def __init__(self, path, root):
        self.file, self.root, self.entries, self.position = open(path, "wb"), root, [], 0

    def write(self, data):
        self.file.write(data)
        self.position += len(data)

    def add(self, name, chunks, size=None):
        name = f"{self.root}/{name}".encode()
        if isinstance(chunks, (bytes, bytearray)):
            chunks, size = [chunks], len(chunks)
        start = self.position
        big = size >= 0xFFFFFFFF
        zip64 = struct.pack("<HHQQ", 1, 16, size, size) if big else b""
        fixed = 30 + len(name) + len(zip64) + 4
        filler = -(start + fixed) % 64
        extra = zip64 + struct.pack("<HH", 0x4246, filler) + b"Z" * filler
        crc_at = self.position + 14
        shown = 0xFFFFFFFF if big else size
        self.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 0, 0x0800, 0, 0, 0, 0, shown, shown, len(name), len(extra)) + name + extra)
        crc = 0
        for chunk in chunks:
            crc = zlib.crc32(chunk, crc)
            if chunk is HOLE:
                self.position += len(chunk)
                self.file.seek(self.position)
            else:
                self.write(chunk)
        self.file.seek(crc_at)
        self.file.write(struct.pack("<I", crc))
        self.file.seek(self.position)
        self.entries.append((name, crc, size, start))

    def close(self):
        begin = self.position
        for name, crc, size, start in self.entries:
            fields = ([size, size] if size >= 0xFFFFFFFF else []) + ([start] if start >= 0xFFFFFFFF else [])
            extra = struct.pack("<HH", 1, 8 * len(fields)) + b"".join(struct.pack("<Q", f) for f in fields) if fields else b""
            shown = min(size, 0xFFFFFFFF)
            self.write(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0x0800, 0, 0, 0, crc, shown, shown, len(name), len(extra),
                                   0, 0, 0, 0, min(start, 0xFFFFFFFF)) + name + extra)
        end, count = self.position, len(self.entries)
        self.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, end - begin, begin))
        self.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
        self.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(end - begin, 0xFFFFFFFF),
                               min(begin, 0xFFFFFFFF), 0))
        self.file.close()


def strides(shape):
    result, step = [], 1
    for d in reversed(shape):
        result.append(step)
        step *= d
    return result[::-1]


def meta(dtype, shape):
    ints = lambda values: [{"as_int": v} for v in values]
    return {"dtype": dtype, "sizes": ints(shape), "requires_grad": False, "device": {"type": "cpu", "index": None},
            "strides": ints(strides(shape)), "storage_offset": {"as_int": 0}, "layout": 7}


def tensor(name):
    return {"as_tensor": {"name": name}}


class Program:
    """Builds the graph: methods add nodes and return value names; shapes are tracked here."""

    def __init__(self, title, seed, options):
        self.title, self.random = title, random.Random(seed)
        self.float_weights, self.sparse = options.float_weights, options.sparse
        self.nodes, self.values, self.inputs, self.specs, self.config, self.payloads = [], {}, [], [], {}, []
        self.counts, self.user, self.path = {}, [], ""

    def unique(self, stem):
        n = self.counts.get(stem, -1) + 1
        self.counts[stem] = n
        return stem if n == 0 else f"{stem}_{n}"

    def node(self, target, stem, arguments, shape, dtype=FLOAT):
        name = self.unique(stem)
        inputs = [{"name": k, "arg": v, "kind": 1} for k, v in arguments]
        kind = target.rsplit(".", 2)[1]
        stack = ";".join(["L__self__,,__main__." + self.title] + [f"L__self___{p.replace('.', '_')},{p},torch.nn.modules.Module" for p in [self.path] if p])
        trace = f'  File "model.py", line {len(self.nodes) + 1}, in forward\n    x = self.{self.path or kind}(x)\n'
        self.nodes.append({"target": "torch.ops." + target, "inputs": inputs, "outputs": [tensor(name)],
                           "metadata": {"stack_trace": trace * 4, "nn_module_stack": stack, "torch_fn": f"{name};builtin_function_or_method.{kind}"},
                           "is_hop_single_tensor_return": None, "name": name})
        self.values[name] = (dtype, list(shape))
        return name

    def shape(self, name):
        return self.values[name][1]

    def buffer(self, fqn, dtype, shape, payload):
        name = "b_" + fqn.replace(".", "_")
        self.values[name] = (dtype, list(shape))
        self.inputs.append(tensor(name))
        self.specs.append({"buffer": {"arg": {"name": name}, "buffer_name": fqn, "persistent": True}})
        self.config[fqn] = {"path_name": f"weight_{len(self.payloads)}", "is_param": False, "use_pickle": False, "tensor_meta": meta(dtype, shape)}
        self.payloads.append((payload, math.prod(shape) * ITEM[dtype]))
        return name

    def noise(self, size):
        """Bytes of seeded noise in pieces of at most 64 MB, so that huge tensors need little memory."""
        seed = self.random.getrandbits(64)

        def pieces():
            source, left = random.Random(seed), size
            while self.sparse and left >= len(HOLE):
                yield HOLE
                left -= len(HOLE)
            while left > 0:
                take = min(left, 1 << 26)
                # -128 is outside the declared range of weights.
                yield source.randbytes(take).replace(b"\x80", b"\x81")
                left -= take
        return pieces

    def input(self, name, dtype, shape):
        self.user.append((name, dtype, shape))
        self.values[name] = (dtype, list(shape))
        return name

    # -- quantization
    def q(self, x, scale, zero_point=0):
        ends = [("scale", {"as_float": scale}), ("zero_point", {"as_int": zero_point}), ("quant_min", {"as_int": -128}),
                ("quant_max", {"as_int": 127}), ("dtype", {"as_scalar_type": INT8})]
        shape = self.shape(x)
        i = self.node("quantized_decomposed.quantize_per_tensor.default", "quantize_per_tensor", [("input", tensor(x))] + ends, shape, INT8)
        return self.node("quantized_decomposed.dequantize_per_tensor.default", "dequantize_per_tensor", [("input", tensor(i))] + ends, shape)

    def weight(self, fqn, shape, fan_in):
        channels = shape[0]
        scale = 1.7 / math.sqrt(fan_in) / 73.9  # uniform bytes have a deviation of 73.9
        if self.float_weights:
            self.buffer(fqn + "_original", FLOAT, shape, self.noise(4 * math.prod(shape)))
        w = self.buffer(fqn, INT8, shape, self.noise(math.prod(shape)))
        s = self.buffer(fqn + "_scale", FLOAT, [channels], struct.pack(f"<{channels}f", *(scale * self.random.uniform(0.8, 1.25) for _ in range(channels))))
        z = self.buffer(fqn + "_zero_point", INT64, [channels], bytes(8 * channels))
        return self.node("quantized_decomposed.dequantize_per_channel.default", "dequantize_per_channel",
                         [("input", tensor(w)), ("scales", tensor(s)), ("zero_points", tensor(z)), ("axis", {"as_int": 0}), ("quant_min", {"as_int": -127}),
                          ("quant_max", {"as_int": 127}), ("dtype", {"as_scalar_type": INT8})], shape)

    def bias(self, fqn, channels):
        return self.buffer(fqn, FLOAT, [channels], struct.pack(f"<{channels}f", *(self.random.gauss(0, 0.1) for _ in range(channels))))

    # -- layers; activations come in dequantized and go out dequantized
    def conv(self, x, fqn, out, kernel, stride=1, groups=1, act=None, scale=0.03):
        self.path = fqn
        n, c, h, w = self.shape(x)
        pad = kernel // 2
        args = [("input", tensor(x)), ("weight", tensor(self.weight(fqn + ".weight", [out, c // groups, kernel, kernel], c // groups * kernel * kernel))),
                ("bias", tensor(self.bias(fqn + ".bias", out))), ("stride", {"as_ints": [stride, stride]}), ("padding", {"as_ints": [pad, pad]}),
                ("dilation", {"as_ints": [1, 1]}), ("groups", {"as_int": groups})]
        oh, ow = ((d + 2 * pad - kernel) // stride + 1 for d in (h, w))
        y = self.node("aten.conv2d.default", "conv2d", args, [n, out, oh, ow])
        if act == "relu":
            y = self.node("aten.relu.default", "relu", [("self", tensor(y))], self.shape(y))
        elif act == "relu6":
            y = self.node("aten.hardtanh.default", "hardtanh", [("self", tensor(y)), ("min_val", {"as_float": 0.0}), ("max_val", {"as_float": 6.0})], self.shape(y))
        return self.q(y, scale, -128 if act else 0)

    def linear(self, x, fqn, out, scale=0.05):
        self.path = fqn
        shape = self.shape(x)
        y = self.node("aten.linear.default", "linear", [("input", tensor(x)), ("weight", tensor(self.weight(fqn + ".weight", [out, shape[-1]], shape[-1]))),
                                                         ("bias", tensor(self.bias(fqn + ".bias", out)))], shape[:-1] + [out])
        return self.q(y, scale)

    def op(self, target, stem, x, arguments, shape):
        return self.node(target, stem, [("self", tensor(x))] + arguments, shape)

    def add(self, a, b, scale=0.04, zero_point=0, relu=False):
        y = self.op("aten.add.Tensor", "add", a, [("other", tensor(b))], self.shape(a))
        if relu:
            y, zero_point = self.op("aten.relu.default", "relu", y, [], self.shape(y)), -128
        return self.q(y, scale, zero_point)

    def reshape(self, x, shape):
        return self.op("aten.reshape.default", "reshape", x, [("shape", {"as_ints": shape})], shape)

    def permute(self, x, dims):
        return self.op("aten.permute.default", "permute", x, [("dims", {"as_ints": dims})], [self.shape(x)[d] for d in dims])

    def write(self, path, result):
        for name, dtype, shape in self.user:
            self.inputs.append(tensor(name))
            self.specs.append({"user_input": {"arg": tensor(name)}})
        leaf = {"type": None, "context": None, "children_spec": []}
        in_spec = [1, {"type": "builtins.tuple", "context": "null", "children_spec": [
            {"type": "builtins.tuple", "context": "null", "children_spec": [leaf] * len(self.user)}, {"type": "builtins.dict", "context": "[]", "children_spec": []}]}]
        call = {"fqn": "", "signature": {"inputs": [], "outputs": [], "in_spec": json.dumps(in_spec), "out_spec": json.dumps([1, leaf]),
                                         "forward_arg_names": [u[0] for u in self.user]}}
        graph = {"inputs": self.inputs, "outputs": [tensor(result)], "nodes": self.nodes, "tensor_values": {k: meta(*v) for k, v in self.values.items()},
                 "sym_int_values": {}, "sym_bool_values": {}, "is_single_tensor_return": False, "custom_obj_values": {}, "sym_float_values": {}}
        program = {"graph_module": {"graph": graph, "signature": {"input_specs": self.specs, "output_specs": [{"user_output": {"arg": tensor(result)}}]},
                                    "module_call_graph": [call], "metadata": {}, "treespec_namedtuple_fields": {}},
                   "opset_version": {"aten": 10}, "range_constraints": {}, "schema_version": {"major": 8, "minor": 14}, "verifiers": ["TRAINING"],
                   "torch_version": "2.13.0", "guards_code": []}
        zip_file = ZipWriter(path, self.title)
        for k, (payload, size) in enumerate(self.payloads):
            zip_file.add(f"data/weights/weight_{k}", payload() if callable(payload) else [payload], size)
        text = lambda value: json.dumps(value).encode()
        zip_file.add("data/weights/model_weights_config.json", text({"config": self.config}))
        zip_file.add("data/constants/model_constants_config.json", text({"config": {}}))
        zip_file.add("models/model.json", text(program))
        zip_file.add("data/sample_inputs/model.pt", b"")
        for name, data in (("archive_format", b"pt2"), ("archive_version", b"0"), (".data/version", b"6\n"), ("byteorder", b"little")):
            zip_file.add(name, data)
        zip_file.close()


def mobilenet_v2(p, options):
    x = p.q(p.input("x", FLOAT, [1, 3, options.size, options.size]), 0.02)
    x = p.conv(x, "features.0", 32, 3, stride=2, act="relu6", scale=6 / 255)
    block = 1
    for expand, out, repeats, first_stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for k in range(repeats):
            stride, inner, skip, at = first_stride if k == 0 else 1, p.shape(x)[1] * expand, x, f"features.{block}.conv"
            if expand != 1:
                x = p.conv(x, at + ".0", inner, 1, act="relu6", scale=6 / 255)
            x = p.conv(x, at + ".1", inner, 3, stride=stride, groups=inner, act="relu6", scale=6 / 255)
            x = p.conv(x, at + ".2", out, 1)
            if stride == 1 and p.shape(skip)[1] == out:
                x = p.add(skip, x)
            block += 1
    x = p.conv(x, "features.18", 1280, 1, act="relu6", scale=6 / 255)
    x = p.q(p.op("aten.adaptive_avg_pool2d.default", "adaptive_avg_pool2d", x, [("output_size", {"as_ints": [1, 1]})], [1, 1280, 1, 1]), 6 / 255, -128)
    x = p.op("aten.flatten.using_ints", "flatten", x, [("start_dim", {"as_int": 1})], [1, 1280])
    return p.linear(x, "classifier.1", 1000)


def resnet50(p, options):
    x = p.q(p.input("x", FLOAT, [1, 3, options.size, options.size]), 0.02)
    x = p.conv(x, "conv1", 64, 7, stride=2, act="relu")
    n, c, h, w = p.shape(x)
    x = p.op("aten.max_pool2d.default", "max_pool2d", x, [("kernel_size", {"as_ints": [3, 3]}), ("stride", {"as_ints": [2, 2]}), ("padding", {"as_ints": [1, 1]})],
             [n, c, (h + 1) // 2, (w + 1) // 2])
    x = p.q(x, 0.03, -128)
    for stage, (width, repeats) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for k in range(repeats):
            at, stride, skip = f"layer{stage}.{k}", 2 if k == 0 and stage > 1 else 1, x
            y = p.conv(x, at + ".conv1", width, 1, act="relu")
            y = p.conv(y, at + ".conv2", width, 3, stride=stride, act="relu")
            y = p.conv(y, at + ".conv3", width * 4, 1)
            if k == 0:
                skip = p.conv(x, at + ".downsample", width * 4, 1, stride=stride)
            x = p.add(y, skip, relu=True)
    x = p.q(p.op("aten.adaptive_avg_pool2d.default", "adaptive_avg_pool2d", x, [("output_size", {"as_ints": [1, 1]})], [1, 2048, 1, 1]), 0.02, -128)
    x = p.op("aten.flatten.using_ints", "flatten", x, [("start_dim", {"as_int": 1})], [1, 2048])
    return p.linear(x, "fc", 1000)


def bert_base(p, options):
    tokens, width, heads = options.tokens, 768, 12
    ids = p.input("input_ids", INT64, [1, tokens])
    table = p.weight("embeddings.word_embeddings.weight", [30522, width], width)
    x = p.node("aten.embedding.default", "embedding", [("weight", tensor(table)), ("indices", tensor(ids))], [1, tokens, width])
    norm_count = 0

    def norm(x):
        nonlocal norm_count
        at = f"norms.{norm_count}"
        norm_count += 1
        weight = p.buffer(at + ".weight", FLOAT, [width], struct.pack(f"<{width}f", *([1.0] * width)))
        bias = p.bias(at + ".bias", width)
        p.path = at
        y = p.node("aten.layer_norm.default", "layer_norm", [("input", tensor(x)), ("normalized_shape", {"as_ints": [width]}), ("weight", tensor(weight)),
                                                              ("bias", tensor(bias)), ("eps", {"as_float": 1e-12})], p.shape(x))
        return p.q(y, 0.04)

    def split_heads(x):
        return p.permute(p.reshape(x, [1, tokens, heads, width // heads]), [0, 2, 1, 3])

    def product(a, b):
        return p.op("aten.matmul.default", "matmul", a, [("other", tensor(b))], p.shape(a)[:-1] + [p.shape(b)[-1]])

    x = norm(x)
    for layer in range(12):
        at = f"encoder.layer.{layer}"
        q, k, v = (split_heads(p.linear(x, f"{at}.attention.{part}", width)) for part in ("query", "key", "value"))
        p.path = at + ".attention"
        scores = product(q, p.permute(k, [0, 1, 3, 2]))
        scores = p.op("aten.div.Tensor", "div", scores, [("other", {"as_float": 8.0})], p.shape(scores))
        probabilities = p.q(p.op("aten.softmax.int", "softmax", scores, [("dim", {"as_int": -1})], p.shape(scores)), 1 / 256, -128)
        context = p.q(p.reshape(p.permute(product(probabilities, v), [0, 2, 1, 3]), [1, tokens, width]), 0.03)
        x = norm(p.add(p.linear(context, at + ".attention.output", width), x))
        p.path = at + ".intermediate"
        inner = p.linear(x, at + ".intermediate", 3072)
        inner = p.q(p.op("aten.gelu.default", "gelu", inner, [], p.shape(inner)), 0.03, -110)
        x = norm(p.add(p.linear(inner, at + ".output", width), x))
    return p.linear(x, "pooler", width)


def huge(p, options):
    """Linear layers of 16384 x 16384, 256 MB each, until the size is reached."""
    gigabytes = float(options.network.partition(":")[2] or 4)
    x = p.q(p.input("x", FLOAT, [1, 16384]), 0.02)
    for layer in range(max(1, round(gigabytes * 4))):
        x = p.linear(x, f"layers.{layer}", 16384)
    return x


NETWORKS = {"mobilenet_v2": mobilenet_v2, "resnet50": resnet50, "bert_base": bert_base, "huge": huge}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("out")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--float-weights", action="store_true")
    parser.add_argument("--sparse", action="store_true")
    options = parser.parse_args()
    kind = options.network.partition(":")[0]
    if kind not in NETWORKS:
        sys.exit(f"no such network: {options.network}; networks: {', '.join(NETWORKS)}")
    program = Program(kind, 2024, options)
    program.write(options.out, NETWORKS[kind](program, options))


if __name__ == "__main__":
    main()
