#include "random_chains.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ops/ops.h"
#include "passes/constant_eval.h"
#include "passes/pipeline.h"
#include "passes/qat/qat.h"

namespace zp::test {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0x1234567ull) {
    for (int i = 0; i < 4; ++i) next();
  }
  uint64_t next() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_;
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() >> 11) % n; }
  bool chance(int percent) { return below(100) < percent; }
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(next() >> 11) / 9007199254740992.0;
  }

 private:
  uint64_t state_;
};

// The convolution of a graph; both chains of a graph read the same weights.
struct Site {
  std::string op, attrs;
  std::vector<int64_t> input, weight, output;
  int64_t channels = 4, groups = 1;
  bool transposed = false;
  int axis = 1, weight_axis = 0;
  double products = 1;  // that add up to one value
};

std::string list(const std::vector<int64_t>& v) { return fmt::format("[{}]", fmt::join(v, ",")); }

Site random_site(Dice& dice) {
  Site s;
  const int64_t kind = dice.below(7);
  if (kind >= 5) {  // linear of rank 2 or 3
    const int64_t in = 1 + dice.below(6);
    s.channels = 1 + dice.below(5);
    s.op = "linear";
    s.input = kind == 5 ? std::vector<int64_t>{3, in} : std::vector<int64_t>{2, 3, in};
    s.output = s.input;
    s.output.back() = s.channels;
    s.weight = {s.channels, in};
    s.axis = static_cast<int>(s.output.size()) - 1;
    s.products = static_cast<double>(in);
    return s;
  }
  const int64_t spatial = kind < 3 ? kind + 1 : kind - 2;
  s.transposed = kind >= 3;
  s.op = fmt::format("{}{}d", s.transposed ? "conv_transpose" : "conv", spatial);
  s.groups = dice.chance(40) ? 1 + dice.below(3) : 1;
  const int64_t in_each = 1 + dice.below(3), out_each = 1 + dice.below(3);
  s.channels = s.groups * out_each;
  const int64_t kernel = 1 + dice.below(2), stride = s.transposed ? 1 + dice.below(2) : 1;
  // The last extent of the result is often the number of channels: what lies along it is not per channel.
  int64_t extent = dice.chance(60) ? s.channels : 2 + dice.below(3);
  if (s.transposed) extent = std::max<int64_t>(extent, kernel);
  const int64_t from = s.transposed ? (extent - kernel) / stride + 1 : extent + kernel - 1;
  if (s.transposed) extent = (from - 1) * stride + kernel;
  s.input = {2, s.groups * in_each};
  s.output = {2, s.channels};
  s.weight = s.transposed ? std::vector<int64_t>{s.groups * in_each, out_each}
                          : std::vector<int64_t>{s.channels, in_each};
  for (int64_t d = 0; d < spatial; ++d) {
    s.input.push_back(from);
    s.output.push_back(extent);
    s.weight.push_back(kernel);
  }
  s.weight_axis = s.transposed ? 1 : 0;
  const std::vector<int64_t> strides(static_cast<size_t>(spatial), stride);
  s.attrs = fmt::format("{{stride: {}, groups: {}}}", list(strides), s.groups);
  s.products =
      static_cast<double>(in_each) * std::pow(static_cast<double>(kernel), static_cast<double>(spatial));
  return s;
}

// A graph as text, and what its fold must leave.
struct RandomGraph {
  std::string text, unquantized;
  int64_t batch_norms_left = 0;
  bool complete = true;  // every chain disappears
};

class Writer {
 public:
  explicit Writer(uint64_t seed) : dice_(seed), site_(random_site(dice_)) {}

  RandomGraph write() {
    write_head();
    const int64_t chains = dice_.chance(20) ? 2 : 1;
    std::vector<std::string> results;
    for (int64_t i = 0; i < chains; ++i) results.push_back(write_chain(i));
    for (int k = 0; k < 2; ++k) {
      std::string& out = k == 0 ? graph_.text : graph_.unquantized;
      out = "zp 1\n" + constants_ + fmt::format("graph main(%x: f32{}{}) -> (", list(site_.input), inputs_);
      for (size_t i = 0; i < results.size(); ++i) out += (i ? ", %" : "%") + results[i];
      for (const std::string& extra : extra_results_) out += ", %" + extra;
      out += ") {\n" + (k == 0 ? body_ : plain_) + "}\n";
    }
    return graph_;
  }

