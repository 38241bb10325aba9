// Sweeps over the conditions of the patterns of `cpu` and `vulkan`: every factor on both sides of its bound,
// alone and in pairs with every other. A rule written down here a second time says what must fuse; whatever
// fuses keeps every bit, whatever does not has a record that says why.
#include <functional>

#include "fuse_util.h"

namespace zp {
namespace {

using namespace test;

const Backend& vulkan() {
  static const std::unique_ptr<Backend> backend = [] {
    auto b = Backend::load("vulkan");
    EXPECT_TRUE(b.ok()) << (b.ok() ? "" : b.error().str());
    return std::move(*b);
  }();
  return *backend;
}

std::string list(int count, const std::function<int(int)>& value) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + std::to_string(value(i));
  return text;
}

// Every case once with each setting of each factor, and with each pair of settings of two factors.
template <typename Case>
struct Factor {
  std::string name;
  std::vector<std::function<void(Case&)>> settings;
};
template <typename Case>
void sweep(const std::vector<Factor<Case>>& factors, const std::function<void(const Case&)>& check) {
  const auto run = [&](const std::string& label, const Case& c) {
    SCOPED_TRACE(label);
    if (!testing::Test::HasFailure()) check(c);
  };
  for (size_t i = 0; i < factors.size(); ++i) {
    for (size_t a = 0; a < factors[i].settings.size(); ++a) {
      Case one;
      factors[i].settings[a](one);
      const std::string label = factors[i].name + " " + std::to_string(a);
      run(label, one);
      for (size_t j = i + 1; j < factors.size(); ++j) {
        for (size_t b = 0; b < factors[j].settings.size(); ++b) {
          Case two = one;
          factors[j].settings[b](two);
          run(label + ", " + factors[j].name + " " + std::to_string(b), two);
        }
      }
    }
  }
}

// The rewrite that took the node, of the backend's fusing.
const RewriteRecord* taking(const Fused& f, const std::string& node) {
  for (const RewriteRecord& r : f.records.rewrites)
    if (std::find(r.nodes.begin(), r.nodes.end(), node) != r.nodes.end()) return &r;
  return nullptr;
}

void expect_fused(const Fused& f, const std::string& node, bool wanted) {
  const RewriteRecord* rewrite = taking(f, node);
  const KeptRecord* kept = f.kept(node);
  EXPECT_EQ(rewrite != nullptr, wanted) << print(*f.model)
                                        << (kept != nullptr      ? kept->text
                                            : rewrite != nullptr ? rewrite->pattern
                                                                 : "");
  EXPECT_EQ(kept != nullptr, !wanted) << print(*f.model);
}

// --- quantized operands
// ------------------------------------------------------------------------------------------------------------

struct Activation {
  std::string storage = "i8";  // f32: not quantized
  std::string range;           // "<-100:100>"
  int zero_point = -3;
  enum Mode { Static, DynamicTensor, DynamicRow } mode = Static;
  std::string type() const { return storage + range + "(0.031, " + std::to_string(zero_point) + ")"; }
  bool is_float() const { return storage == "f32"; }
  // Lines that make `out` from `in`.
  std::string lines(const std::string& in, const std::string& out) const {
    if (is_float()) return "  %" + out + " = neg(%" + in + ")\n";
    if (mode == Static) {
      return "  %" + out + "q = quantize(%" + in + ") {type: " + type() + "}\n  %" + out + " = dequantize(%" +
             out + "q)\n";
    }
    const std::string type = storage + "(dynamic" + (mode == DynamicRow ? " block [1,*])" : ")");
    const std::string rule = mode == DynamicRow ? "affine_asymmetric" : "affine_asymmetric";
    return "  %" + out + "s, %" + out + "z = choose_qparams(%" + in + ") {type: " + type + ", rule: \"" +
           rule + "\", scale_dtype: f32, zero_point_dtype: i8}\n  %" + out + "q = quantize(%" + in + ", %" +
           out + "s, %" + out + "z) {type: " + type + "}\n  %" + out + " = dequantize(%" + out + "q, %" +
           out + "s, %" + out + "z)\n";
  }
};

struct Weight {
  std::string storage = "i8", range = "<-127:127>";
  bool narrow_values = false;  // within -8:7
  enum Grid { Tensor, Out, In, Group8, Group5, Whole, Block } grid = Out;
  enum Zeros { None, Zero, Some } zeros = None;

