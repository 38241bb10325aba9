// Recurrent layers: cards and inference.
#include "ops/recurrent.h"

#include <fmt/format.h>

#include "ops/conv_infer.h"
#include "ops/ops.h"
#include "ops/recurrent_eval.h"

namespace zp::ops {
namespace {

constexpr OperandDef kLstmOperands[] = {{"input", Role::Data},
                                        {"hidden", Role::State},
                                        {"cell", Role::State},
                                        {"parameters", Role::Weight, false, true}};
constexpr OperandDef kRecurrentOperands[] = {
    {"input", Role::Data}, {"hidden", Role::State}, {"parameters", Role::Weight, false, true}};
constexpr std::string_view kLstmResults[] = {"output", "hidden", "cell"};
constexpr std::string_view kRecurrentResults[] = {"output", "hidden"};
constexpr std::string_view kChecks[] = {
    "c1: input and states have rank 3, and all operands one floating type",
    "c2: the number of parameters fits layers, directions and biases",
    "c3: w_ih is [gates * hidden, features], w_hh [gates * hidden, hidden], biases [gates * hidden]",
    "c4: states are [layers * directions, batch, hidden]",
};

const Type& parameter(const Node& node, const RecurrentLayout& layout, size_t cell, size_t which) {
  return *operand_type(node, layout.first_parameter + cell * layout.per_cell + which);
}

// The parameters of one layer and direction, against the number of features it reads.
Status check_cell(const Node& node, const RecurrentLayout& layout, size_t cell, Dim features, Dim hidden,
                  Dim state) {
  const bool biases = node.attrs<RecurrentAttrs>().has_biases;
  DimContext& dims = node.context().dims();
  const Dim rows = dims.mul(hidden, layout.gates());
  const auto fits = [](const Type& t, std::initializer_list<Dim> shape) {
    if (!t.ranked) return true;
    if (t.shape.size() != shape.size()) return false;
    size_t d = 0;
    for (const Dim& wanted : shape)
      if (!may_be_equal(t.shape[d++], wanted)) return false;
    return true;
  };
  bool good = fits(parameter(node, layout, cell, 0), {rows, features}) &&
              fits(parameter(node, layout, cell, 1), {rows, state});
  if (biases)
    good = good && fits(parameter(node, layout, cell, 2), {rows}) &&
           fits(parameter(node, layout, cell, 3), {rows});
  if (good) return {};
  return failed(node, "c3",
                fmt::format("cell {}: w_ih {}, w_hh {} for {} gates of {} and {} features", cell,
                            parameter(node, layout, cell, 0).str(), parameter(node, layout, cell, 1).str(),
                            layout.gates(), hidden.str(), features.str()));
}

Status infer_recurrent(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_TRY(const RecurrentLayout layout, recurrent_layout(node));
  const Type& input = *operand_type(node, 0);
  const DType dtype = input.real_dtype();
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Type* type = operand_type(node, i);
    if (type == nullptr) return failed(node, "operands", fmt::format("operand {} is missing", i));
    const bool state = i > 0 && i < layout.first_parameter;
    if (type->real_dtype() != dtype || (dtype != DType::Unknown && !is_float(dtype)) ||
        ((i == 0 || state) && type->ranked && type->rank() != 3)) {
      return failed(node, "c1", fmt::format("operand {} is {}, input {}", i, type->str(), input.str()));
    }
  }
  if (any_unranked(node)) {
    for (size_t i = 0; i < node.result_count(); ++i) ZP_CHECK(set_unranked_result(node, i, dtype));
    return {};
  }
  const auto& attrs = node.attrs<RecurrentAttrs>();
  DimContext& dims = context.dims();
  const Dim time = input.shape[attrs.batch_first ? 1 : 0], batch = input.shape[attrs.batch_first ? 0 : 1];
  const Type& first = parameter(node, layout, 0, 0);
  if (first.rank() != 2) return failed(node, "c3", fmt::format("cell 0: w_ih is {}", first.str()));
  const Dim rows = first.shape[0];
  const Dim hidden = dims.floordiv(rows, layout.gates());
  const Dim state = operand_type(node, 1)->shape[2];  // the projected size where there is a projection
  for (size_t i = 1; i < layout.first_parameter; ++i) {
    const Shape shape = operand_type(node, i)->shape;
    const Dim width = i == 2 ? hidden : (layout.projected ? state : hidden);
    if (!may_be_equal(shape[0], static_cast<int64_t>(layout.layers * layout.directions)) ||
        !may_be_equal(shape[1], batch) || !may_be_equal(shape[2], width)) {
      return failed(
          node, "c4",
          fmt::format("state {} for {} layers, {} directions, batch {}, hidden {}", shape_text(shape),
                      layout.layers, layout.directions, batch.str(), width.str()));
    }
  }
  for (size_t cell = 0; cell < layout.layers * layout.directions; ++cell) {
    const Dim features =
        cell < layout.directions ? input.shape[2] : dims.mul(state, static_cast<int64_t>(layout.directions));
    ZP_CHECK(check_cell(node, layout, cell, features, hidden, state));
  }
  const Dim out = dims.mul(state, static_cast<int64_t>(layout.directions));
  ZP_CHECK(attrs.batch_first ? set_result(node, 0, dtype, {batch, time, out})
                             : set_result(node, 0, dtype, {time, batch, out}));
  for (size_t i = 1; i < node.result_count() && i < layout.first_parameter; ++i) {
    ZP_CHECK(set_result(node, i, dtype, operand_type(node, i)->shape));
  }
  return {};
}

}  // namespace