 private:
  void line(const std::string& text) {
    body_ += "  " + text + "\n";
    plain_ += "  " + text + "\n";
  }
  std::string fresh(std::string_view stem) { return fmt::format("{}{}", stem, ++names_); }

  // A constant of that shape with numbers of low..high; its name as a value.
  std::string constant(const std::vector<int64_t>& shape, double low, double high, int negative, int zero) {
    const std::string name = fresh("k");
    int64_t count = 1;
    for (int64_t d : shape) count *= d;
    std::string numbers;
    for (int64_t i = 0; i < count; ++i) {
      double v = dice_.uniform(low, high) * (dice_.chance(negative) ? -1 : 1);
      if (dice_.chance(zero)) v = 0;
      numbers += fmt::format("{}{:.5f}", i ? "," : "", v);
    }
    constants_ += fmt::format("@{} = f32{} [{}]\n", name, list(shape), numbers);
    line(fmt::format("%{0} = const @{0}", name));
    return name;
  }
  // The channels' place among dims of extent 1.
  std::vector<int64_t> channel_shape() const {
    std::vector<int64_t> shape(site_.output.size(), 1);
    shape[static_cast<size_t>(site_.axis)] = site_.channels;
    return shape;
  }
  // An axis that is not that of the channels.
  size_t other_axis() const {
    return static_cast<size_t>(site_.axis) + 1 == site_.output.size() ? 0 : site_.output.size() - 1;
  }
  // A value of rank 1 laid along the channels in one of several spellings.
  std::string along_channels(const std::string& vector) {
    const int after = static_cast<int>(site_.output.size()) - 1 - site_.axis;
    if (after == 0 && dice_.chance(40)) return vector;
    const std::string name = fresh("s");
    if (after > 0 && dice_.chance(40)) {
      std::string from = vector;
      for (int i = 0; i < after; ++i) {
        const std::string to = i + 1 == after ? name : fresh("s");
        line(fmt::format("%{} = unsqueeze(%{}) {{dim: -1}}", to, from));
        from = to;
      }
      return name;
    }
    std::vector<int64_t> shape = channel_shape();
    if (dice_.chance(50)) shape[static_cast<size_t>(site_.axis)] = -1;
    line(fmt::format("%{} = reshape(%{}) {{shape: {}}}", name, vector, list(shape)));
    return name;
  }
  // One number a channel, or one for all; sometimes computed by a subgraph.
  std::string operand(bool factor) {
    if (dice_.chance(20)) return fmt::format("{:.4f}", dice_.uniform(0.3, 2.0) * (dice_.chance(30) ? -1 : 1));
    const int zero = factor && dice_.chance(10) ? 25 : 0;
    if (dice_.chance(30)) return "%" + constant(channel_shape(), 0.3, 2.0, 30, zero);
    std::string v = constant({site_.channels}, 0.3, 2.0, 0, zero);
    const int64_t how = dice_.below(6);
    if (how > 0) {
      const std::string to = fresh("v");
      if (how == 1) line(fmt::format("%{} = sqrt(%{})", to, v));
      if (how == 2 && zero == 0) line(fmt::format("%{} = rsqrt(%{})", to, v));
      if (how == 3 && zero == 0) line(fmt::format("%{} = reciprocal(%{})", to, v));
      if (how == 4) line(fmt::format("%{} = neg(%{})", to, v));
      if (how == 5) line(fmt::format("%{} = mul(%{}, {:.3f})", to, v, dice_.uniform(0.5, 1.5)));
      if (how == 1 || how > 3 || zero == 0) v = to;
    }
    return "%" + along_channels(v);
  }