  bool four_declared() const { return range == "<-8:7>" || range == "<-7:7>"; }
  bool four() const { return four_declared() || narrow_values; }
  bool unsigned_() const { return storage == "u8"; }
  bool groups() const { return grid == Group8 || grid == Group5 || grid == Whole; }
  bool symmetric() const { return zeros != Some; }
  std::string values(int count) const {
    const int span = four() ? 14 : 200, low = unsigned_() ? 0 : -span / 2;
    return list(count, [&](int i) { return (i * 37 + 11) % span + low; });
  }
  int cells(int n, int k) const {
    switch (grid) {
      case Tensor: return 1;
      case Out:
      case Whole: return n;
      case In: return k;
      case Group8: return n * ((k + 7) / 8);
      case Group5: return n * ((k + 4) / 5);
      case Block: return (n + 1) / 2 * ((k + 7) / 8);
    }
    return 1;
  }
  // Constants and the type of [n, k]; `out` is the axis of the output channels.
  std::string constants(int n, int k) const {
    if (grid == Tensor) return "";
    const int count = cells(n, k);
    std::string shape = "[" + std::to_string(count) + "]";
    if (grid == Group8) shape = "[" + std::to_string(n) + "," + std::to_string((k + 7) / 8) + "]";
    if (grid == Group5) shape = "[" + std::to_string(n) + "," + std::to_string((k + 4) / 5) + "]";
    if (grid == Whole) shape = "[" + std::to_string(n) + ",1]";
    if (grid == Block) shape = "[" + std::to_string((n + 1) / 2) + "," + std::to_string((k + 7) / 8) + "]";
    std::string text = "@s = f32" + shape + " [" + scales(count) + "]\n";
    if (zeros != None)
      text += "@z = " + storage + shape + " [" +
              list(count, [&](int i) { return zeros == Some ? i % 3 : 0; }) + "]\n";
    return text;
  }
  std::string type(int out = 0, int in = 1) const {
    const std::string lists = zeros == None ? ": @s)" : ": @s, @z)";
    switch (grid) {
      case Tensor: return storage + range + "(0.0125, " + (zeros == Some ? "3" : "0") + ")";
      case Out: return storage + range + "(axis " + std::to_string(out) + lists;
      case In: return storage + range + "(axis " + std::to_string(in) + lists;
      case Group8: return storage + range + "(block [1,8]" + lists;
      case Group5: return storage + range + "(block [1,5]" + lists;
      case Whole: return storage + range + "(block [1,*]" + lists;
      case Block: return storage + range + "(block [2,8]" + lists;
    }
    return "";
  }
  bool fits(const Backend& backend, int k) const {
    if (unsigned_()) return false;
    if (backend.name() == "cpu") return grid == Tensor || grid == Out || groups();
    if (!symmetric()) return false;
    if (grid == Tensor || grid == Out || grid == Whole) return true;
    return four() && ((grid == Group8 && k % 8 == 0) || (grid == Group5 && k % 5 == 0));
  }
  bool per_channel() const { return grid == Tensor || grid == Out || grid == Whole; }
};

struct Result {
  std::string storage = "i8", range;  // f32: no quantizer
  int zero_point = 7;
  std::string type() const { return storage + range + "(0.11, " + std::to_string(zero_point) + ")"; }
};

// --- linear and products
// ------------------------------------------------------------------------------------------------------------

struct Linear {
  Activation x;
  Weight w;
  Result y;
  std::string bias = "f32";  // "", i32, i32-other
  std::string tail;          // "", relu, clamp, neg
  int rows = 5, k = 16, n = 12;
  bool rank3 = false;
  bool extra_reader = false;

