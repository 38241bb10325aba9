#include "passes/qat/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ops/binary.h"
#include "ops/create.h"
#include "ops/norm.h"
#include "ops/ops.h"

namespace zp::qat {
namespace {

constexpr size_t kLongest = 64;  // steps: keeps the search linear on absurd chains

bool is_binary(const Node& node) {
  return node.is(ops::add) || node.is(ops::sub) || node.is(ops::mul) || node.is(ops::div);
}

bool has_clamp(const Node& node) {
  if (node.is(ops::add) || node.is(ops::sub)) {
    const auto& attrs = node.attrs<ops::AddAttrs>();
    return attrs.act_min || attrs.act_max;
  }
  if (node.is(ops::mul)) {
    const auto& attrs = node.attrs<ops::MulAttrs>();
    return attrs.act_min || attrs.act_max;
  }
  return false;
}

Why in_the_way(const Node& node, std::string clause, std::string wanted, std::string found,
               std::string text) {
  return Why{&node, std::move(clause), std::move(wanted), std::move(found), std::move(text)};
}

// Which operand of a binary step comes from the convolution.
Answer<size_t> data_operand(const Node& node) {
  const std::string name = source_name(node);
  if (node.is(ops::div) && !node.attrs<ops::DivAttrs>().rounding_mode.empty()) {
    const std::string mode(node.attrs<ops::DivAttrs>().rounding_mode);
    return in_the_way(node, "rounding", "a true quotient", mode,
                      fmt::format("'{}' divides with rounding '{}'", name, mode));
  }
  if (has_clamp(node))
    return in_the_way(node, "activation", "no activation inside", "a fused clamp",
                      fmt::format("'{}' clamps its result", name));
  const bool first = ConstantFlow::is_constant(node.operand(0)),
             second = ConstantFlow::is_constant(node.operand(1));
  if (first == second) {
    return in_the_way(
        node, "constant-operand", "one constant operand", first ? "two" : "none",
        fmt::format("'{}' {} has no constant operand: its other value is known only at run time",
                    node.op().name, name));
  }
  if (first && node.is(ops::div)) {
    return in_the_way(node, "divisor", "a constant divisor", "a constant dividend",
                      fmt::format("'{}' divides by the value of the convolution", name));
  }
  return size_t{first ? 1u : 0u};
}

Answer<size_t> batch_norm_data(const Node& node) {
  const std::string name = source_name(node);
  if (node.attrs<ops::BatchNormAttrs>().training || node.operand(3) == nullptr ||
      node.operand(4) == nullptr) {
    return in_the_way(
        node, "training", "running statistics", "statistics of the batch",
        fmt::format("batch norm '{}' is in training mode: it uses the statistics of the batch", name));
  }
  for (size_t i = 1; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr || ConstantFlow::is_constant(node.operand(i))) continue;
    return in_the_way(
        node, "constant-operand", "constant parameters", fmt::format("'{}'", node.operand(i)->name()),
        fmt::format("'{}' of batch norm '{}' is known only at run time", node.op().operands[i].name, name));
  }
  return size_t{0};
}

// The value must feed the chain alone: other readers would see another number.
std::optional<Why> check_only_use(const Value& value) {
  if (value.has_one_use()) return std::nullopt;
  const Node& node = *value.def();
  const std::string name = source_name(node);
  bool output = false;
  for (const Use& use : value.uses()) output |= use.user()->is(kReturnOp);
  const size_t uses = value.use_count();
  return in_the_way(node, "one-use", "1 use",
                    fmt::format("{} uses{}", uses, output ? ", one of them a result of the graph" : ""),
                    fmt::format("the value of '{}' has {} uses{}; the others would see the folded value",
                                name, uses, output ? ", one of them a result of the graph" : ""));
}

// quantize -> dequantize with the parameters of one static type per tensor.
Answer<Node*> pair_quantize(const Node& dequantize) {
  const Value& q = *dequantize.operand(0);
  const std::string name = source_name(dequantize);
  Node* quantize = q.def();
  if (quantize == nullptr || !quantize->is(ops::quantize)) {
    return in_the_way(dequantize, "conv", "a convolution in front of the batch norm", "a dequantized value",
                      fmt::format("'{}' dequantizes what no convolution made", name));
  }
  if (q.type().quant->dynamic) {
    return in_the_way(dequantize, "pair", "parameters known before the run", "dynamic ones",
                      fmt::format("the quantizer '{}' takes its parameters at run time", name));
  }
  if (auto why = check_only_use(q)) return *why;
  return quantize;
}

}  // namespace

const Node* Chain::first_batch_norm() const {
  for (const ChainStep& step : steps)
    if (step.kind == ChainStep::BatchNorm) return step.node;
  return nullptr;
}