  void write_head() {
    line("%xq = quantize(%x) : " + std::string(dice_.chance(50) ? "i8(0.028, 4)" : "u8(0.028, 120)"));
    line("%xd = dequantize(%xq)");
    const bool whole = dice_.chance(15);
    constants_ += fmt::format("@w = i8{} random {} in {}..127\n", list(site_.weight), dice_.below(100000),
                              whole ? -128 : -127);
    const std::string range = whole ? "i8<-128:127>" : "i8<-127:127>";
    std::string type = range + "(0.008, 0)";
    if (dice_.chance(50)) {
      const int64_t entries = site_.weight[static_cast<size_t>(site_.weight_axis)];
      std::string scales;
      for (int64_t i = 0; i < entries; ++i)
        scales += fmt::format("{}{:.6f}", i ? "," : "", dice_.uniform(0.004, 0.009));
      constants_ += fmt::format("@ws = f32[{}] [{}]\n", entries, scales);
      type = fmt::format("{}(axis {}: @ws)", range, site_.weight_axis);
    }
    line(fmt::format("%w = const @w : {}{}", type, list(site_.weight)));
    line("%wd = dequantize(%w)");
    const int64_t bias = dice_.below(3);
    if (bias == 1) bias_ = constant({site_.channels}, 0.1, 0.6, 50, 0);
    if (bias == 2) {
      constants_ +=
          fmt::format("@ib = i32[{}] random {} in -2000..2000\n", site_.channels, dice_.below(100000));
      line(fmt::format("%ib = const @ib : i32(0.0002, 0)[{}]", site_.channels));
      line("%bd = dequantize(%ib)");
      bias_ = "bd";
    }
  }

  // Whether a chain is to hold something that cannot be folded.
  enum class Flaw : uint8_t { None, WrongAxis, Dynamic, Relu, Training, Floor, Dividend, SecondUse };

  std::string write_chain(int64_t index);
  std::string batch_norm(const std::string& value, bool training);
  bool arithmetic(std::string* value);
  void flawed(Flaw flaw, std::string* value);

  Dice dice_;
  Site site_;
  RandomGraph graph_;
  std::string constants_, body_, plain_, inputs_, bias_;
  std::vector<std::string> extra_results_;
  int names_ = 0;
};

std::string Writer::batch_norm(const std::string& value, bool training) {
  const std::string out = fresh("n");
  const bool affine = !dice_.chance(15);
  const std::string gamma = affine ? constant({site_.channels}, 0.3, 1.8, 30, dice_.chance(10) ? 30 : 0) : "";
  const std::string beta = affine ? constant({site_.channels}, 0.0, 1.0, 50, 0) : "";
  const std::string mean = constant({site_.channels}, 0.0, 0.6, 50, 0);
  const std::string var = constant({site_.channels}, 0.4, 1.8, 0, 0);
  line(fmt::format("%{} = batch_norm(%{}, {}, {}, %{}, %{}) {{eps: {}{}}}", out, value,
                   affine ? "%" + gamma : "_", affine ? "%" + beta : "_", mean, var,
                   dice_.chance(50) ? "0.00001" : "0.001", training ? ", training: true" : ""));
  return out;
}

// One affine operator; true if it shifts each channel by a number of its own.
bool Writer::arithmetic(std::string* value) {
  const std::string out = fresh("y"), in = "%" + *value;
  const int64_t op = dice_.below(5);
  *value = out;
  if (op == 4) {
    line(fmt::format("%{} = {}({})", out, dice_.chance(50) ? "neg" : "identity", in));
    return false;
  }
  if (op == 0) {
    // Divisors without zeros, so that the archive is finite.
    const std::string k = "%" + along_channels(constant({site_.channels}, 0.4, 2.0, 30, 0));
    line(fmt::format("%{} = div({}, {})", out, in, k));
    return false;
  }
  const std::string k = operand(op == 1);
  const bool left = dice_.chance(35);
  const std::string arguments = left ? k + ", " + in : in + ", " + k;
  const char* name = op == 1 ? "mul" : op == 2 ? "add" : "sub";
  const bool alpha = op > 1 && dice_.chance(25);
  line(fmt::format("%{} = {}({}){}", out, name, arguments, alpha ? " {alpha: 1.5}" : ""));
  return op > 1 && (k[0] == '%' || site_.channels == 1);
}