  std::string text() const {
    const std::string size = "[" + std::to_string(n) + "," + std::to_string(k) + "]";
    const std::string xs = (rank3 ? "[2," : "[") + std::to_string(rows) + "," + std::to_string(k) + "]";
    std::string head = "zp 1\n@w = " + w.storage + size + " [" + w.values(n * k) + "]\n" + w.constants(n, k);
    std::string nodes =
        x.lines("x", "a") + "  %w = const @w : " + w.type() + size + "\n  %wd = dequantize(%w)\n";
    std::string b;
    if (bias == "f32") {
      head += "@b = f32[" + std::to_string(n) + "] [" + scales(n) + "]\n";
      nodes += "  %b = const @b\n";
    } else if (!bias.empty()) {
      head += "@b = i32[" + std::to_string(n) + "] [" + numbers(n, 5, 900) + "]\n";
      nodes += "  %bq = const @b : i32(" + std::string(bias == "i32" ? "0.0003875" : "0.0007") + ", 0)[" +
               std::to_string(n) + "]\n  %b = dequantize(%bq)\n";
    }
    nodes += std::string("  %l = linear(%a, %wd") + (bias.empty() ? "" : ", %b") + ")\n";
    std::string last = "l";
    if (tail == "relu") nodes += "  %t = relu(%l)\n";
    if (tail == "clamp") nodes += "  %t = hardtanh(%l) {min_val: -0.25, max_val: 0.5}\n";
    if (tail == "neg") nodes += "  %t = neg(%l)\n";
    if (!tail.empty()) last = "t";
    std::string out = last;
    if (y.storage != "f32") {
      nodes += "  %yq = quantize(%" + last + ") {type: " + y.type() + "}\n  %y = dequantize(%yq)\n";
      out = "y";
    }
    return head + "graph main(%x: f32" + xs + ") -> (%" + out + (extra_reader ? ", %l" : "") + ") {\n" +
           nodes + "}\n";
  }
};

std::vector<Factor<Linear>> linear_factors() {
  using L = Linear;
  return {
      {"x",
       {[](L& c) { c.x.storage = "f32"; }, [](L& c) { c.x.storage = "u8", c.x.zero_point = 120; },
        [](L& c) { c.x.range = "<-100:100>"; }, [](L& c) { c.x.zero_point = 0; },
        [](L& c) { c.x.storage = "i16", c.x.zero_point = 0; },
        [](L& c) { c.x.mode = Activation::DynamicTensor; }, [](L& c) { c.x.mode = Activation::DynamicRow; }}},
      {"w storage",
       {[](L& c) { c.w.range = ""; }, [](L& c) { c.w.range = "<-8:7>"; }, [](L& c) { c.w.range = "<-7:7>"; },
        [](L& c) { c.w.narrow_values = true; }, [](L& c) { c.w.storage = "u8", c.w.range = ""; }}},
      {"w grid",
       {[](L& c) { c.w.grid = Weight::Tensor; }, [](L& c) { c.w.grid = Weight::In; },
        [](L& c) { c.w.grid = Weight::Group8; }, [](L& c) { c.w.grid = Weight::Group5; },
        [](L& c) { c.w.grid = Weight::Whole; }, [](L& c) { c.w.grid = Weight::Block; }}},
      {"w zeros", {[](L& c) { c.w.zeros = Weight::Zero; }, [](L& c) { c.w.zeros = Weight::Some; }}},
      {"y",
       {[](L& c) { c.y.storage = "f32"; }, [](L& c) { c.y.storage = "u8"; },
        [](L& c) { c.y.storage = "i16", c.y.zero_point = 0; }, [](L& c) { c.y.range = "<-100:100>"; },
        [](L& c) { c.y.zero_point = -128; }}},
      {"bias", {[](L& c) { c.bias = ""; }, [](L& c) { c.bias = "i32"; }, [](L& c) { c.bias = "i32-other"; }}},
      {"tail",
       {[](L& c) { c.tail = "relu"; }, [](L& c) { c.tail = "clamp"; }, [](L& c) { c.tail = "neg"; },
        [](L& c) { c.extra_reader = true; }}},
      {"size",
       {[](L& c) { c.rows = 1; }, [](L& c) { c.rank3 = true; }, [](L& c) { c.k = 9; }, [](L& c) { c.n = 9; },
        [](L& c) { c.k = c.n = 16; }, [](L& c) { c.k = 40, c.n = 8; }}},
  };
}

void check_linear(const Linear& c, const Backend& backend) {
  if (c.x.mode == Activation::DynamicRow && c.rank3) return;  // blocks of one row are those of a matrix
  const Fused f = fuse(c.text(), &backend);
  const bool fits = c.w.fits(backend, c.k);
  expect_fused(f, "l", fits);
  if (!fits) return;
  const bool on_cpu = backend.name() == "cpu";
  // What the operator takes as integers, by the types of the file.
  const bool static_x =
      c.x.mode == Activation::Static && (c.x.storage == "i8" || (on_cpu && c.x.storage == "u8"));
  const bool dynamic_x = c.x.mode != Activation::Static && !c.x.is_float();
  const bool integer_x =
      (static_x && c.w.per_channel()) ||
      (dynamic_x && (c.w.per_channel() || c.w.groups()) && (on_cpu || c.w.per_channel() || c.w.four()));
  const bool alone = !c.extra_reader && c.tail != "neg";
  const bool integer_y =
      integer_x && static_x && alone && (c.y.storage == "i8" || (on_cpu && c.y.storage == "u8"));
  const RewriteRecord* rewrite = taking(f, "l");
  if (rewrite == nullptr) return;
  const std::string& name = rewrite->pattern;
  EXPECT_EQ(name.find("8ta_") != std::string::npos || name.find("8ca_") != std::string::npos, integer_x)
      << name;
  EXPECT_EQ(name.back() == 'o', integer_y) << name;
}

TEST(FuseSweep, LinearOfVulkan) {
  sweep<Linear>(linear_factors(), [](const Linear& c) { check_linear(c, vulkan()); });
}
TEST(FuseSweep, LinearOfCpu) {
  sweep<Linear>(linear_factors(), [](const Linear& c) { check_linear(c, cpu()); });
}

// Products with a constant matrix [k, n]: linear with the weight the other way round.
struct Product {
  Weight w;
  Result y;
  std::string op = "matmul";  // addmm
  std::string attrs, tail;
  std::string bias_shape = "[12]";
  bool square = false, constant = true;
};

TEST(FuseSweep, Products) {
  using P = Product;
  const std::vector<Factor<P>> factors = {
      {"op", {[](P& c) { c.op = "addmm"; }}},
      {"attrs",
       {[](P& c) { c.op = "addmm", c.attrs = " {alpha: 2}"; },
        [](P& c) { c.op = "addmm", c.attrs = " {beta: 0.5}"; },
        [](P& c) { c.op = "addmm", c.bias_shape = "[1]"; },
        [](P& c) { c.op = "addmm", c.bias_shape = "[5,12]"; }}},
      {"w",
       {[](P& c) { c.w.grid = Weight::Tensor; }, [](P& c) { c.w.grid = Weight::In; },
        [](P& c) { c.w.zeros = Weight::Some; }, [](P& c) { c.w.range = "<-8:7>"; },
        [](P& c) { c.square = true; }}},
      {"y", {[](P& c) { c.y.storage = "f32"; }, [](P& c) { c.y.zero_point = -128; }}},
      {"tail", {[](P& c) { c.tail = "relu"; }}},
  };
  for (const Backend* backend : {&vulkan(), &cpu()}) {
    sweep<P>(factors, [&](const P& c) {
      const int k = c.square ? 12 : 16, n = 12;
      const std::string size = "[" + std::to_string(k) + "," + std::to_string(n) + "]";
      int biases = c.bias_shape == "[12]" ? 12 : c.bias_shape == "[1]" ? 1 : 60;
      // The weight's own order: rows are the summed axis.
      std::string text = "zp 1\n@w = i8" + size + " [" + c.w.values(k * n) + "]\n" + c.w.constants(n, k) +
                         "@b = f32" + c.bias_shape + " [" + scales(biases) + "]\ngraph main(%x: f32[5," +
                         std::to_string(k) + "]) -> (%y) {\n" + Activation().lines("x", "a") +
                         "  %w = const @w : " + c.w.type(1, 0) + size +
                         "\n  %wd = dequantize(%w)\n  %b = const @b\n";
      text += c.op == "matmul" ? "  %l = matmul(%a, %wd)\n" : "  %l = addmm(%b, %a, %wd)" + c.attrs + "\n";
      if (!c.tail.empty()) text += "  %t = relu(%l)\n";
      const std::string last = c.tail.empty() ? "l" : "t";
      text += c.y.storage == "f32"
                  ? "  %y = neg(%" + last + ")\n"
                  : "  %q = quantize(%" + last + ") {type: " + c.y.type() + "}\n  %y = dequantize(%q)\n";
      const Fused f = fuse(text + "}\n", backend);
      const bool bias_fits = c.op == "matmul" || (c.attrs.empty() && c.bias_shape == "[12]");
      const bool weight_fits =
          c.w.grid != Weight::In && (backend->name() == "cpu" || c.w.zeros != Weight::Some);
      expect_fused(f, "l", bias_fits && weight_fits);
    });
  }
}

// --- convolutions
// ------------------------------------------------------------------------------------------------------------

struct Conv {
  int dims = 2, batch = 1, in = 8, out = 8, groups = 1, kernel = 3;
  bool transposed = false;
  std::string attrs = "padding: [1]";
  Activation x;
  Weight w;
  Result y;
  std::string tail;
  std::string bias = "f32";
  bool extra_reader = false;