Result<RecurrentLayout> recurrent_layout(const Node& node) {
  const auto& attrs = node.attrs<RecurrentAttrs>();
  RecurrentLayout layout;
  layout.kind = node.is(lstm)       ? RecurrentKind::Lstm
                : node.is(gru)      ? RecurrentKind::Gru
                : node.is(rnn_relu) ? RecurrentKind::RnnRelu
                                    : RecurrentKind::RnnTanh;
  layout.first_parameter = layout.kind == RecurrentKind::Lstm ? 3 : 2;
  layout.directions = attrs.bidirectional ? 2 : 1;
  const size_t parameters = node.operand_count() - std::min(node.operand_count(), layout.first_parameter);
  const size_t base = attrs.has_biases ? 4 : 2;
  layout.layers = attrs.num_layers > 0 ? static_cast<size_t>(attrs.num_layers) : 0;
  const size_t cells = std::min<size_t>(layout.layers, parameters) * layout.directions;
  layout.projected = layout.kind == RecurrentKind::Lstm && cells > 0 && parameters == cells * (base + 1);
  layout.per_cell = base + (layout.projected ? 1 : 0);
  if (cells == 0 || parameters != cells * layout.per_cell) {
    return failed(node, "c2",
                  fmt::format("{} parameters for {} layers in {} directions, {} each", parameters,
                              attrs.num_layers, layout.directions, base));
  }
  return layout;
}

#define ZP_RECURRENT(NAME, OPERANDS, RESULTS, DOC)                  \
  constinit const OpDef NAME = {.name = #NAME,                      \
                                .doc = DOC,                         \
                                .operands = OPERANDS,               \
                                .results = RESULTS,                 \
                                .attrs = &attrs_of<RecurrentAttrs>, \
                                .trait = Trait::FloatOnly,          \
                                .infer = infer_recurrent,           \
                                .eval = eval_recurrent,             \
                                .checks = kChecks}
ZP_RECURRENT(lstm, kLstmOperands, kLstmResults,
             "Layers of long short-term memory: c = f * c + i * g, h = o * tanh(c).");
ZP_RECURRENT(gru, kRecurrentOperands, kRecurrentResults,
             "Layers of gated recurrent units: n = tanh(W x + r * (U h)), h = (h - n) * z + n.");
ZP_RECURRENT(rnn_tanh, kRecurrentOperands, kRecurrentResults, "Layers of h = tanh(W x + U h).");
ZP_RECURRENT(rnn_relu, kRecurrentOperands, kRecurrentResults, "Layers of h = relu(W x + U h).");
#undef ZP_RECURRENT

}  // namespace zp::ops