bool is_nothing(const Node& node) {
  return node.is(ops::identity) ||
         (node.is(ops::cast) && node.operand(0)->type_ptr() == node.result()->type_ptr());
}

bool is_affine_op(const Node& node) {
  return (is_binary(node) || node.is(ops::neg)) && is_float(node.result()->type().dtype);
}

bool is_affine_step(const Node& node) {
  if (!is_affine_op(node)) return false;
  if (node.is(ops::neg)) return true;
  if (node.is(ops::div) && !node.attrs<ops::DivAttrs>().rounding_mode.empty()) return false;
  const bool first = ConstantFlow::is_constant(node.operand(0));
  return first != ConstantFlow::is_constant(node.operand(1)) && !(first && node.is(ops::div)) &&
         !has_clamp(node);
}

Answer<Chain> trace_chain(Node& end) {
  Chain chain;
  chain.end = &end;
  Node* node = &end;
  for (size_t length = 0;; ++length) {
    if (length > kLongest)
      return in_the_way(*node, "length", fmt::format("at most {} steps", kLongest), "more",
                        fmt::format("more than {} steps in front of '{}'", kLongest, source_name(end)));
    if (node != &end) {
      if (auto why = check_only_use(*node->result())) return *why;
    }
    if (is_anchor(*node)) break;
    ChainStep step{ChainStep::Affine, node, 0};
    if (node->is(ops::batch_norm)) {
      const Answer<size_t> data = batch_norm_data(*node);
      if (!data) return data.why();
      step.kind = ChainStep::BatchNorm;
    } else if (is_binary(*node)) {
      const Answer<size_t> data = data_operand(*node);
      if (!data) return data.why();
      step.data = *data;
    } else if (is_nothing(*node)) {
      step.kind = ChainStep::Nothing;
    } else if (node->is(ops::dequantize)) {
      Answer<Node*> quantize = pair_quantize(*node);
      if (!quantize) return quantize.why();
      const Node* source = (*quantize)->operand(0)->def();
      if (source == nullptr || !is_anchor(*source)) {
        return in_the_way(
            **quantize, "conv", "a convolution in front of the quantizer",
            source ? std::string(op_label(*source)) : "an input",
            fmt::format("the quantizer '{}' in front of '{}' quantizes {}, not a convolution",
                        source_name(**quantize), source_name(end),
                        source ? fmt::format("the result of {} '{}'", op_label(*source), source_name(*source))
                               : "an input"));
      }
      chain.dequantize = node;
      chain.quantize = *quantize;
      node = (*quantize)->operand(0)->def();
      continue;
    } else if (!node->is(ops::neg)) {
      return in_the_way(*node, "affine", "affine operators with constants", std::string(op_label(*node)),
                        fmt::format("{} '{}' stands between the convolution and '{}'", op_label(*node),
                                    source_name(*node), source_name(end)));
    }
    const Value* before = node->operand(step.data);
    if (before->def() == nullptr) {
      return in_the_way(
          *node, "conv", "a convolution in front of the batch norm",
          fmt::format("input '{}'", before->name()),
          fmt::format("'{}' reads input '{}', no convolution", source_name(*node), before->name()));
    }
    chain.steps.push_back(step);
    node = before->def();
  }
  std::reverse(chain.steps.begin(), chain.steps.end());
  Answer<ConvSite> site = conv_site(*node);
  if (!site) return site.why();
  chain.site = *site;
  return chain;
}

bool is_written_out(const Chain& chain) {
  bool shifts = false;
  for (const ChainStep& step : chain.steps) {
    if (step.kind == ChainStep::BatchNorm) return false;
    if (!step.node->is(ops::add) && !step.node->is(ops::sub)) continue;
    shifts |= step.node->operand(1 - step.data)->type().elements() > 1 || chain.site.channels == 1;
  }
  return shifts;
}

namespace {

std::vector<Scaled> absolute(std::vector<Scaled> values) {
  for (Scaled& v : values) v.value = std::abs(v.value);
  return values;
}

// Applies steps to a map and to its magnitude alike.
class MapBuilder {
 public:
  MapBuilder(const ConvSite& site, ChannelConstants& constants)
      : site_(site),
        constants_(constants),
        map_(AffineMap::identity(static_cast<size_t>(site.channels))),
        magnitude_(map_) {}