void Writer::flawed(Flaw flaw, std::string* value) {
  const std::string out = fresh("f");
  switch (flaw) {
    case Flaw::WrongAxis: {
      std::vector<int64_t> shape(site_.output.size(), 1);
      shape[other_axis()] = site_.output[other_axis()];
      line(fmt::format("%{} = mul(%{}, %{})", out, *value, constant(shape, 0.5, 1.5, 0, 0)));
      break;
    }
    case Flaw::Dynamic: {
      const std::string dynamic = fresh("d");
      inputs_ += fmt::format(", %{}: f32{}", dynamic, list(channel_shape()));
      line(fmt::format("%{} = add(%{}, %{})", out, *value, dynamic));
      break;
    }
    case Flaw::Relu: line(fmt::format("%{} = relu(%{})", out, *value)); break;
    case Flaw::Training: *value = batch_norm(*value, true); return;
    case Flaw::Floor:
      line(fmt::format("%{} = div(%{}, 0.37) {{rounding_mode: \"floor\"}}", out, *value));
      break;
    case Flaw::Dividend: {
      const std::string positive = fresh("p");
      line(fmt::format("%{} = exp(%{})", positive, *value));
      line(fmt::format("%{} = div(2.0, %{})", out, positive));
      break;
    }
    case Flaw::SecondUse: extra_results_.push_back(*value); return;
    case Flaw::None: return;
  }
  *value = out;
}

std::string Writer::write_chain(int64_t index) {
  std::string value = fmt::format("c{}", index);
  line(fmt::format("%{} = {}(%xd, %wd{}) {}", value, site_.op, bias_.empty() ? "" : ", %" + bias_,
                   site_.attrs));
  if (dice_.chance(70)) {
    // Six deviations of the sums, and room for the bias.
    const double sigma = std::sqrt(site_.products) * 74 * 0.008 * 1.0;
    const double scale = (12 * sigma + 2) / 255;
    body_ += fmt::format("  %{0}q = quantize(%{0}) : i8({1:.6f}, {2})\n  %{0}d = dequantize(%{0}q)\n", value,
                         scale, dice_.below(5) - 2);
    plain_ += fmt::format("  %{0}d = identity(%{0})\n", value);
    value += "d";
  }
  const bool channels_first = site_.axis == 1;
  const int64_t steps = 1 + dice_.below(6);
  Flaw flaw = dice_.chance(25) ? static_cast<Flaw>(1 + dice_.below(7)) : Flaw::None;
  if (flaw == Flaw::WrongAxis && site_.output[other_axis()] == 1)
    flaw = Flaw::None;  // one number is any axis
  if (flaw == Flaw::Training && site_.axis != 1) flaw = Flaw::Relu;
  const int64_t flaw_at = dice_.below(steps + 1);
  bool legal = true, shifts = false, normed = false;
  int64_t left = 0;
  for (int64_t i = 0; i <= steps; ++i) {
    if (flaw != Flaw::None && i == flaw_at) {
      // A flaw in front of everything meets the convolution itself: still one that is in the way.
      flawed(flaw, &value);
      if (flaw == Flaw::Training) ++left;
      legal = false;
    }
    if (i == steps) break;
    if (dice_.chance(35) && (channels_first || dice_.chance(20)) && site_.output.size() <= 5) {
      // A batch norm takes dim 1; where channels lie last it is one of another dim.
      if (!channels_first) {
        const int64_t channels = site_.channels;
        site_.channels = site_.output[1];
        value = batch_norm(value, false);
        site_.channels = channels;
        legal = false;
        ++left;
        continue;
      }
      value = batch_norm(value, false);
      if (legal) normed = true;
      else ++left;
    } else {
      const bool shift = arithmetic(&value);
      shifts |= shift && legal;
    }
  }
  graph_.batch_norms_left += left;
  // Behind the last batch norm that goes, and in chains without one, what is left may stay.
  const bool whole = legal && (normed || shifts);
  graph_.complete &= whole;
  return value;
}

Sample sample_for(const Model& model, Dice& dice) {
  Sample sample;
  for (size_t i : model.user_inputs()) {
    std::vector<int64_t> shape;
    for (const Dim& d : model.graph->inputs()[i]->type().shape) shape.push_back(d.value());
    Tensor t = std::move(*Tensor::make(DType::F32, shape));
    for (int64_t k = 0; k < t.elements(); ++k)
      t.set_double(k, 1.7 * (dice.uniform(-0.5, 0.5) + dice.uniform(-0.5, 0.5) + dice.uniform(-0.5, 0.5)));
    sample.push_back(std::move(t));
  }
  return sample;
}