  std::string text() const {
    const int front = transposed ? in : out, back = (transposed ? out : in) / groups;
    std::string ws = "[" + std::to_string(front) + "," + std::to_string(back),
                xs = "[" + std::to_string(batch) + "," + std::to_string(in);
    int count = front * back;
    for (int d = 0; d < dims; ++d) {
      ws += "," + std::to_string(kernel);
      xs += "," + std::to_string(d == 0 ? 5 : 4);
      count *= kernel;
    }
    ws += "]", xs += "]";
    const int out_axis = transposed ? 1 : 0;
    const int entries = w.grid == Weight::In ? (transposed ? front : back) : (transposed ? back : front);
    std::string head = "zp 1\n@w = i8" + ws + " [" + w.values(count) + "]\n";
    if (w.grid != Weight::Tensor) {
      head += "@s = f32[" + std::to_string(entries) + "] [" + scales(entries) + "]\n";
      if (w.zeros != Weight::None)
        head += "@z = i8[" + std::to_string(entries) + "] [" +
                list(entries, [&](int i) { return w.zeros == Weight::Some ? i % 3 : 0; }) + "]\n";
    }
    head += "@b = f32[" + std::to_string(out) + "] [" + scales(out) + "]\n";
    std::string nodes = x.lines("x", "a") + "  %w = const @w : " + w.type(out_axis, 1 - out_axis) + ws +
                        "\n  %wd = dequantize(%w)\n  %b = const @b\n";
    const std::string op = std::string(transposed ? "conv_transpose" : "conv") + std::to_string(dims) + "d";
    nodes += "  %l = " + op + "(%a, %wd" + (bias.empty() ? "" : ", %b") + ") {" + attrs +
             ", groups: " + std::to_string(groups) + "}\n";
    std::string last = "l";
    if (tail == "relu") nodes += "  %t = relu(%l)\n", last = "t";
    if (tail == "relu6") nodes += "  %t = hardtanh(%l) {min_val: 0, max_val: 6}\n", last = "t";
    if (tail == "sigmoid") nodes += "  %t = sigmoid(%l)\n", last = "t";
    if (y.storage == "f32") nodes += "  %y = neg(%" + last + ")\n";
    else nodes += "  %q = quantize(%" + last + ") {type: " + y.type() + "}\n  %y = dequantize(%q)\n";
    return head + "graph main(%x: f32" + xs + ") -> (%y" + (extra_reader ? ", %l" : "") + ") {\n" + nodes +
           "}\n";
  }
};

TEST(FuseSweep, Convolutions) {
  using C = Conv;
  const std::vector<Factor<C>> factors = {
      {"form",
       {[](C& c) { c.dims = 1; }, [](C& c) { c.dims = 3; }, [](C& c) { c.transposed = true; },
        [](C& c) { c.transposed = true, c.dims = 1; }, [](C& c) { c.batch = 2; },
        [](C& c) { c.kernel = 1, c.attrs = "stride: [1]"; },
        [](C& c) { c.attrs = "stride: [2], padding: [1], dilation: [2]"; }}},
      {"groups",
       {[](C& c) { c.groups = 2; }, [](C& c) { c.groups = 4; }, [](C& c) { c.groups = 8; },
        [](C& c) { c.groups = 4, c.in = 4; }, [](C& c) { c.in = 3; }, [](C& c) { c.out = 6; }}},
      {"x",
       {[](C& c) { c.x.storage = "u8", c.x.zero_point = 120; }, [](C& c) { c.x.storage = "f32"; },
        [](C& c) { c.x.range = "<-100:100>"; }, [](C& c) { c.x.mode = Activation::DynamicTensor; }}},
      {"w",
       {[](C& c) { c.w.grid = Weight::Tensor; }, [](C& c) { c.w.grid = Weight::In; },
        [](C& c) { c.w.zeros = Weight::Zero; }, [](C& c) { c.w.zeros = Weight::Some; },
        [](C& c) { c.w.range = "<-8:7>"; }}},
      {"y",
       {[](C& c) { c.y.storage = "f32"; }, [](C& c) { c.y.storage = "u8"; },
        [](C& c) { c.y.range = "<-100:100>"; }, [](C& c) { c.y.zero_point = -128; }}},
      {"tail",
       {[](C& c) { c.tail = "relu"; }, [](C& c) { c.tail = "relu6"; }, [](C& c) { c.tail = "sigmoid"; },
        [](C& c) { c.extra_reader = true; }, [](C& c) { c.bias = ""; }}},
  };
  for (const Backend* backend : {&vulkan(), &cpu()}) {
    const bool on_cpu = backend->name() == "cpu";
    sweep<C>(factors, [&](const C& c) {
      if (c.out % c.groups != 0 || c.in % c.groups != 0) return;
      const Fused f = fuse(c.text(), backend);
      const bool x_fits =
          c.x.mode == Activation::Static && (c.x.storage == "i8" || (on_cpu && c.x.storage == "u8"));
      const bool w_fits = c.w.grid != Weight::In && (on_cpu || c.w.symmetric());
      const bool y_fits =
          (c.y.storage == "i8" || (on_cpu && c.y.storage == "u8")) && c.tail != "sigmoid" && !c.extra_reader;
      expect_fused(f, "l", x_fits && w_fits && (on_cpu || (y_fits && c.dims != 3)));
      const RewriteRecord* r = taking(f, "l");
      if (r != nullptr) { EXPECT_EQ(r->pattern.back() == 'o', y_fits) << r->pattern; }
    });
  }
}

// --- elementwise
// ------------------------------------------------------------------------------------------------------------

struct Binary {
  std::string op = "add", attrs, tail;
  Activation a, b;
  Result y;
  std::string a_shape = "[2,3,4]", b_shape = "[2,3,4]";
  bool same = false, number = false;
};

TEST(FuseSweep, Binary) {
  using B = Binary;
  const std::vector<Factor<B>> factors = {
      {"op",
       {[](B& c) { c.op = "sub"; }, [](B& c) { c.op = "mul"; }, [](B& c) { c.op = "maximum"; },
        [](B& c) { c.attrs = " {alpha: 2}"; }, [](B& c) { c.same = true; }, [](B& c) { c.number = true; }}},
      {"a",
       {[](B& c) { c.a.storage = "u8", c.a.zero_point = 100; }, [](B& c) { c.a.storage = "f32"; },
        [](B& c) { c.a.range = "<-100:100>"; }, [](B& c) { c.a.storage = "i16", c.a.zero_point = 0; }}},
      {"b",
       {[](B& c) { c.b.storage = "f32"; }, [](B& c) { c.b.zero_point = 0; },
        [](B& c) { c.b.storage = "u8", c.b.zero_point = 100; }}},
      {"shape",
       {[](B& c) { c.b_shape = "[3,1]"; }, [](B& c) { c.b_shape = "[4]"; },
        [](B& c) { c.a_shape = "[2,1,4]"; }}},
      {"y",
       {[](B& c) { c.y.storage = "f32"; }, [](B& c) { c.y.storage = "u8"; },
        [](B& c) { c.y.range = "<-100:100>"; }, [](B& c) { c.y.zero_point = -128; }}},
      {"tail", {[](B& c) { c.tail = "relu"; }, [](B& c) { c.tail = "neg"; }}},
  };
  for (const Backend* backend : {&vulkan(), &cpu()}) {
    const bool on_cpu = backend->name() == "cpu";
    sweep<B>(factors, [&](const B& c) {
      const std::string op = c.op;
      const std::string attrs = op == "add" || op == "sub" ? c.attrs : "";
      std::string text = "zp 1\ngraph main(%x: f32" + c.a_shape + ", %z: f32" + c.b_shape +
                         ") -> (%y, %o) {\n" + c.a.lines("x", "a") + c.b.lines("z", "b");
      const std::string second = c.number ? "0.5" : c.same ? "%a" : "%b";
      text += "  %l = " + op + "(%a, " + second + ")" + attrs + "\n  %o = neg(%b)\n";
      if (!c.tail.empty()) text += "  %t = " + c.tail + "(%l)\n";
      const std::string last = c.tail.empty() ? "l" : "t";
      text += c.y.storage == "f32"
                  ? "  %y = exp(%" + last + ")\n"
                  : "  %q = quantize(%" + last + ") {type: " + c.y.type() + "}\n  %y = dequantize(%q)\n";
      if (c.number && op == "maximum") return;  // takes tensors only
      const Fused f = fuse(text + "}\n", backend);
      const auto integer = [&](const std::string& storage) {
        return storage == "i8" || (on_cpu && storage == "u8");
      };
      const bool b_fits = c.number ? on_cpu : integer(c.same ? c.a.storage : c.b.storage);
      // With a number as second operand the clamp has no place in the pattern.
      const bool y_fits = integer(c.y.storage) && c.tail != "neg" && !(c.number && !c.tail.empty()) &&
                          !(op == "maximum" && c.tail == "relu");
      const bool shapes = c.same || c.number || c.a_shape == c.b_shape;
      const bool op_fits = on_cpu || (op == "add");
      expect_fused(f, "l", integer(c.a.storage) && b_fits && y_fits && op_fits && (on_cpu || shapes));
    });
  }
}

struct Unary {
  std::string line = "relu(%a)";
  std::string shape = "[1,4,4,6]";
  Activation x;
  Result y;
};

TEST(FuseSweep, Unary) {
  using U = Unary;
  std::vector<std::function<void(U&)>> lines;
  for (const char* line : {"hardtanh(%a) {min_val: 0, max_val: 6}",
                           "clamp(%a) {min: -0.5}",
                           "sigmoid(%a)",
                           "tanh(%a)",
                           "hardswish(%a)",
                           "gelu(%a)",
                           "silu(%a)",
                           "leaky_relu(%a)",
                           "sqrt(%a)",
                           "neg(%a)",
                           "softmax(%a) {dim: -1}",
                           "exp(%a)",
                           "max_pool2d(%a) {kernel_size: [2,2]}",
                           "avg_pool2d(%a) {kernel_size: [3,3], padding: [1,1]}",
                           "adaptive_avg_pool2d(%a) {output_size: [1,1]}",
                           "mean(%a) {dims: [2,3], keepdim: true}",
                           "amax(%a) {dims: [1]}",
                           "upsample_nearest2d(%a) {output_size: [8,12]}",
                           "layer_norm(%a) {normalized_shape: [6]}",
                           "cat(%a, %a) {dim: 1}",
                           "pixel_shuffle(%a) {upscale_factor: 2}"})
    lines.push_back([line](U& c) { c.line = line; });
  const std::vector<Factor<U>> factors = {
      {"op", lines},
      {"x",
       {[](U& c) { c.x.storage = "u8", c.x.zero_point = 100; }, [](U& c) { c.x.storage = "f32"; },
        [](U& c) { c.x.range = "<-100:100>"; }, [](U& c) { c.x.storage = "i16", c.x.zero_point = 0; }}},
      {"y",
       {[](U& c) { c.y.storage = "f32"; }, [](U& c) { c.y.storage = "u8"; },
        [](U& c) { c.y.range = "<-20:20>"; }, [](U& c) { c.y.zero_point = -128; }}},
  };
  for (const Backend* backend : {&vulkan(), &cpu()}) {
    const bool on_cpu = backend->name() == "cpu";
    sweep<U>(factors, [&](const U& c) {
      const std::string op = c.line.substr(0, c.line.find('('));
      std::string text =
          "zp 1\ngraph main(%x: f32" + c.shape + ") -> (%y) {\n" + c.x.lines("x", "a") + "  %l = " + c.line +
          "\n" +
          (c.y.storage == "f32" ? std::string("  %y = erfc(%l)\n")
                                : "  %q = quantize(%l) {type: " + c.y.type() + "}\n  %y = dequantize(%q)\n");
      const Fused f = fuse(text + "}\n", backend);
      const auto integer = [&](const std::string& storage) {
        return storage == "i8" || (on_cpu && storage == "u8");
      };
      if (op == "cat" || op == "pixel_shuffle") return;  // bytes: move-qdq and texts of their own
      const bool known = on_cpu ? op != "layer_norm" : op == "relu";
      expect_fused(f, "l", known && integer(c.x.storage) && integer(c.y.storage));
    });
  }
}

// --- embeddings
// ------------------------------------------------------------------------------------------------------------

TEST(FuseSweep, Embeddings) {
  using W = std::pair<Weight, int>;
  const std::vector<Factor<W>> factors = {
      {"grid",
       {[](W& c) { c.first.grid = Weight::Out; }, [](W& c) { c.first.grid = Weight::Whole; },
        [](W& c) { c.first.grid = Weight::Tensor; }, [](W& c) { c.first.grid = Weight::In; },
        [](W& c) { c.first.grid = Weight::Group5; }, [](W& c) { c.first.grid = Weight::Block; },
        [](W& c) { c.first.grid = Weight::Group8; }}},
      {"range",
       {[](W& c) { c.first.range = "<-8:7>"; }, [](W& c) { c.first.range = "<-7:7>"; },
        [](W& c) { c.first.narrow_values = true; },
        [](W& c) { c.first.storage = "u8", c.first.range = ""; }}},
      {"zeros", {[](W& c) { c.first.zeros = Weight::Some; }, [](W& c) { c.first.zeros = Weight::Zero; }}},
      {"width", {[](W& c) { c.second = 32; }, [](W& c) { c.second = 48; }}},
  };
  for (const Backend* backend : {&vulkan(), &cpu()}) {
    sweep<W>(factors, [&](const W& c) {
      const Weight& w = c.first;
      const int width = c.second == 0 ? 64 : c.second, rows = 8;
      const std::string size = "[" + std::to_string(rows) + "," + std::to_string(width) + "]";
      const Fused f = fuse(
          "zp 1\n@w = " + w.storage + size + " [" + w.values(rows * width) + "]\n" +
              w.constants(rows, width) +
              "@i = i64[2,3] [3,7,0,1,1,5]\ngraph main(%x: f32[1]) -> (%y) {\n  %w = const @w : " + w.type() +
              size +
              "\n  %wd = dequantize(%w)\n  %i = const @i\n  %l = embedding(%wd, %i)\n  %y = add(%l, %x)\n}\n",
          backend);
      bool fits = !w.unsigned_();
      if (backend->name() == "cpu") fits = fits && (w.per_channel() || w.groups());
      else
        fits = fits && w.four() && w.symmetric() && width % 32 == 0 &&
               (w.grid == Weight::Group8 || w.grid == Weight::Whole || w.grid == Weight::Out);
      expect_fused(f, "l", fits);
    });
  }
}

}  // namespace
}  // namespace zp