  std::optional<Why> apply(const ChainStep& step) {
    if (step.kind == ChainStep::Nothing) return std::nullopt;
    if (step.kind == ChainStep::BatchNorm) return batch_norm(*step.node);
    return arithmetic(*step.node, step.data);
  }
  // The bias of the site, one number a channel; empty if it has none.
  Answer<std::vector<Scaled>> bias() {
    const Node& node = *site_.node;
    const Value* bias = site_.bias();
    if (bias == nullptr) return std::vector<Scaled>();
    if (!ConstantFlow::is_constant(bias)) {
      return in_the_way(node, "constant-bias", "a constant bias", "a computed one",
                        fmt::format("the bias of '{}' is not a constant", source_name(node)));
    }
    return constants_.per_channel(node, *bias, node.result()->type(), bias_axis(node), site_.channels,
                                  Zeros::Exact);
  }
  // The bias of a convolution is a vector whatever its rank; that of a product broadcasts.
  int bias_axis(const Node& node) const {
    return is_conv_or_linear(node) ? node.result()->type().rank() - 1 : site_.channel_axis;
  }
  const AffineMap& map() const { return map_; }
  const AffineMap& magnitude() const { return magnitude_; }

 private:
  void multiply(const std::vector<Scaled>& factor) {
    map_.multiply(factor);
    magnitude_.multiply(absolute(factor));
  }
  void divide(const std::vector<Scaled>& divisor) {
    map_.divide(divisor);
    magnitude_.divide(absolute(divisor));
  }
  void add(const std::vector<Scaled>& addend, double factor) {
    map_.add(addend, factor);
    magnitude_.add(absolute(addend), std::abs(factor));
  }
  std::vector<Scaled> every(double value) const {
    return std::vector<Scaled>(map_.channels(), Scaled::of(value));
  }

  // y = (x - mean) / sqrt(var + eps) * weight + bias
  std::optional<Why> batch_norm(const Node& node) {
    if (site_.channel_axis != 1) {
      return in_the_way(node, "channel-axis", "channels along dim 1",
                        fmt::format("along dim {}", site_.channel_axis),
                        fmt::format("batch norm '{}' normalizes dim 1, the channels of '{}' lie along dim {}",
                                    source_name(node), source_name(*site_.node), site_.channel_axis));
    }
    std::vector<Scaled> read[5];
    for (size_t i = 1; i < 5; ++i) {
      const bool factor = i == 1;
      if (node.operand(i) == nullptr) {
        read[i] = every(factor ? 1 : 0);
        continue;
      }
      Answer<std::vector<Scaled>> values =
          constants_.vector(node, *node.operand(i), site_.channels, factor ? Zeros::Small : Zeros::Exact);
      if (!values) return values.why();
      read[i] = std::move(*values);
    }
    const Scaled eps = Scaled::of(node.attrs<ops::BatchNormAttrs>().eps);
    std::vector<Scaled> factor;
    for (size_t c = 0; c < map_.channels(); ++c) factor.push_back(read[1][c] / sqrt(read[4][c] + eps));
    add(read[3], -1);
    multiply(factor);
    add(read[2], 1);
    return std::nullopt;
  }

  std::optional<Why> arithmetic(const Node& node, size_t data) {
    if (node.is(ops::neg)) {
      multiply(every(-1));
      return std::nullopt;
    }
    const bool sum = node.is(ops::add) || node.is(ops::sub);
    Answer<std::vector<Scaled>> other =
        constants_.per_channel(node, *node.operand(1 - data), node.operand(data)->type(), site_.channel_axis,
                               site_.channels, sum ? Zeros::Exact : Zeros::Small);
    if (!other) return other.why();
    if (node.is(ops::mul)) {
      multiply(*other);
    } else if (node.is(ops::div)) {
      divide(*other);
    } else {
      const double alpha = node.attrs<ops::AddAttrs>().alpha.as_double() * (node.is(ops::sub) ? -1 : 1);
      if (data == 1) multiply(every(alpha));
      add(*other, data == 1 ? 1 : alpha);
    }
    return std::nullopt;
  }

  const ConvSite& site_;
  ChannelConstants& constants_;
  AffineMap map_, magnitude_;
};

}  // namespace

Answer<ChainMap> chain_map(const Chain& chain, ChannelConstants& constants) {
  MapBuilder builder(chain.site, constants);
  const Answer<std::vector<Scaled>> bias = builder.bias();
  if (!bias) return bias.why();
  ChainMap result;
  const Node* batch_norm = chain.first_batch_norm();
  for (const ChainStep& step : chain.steps) {
    if (step.node == batch_norm) result.at_batch_norm = builder.map();
    if (auto why = builder.apply(step)) return *why;
  }
  result.whole = builder.map();
  result.offset = result.whole.b;
  result.magnitude = builder.magnitude();
  for (size_t c = 0; c < bias->size(); ++c) {
    const Scaled addend = (*bias)[c];
    result.whole.b[c] = result.offset[c] + result.whole.a[c] * addend;
    result.magnitude.b[c] =
        result.magnitude.b[c] + result.magnitude.a[c] * Scaled{std::abs(addend.value), addend.order};
  }
  return result;
}

}  // namespace zp::qat