int64_t count_of(const Model& model, const OpDef& op) {
  int64_t count = 0;
  for (const Node* node : model.graph->nodes()) count += node->is(op);
  return count;
}

// Folded against the graph without the pair: equal but for the bias's rounding and float roundings.
std::string compare(const Tensor& wanted, const Tensor& found) {
  double largest = 1;
  for (int64_t i = 0; i < wanted.elements(); ++i)
    if (std::isfinite(wanted.get_double(i))) largest = std::max(largest, std::fabs(wanted.get_double(i)));
  for (int64_t i = 0; i < wanted.elements(); ++i) {
    const double w = wanted.get_double(i), f = found.get_double(i);
    if (!std::isfinite(w) && std::isfinite(f)) continue;  // 0 / 0
    if (!(std::fabs(w - f) <= 3e-3 * largest)) return fmt::format("element {} is {} instead of {}", i, f, w);
  }
  return {};
}

}  // namespace

std::string random_chain_text(uint64_t seed) { return Writer(seed).write().text; }

std::string check_random_chain(uint64_t seed) {
  const RandomGraph graph = Writer(seed).write();
  const auto wrong = [&](std::string_view what) {
    return fmt::format("seed {}: {}\n{}", seed, what, graph.text);
  };
  auto parsed = parse_model(graph.text, ops::table(), "chain");
  auto plain = parse_model(graph.unquantized, ops::table(), "plain");
  if (!parsed.ok()) return wrong(parsed.error().str());
  if (!plain.ok()) return wrong(plain.error().str());
  Model& model = **parsed;
  Dice dice(seed ^ 0x5eed);
  const Sample sample = sample_for(model, dice);
  const auto wanted = run(**plain, sample);
  if (!wanted.ok()) return wrong(wanted.error().str());

  Records records;
  PassContext context{model, nullptr, records, std::span<const Sample>(&sample, 1)};
  PipelineOptions options;
  options.passes = {std::string(kFoldQatBatchNormPass.name)};
  options.verify = true;
  const auto result = run_passes(context, options);
  if (!result.ok()) return wrong(result.error().str());
  const auto reason = [&] { return records.kept.empty() ? std::string("no reason") : records.kept[0].text; };
  if (const auto& d = result->verify.first_difference)
    return wrong(fmt::format("'{}' moved by {}, {} promised", d->value, d->difference, d->allowed));

  const int64_t norms = count_of(model, ops::batch_norm);
  if (norms != graph.batch_norms_left)
    return wrong(
        fmt::format("{} batch norms left instead of {}: {}", norms, graph.batch_norms_left, reason()));
  if (static_cast<int64_t>(records.kept.size()) < norms) return wrong("a batch norm stays without a reason");
  for (const RewriteRecord& record : records.rewrites)
    if (record.fold == nullptr) return wrong("a fold has no numbers");
  if (graph.complete) {
    ConstantFlow::start(*model.graph);
    for (const Node* node : model.graph->nodes()) {
      const bool step = node->is(ops::add) || node->is(ops::sub) || node->is(ops::mul) || node->is(ops::div);
      if (step && !ConstantFlow::is_constant(node->result()))
        return wrong(fmt::format("'{}' is left: {}", node->name(), reason()));
    }
    if (records.rewrites.size() == 1 && !records.rewrites[0].fold->measured)
      return wrong("the fold was not measured");
    const auto now = run(model, sample);
    if (!now.ok()) return wrong(now.error().str());
    for (size_t k = 0; k < now->size(); ++k)
      if (const std::string what = compare((*wanted)[k], (*now)[k]); !what.empty()) return wrong(what);
  }
  const uint64_t changes = model.context->changes();
  Records again;
  PassContext second{model, nullptr, again, {}};
  const Status status = kFoldQatBatchNormPass.run(second);
  if (!status.ok()) return wrong(status.error().str());
  if (!again.rewrites.empty() || model.context->changes() != changes)
    return wrong("a second run changes the graph");
  return {};
}

}  // namespace zp::test
