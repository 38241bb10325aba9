#include "passes/shape/chains.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "interp/interp.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/constant_eval.h"

namespace zp::shape {

namespace {

// Evaluating a quantizer on a constant looks at every element; larger ones stay.
constexpr int64_t kLargestEvaluated = int64_t{1} << 28;

IntShape numbers(const Shape& shape) {
  IntShape out;
  for (const Dim& d : shape) out.push_back(d.value());
  return out;
}

Obstacle from_error(std::string clause, const Error& error) {
  return {std::move(clause), "", error.first().text};
}

std::string kind_of(const Value& value) {
  if (value.def() == nullptr) return fmt::format("input '{}'", value.name());
  return fmt::format("'{}', a result of {}", value.name(), op_label(*value.def()));
}

}  // namespace

Chain* Chains::find(const Value* value) const { return value == nullptr ? nullptr : by_value_.find(value); }

Chain& Chains::add(const Value& value, Domain domain, DType dtype, const IntShape& shape) {
  Chain& chain = chains_.emplace_back();
  chain.value = &value;
  chain.domain = domain;
  chain.dtype = dtype;
  chain.shape = shape;
  chain.id = chains_.size();
  chain.self = &chain;
  by_value_.insert(&value, &chain);
  return chain;
}

// Values of one chain share the list of what they are made of; a join merges the lists.
Chain& Chains::add_made(const Value& value, Domain domain, DType dtype, const IntShape& shape,
                        std::vector<Chain*> operands) {
  constexpr size_t kMost = 64;
  Chain& chain = add(value, domain, dtype, shape);
  chain.operands = std::move(operands);
  if (Chain* alone = chain.operands.size() == 1 ? chain.operands.front() : nullptr) {
    chain.bases =
        alone->bases != nullptr ? alone->bases : std::make_shared<const std::vector<Chain*>>(1, alone);
    return chain;
  }
  std::vector<Chain*> merged;
  const Chain* only = nullptr;
  for (Chain* operand : chain.operands) {
    if (operand == nullptr) continue;
    if (only == nullptr) {
      only = operand;
      const std::span<Chain* const> own = bases(*operand);
      merged.assign(own.begin(), own.end());
      chain.bases = operand->bases;
      continue;
    }
    for (Chain* base : bases(*operand)) {
      const bool known = std::any_of(merged.begin(), merged.end(),
                                     [&](const Chain* c) { return c->source == base->source; });
      if (known || merged.size() >= kMost) continue;
      merged.push_back(base);
      chain.bases = nullptr;
    }
  }
  if (chain.bases == nullptr) chain.bases = std::make_shared<const std::vector<Chain*>>(std::move(merged));
  return chain;
}

// ---------------------------------------------------------------- finding

std::optional<Obstacle> Chains::visit(const Node& node) {
  if (node.is(kConstOp)) return visit_const(node);
  bool any = false;
  for (size_t i = 0; i < node.operand_count() && !any; ++i) any = find(node.operand(i)) != nullptr;
  const bool makes_integers = node.is(ops::quantize) || node.is(ops::storage_cast);
  if (makes_integers && find(node.operand(0)) == nullptr && flow_.is_constant(node.operand(0)))
    return visit_computed(node);
  if (!any) return std::nullopt;
  if (node.is(ops::storage_cast)) return visit_cast(node);
  if (node.is(ops::dequantize)) return visit_dequantize(node);
  if (node.is(ops::quantize)) return visit_quantize(node);
  if (node.op().shape_map != nullptr) return visit_shape(node);
  return Obstacle{"shape-only", "an operator that only moves elements",
                  fmt::format("{} computes new values", op_label(node))};
}

std::optional<Obstacle> Chains::visit_const(const Node& node) {
  const Type& type = node.result()->type();
  if (!type.is_static() || type.dtype != node.constant()->dtype) return std::nullopt;
  if (type.is_quantized()) {
    if (type.quant->dynamic) return std::nullopt;
    Chain& chain = add(*node.result(), Domain::Integers, type.dtype, numbers(type.shape));
    chain.declared = type.quant;
    chain.source = node.constant();
    return std::nullopt;
  }
  add(*node.result(), Domain::Plain, type.dtype, numbers(type.shape)).source = node.constant();
  return std::nullopt;
}

std::optional<Obstacle> Chains::visit_cast(const Node& node) {
  Chain* from = find(node.operand(0));
  const QuantType* type = node.attrs<ops::StorageCastAttrs>().type;
  if (type == nullptr) {
    const bool made = from->domain != Domain::Integers || from->map != nullptr;
    if (made) return Obstacle{"integers", "integers as the constant has them", kind_of(*from->value)};
    add_made(*node.result(), Domain::Plain, from->dtype, from->shape, {from});
    return std::nullopt;
  }
  if (from->domain != Domain::Plain || from->dtype != type->storage || type->dynamic) {
    return Obstacle{"storage", std::string(dtype_name(type->storage)), std::string(dtype_name(from->dtype))};
  }
  Chain& chain = from->source != nullptr
                     ? add(*node.result(), Domain::Integers, from->dtype, from->shape)
                     : add_made(*node.result(), Domain::Integers, from->dtype, from->shape, {from});
  chain.source = from->source;
  chain.declared = type;
  return std::nullopt;
}

std::optional<Obstacle> Chains::visit_dequantize(const Node& node) {
  Chain* from = find(node.operand(0));
  if (from == nullptr || from->domain != Domain::Integers || node.operand(1) != nullptr ||
      node.operand(2) != nullptr)
    return std::nullopt;
  add_made(*node.result(), Domain::Reals, from->dtype, from->shape, {from});
  return std::nullopt;
}

// Quantizing what was dequantized with the same parameters gives the integers back: (q - z) * s * (1/s) is
// nearer than half a step to q - z as long as q - z has no more bits than half a float's mantissa. Integers
// outside a narrowed range would be clamped, so such ranges are evaluated.
bool Chains::same_integers(Chain& from, const QuantType& to) {
  const auto type = written(from);
  if (!type.ok() || bits_of(to.storage) > 16 || !is_integer(to.storage)) return false;
  if (to.qmin != int_min(to.storage) || to.qmax != int_max(to.storage) || to.domain == ZeroPointDomain::Float)
    return false;
  const auto same = same_parameters(context_, **type, to, from.shape);
  if (!same.ok() || !*same) return false;
  const auto params = quant_params(context_, to, from.shape);
  return params.ok() && std::all_of(params->scales.begin(), params->scales.end(),
                                    [](double s) { return s >= 0x1p-120 && s <= 0x1p120; });
}

Result<const Constant*> Chains::evaluated(const Node& node) {
  if (node.result()->type().elements() > kLargestEvaluated) {
    return Error("fold-shape", fmt::format("{} elements to quantize, at most {} are",
                                           node.result()->type().elements(), kLargestEvaluated));
  }
  ZP_TRY(const Tensor value, evaluate(node, 4096));
  return store_tensor(context_, node.result()->name(), value);
}

std::optional<Obstacle> Chains::visit_quantize(const Node& node) {
  Chain* from = find(node.operand(0));
  const Type& type = node.result()->type();
  if (from == nullptr || from->domain == Domain::Integers || node.operand(1) != nullptr ||
      node.operand(2) != nullptr)
    return std::nullopt;
  if (!type.is_static() || !type.is_quantized() || type.quant->dynamic) return std::nullopt;
  if (from->domain == Domain::Reals && same_integers(*from, *type.quant)) {
    Chain& chain = add_made(*node.result(), Domain::Integers, from->dtype, from->shape, {from});
    chain.declared = type.quant;
    return std::nullopt;
  }
  // Requantization is part of the value: its result is a constant of its own.
  auto constant = evaluated(node);
  if (!constant.ok()) return from_error("evaluation", constant.error());
  Chain& chain = add(*node.result(), Domain::Integers, type.dtype, from->shape);
  chain.declared = type.quant;
  chain.source = *constant;
  return std::nullopt;
}

// Arithmetic on constants changes values, so it folds only where a quantizer says what integers come of it
// (or where it computes the integers themselves, as unpacking does): the exact evaluator then gives the bits
// that running the graph would give.
std::optional<Obstacle> Chains::visit_computed(const Node& node) {
  const Type& type = node.result()->type();
  if (node.operand(1) != nullptr || node.operand(2) != nullptr || !type.is_static() || !type.is_quantized() ||
      type.quant->dynamic)
    return std::nullopt;
  auto constant = evaluated(node);
  if (!constant.ok()) return from_error("evaluation", constant.error());
  Chain& chain = add(*node.result(), Domain::Integers, type.dtype, numbers(type.shape));
  chain.declared = type.quant;
  chain.source = *constant;
  return std::nullopt;
}

// All parts of the map are chains of one domain, and of one storage or of two that a shift makes one.
std::optional<Obstacle> Chains::join_operands(const Node& node, const ShapeMap& map,
                                              std::vector<Chain*>* operands) {
  operands->assign(node.operand_count(), nullptr);
  Chain* first = nullptr;
  for (const MapResult& result : map.results) {
    for (const MapPart& part : result.parts) {
      Chain* chain = find(node.operand(part.operand));
      if (chain == nullptr) {
        return Obstacle{"constant", "constants in all data operands",
                        fmt::format("operand {} is {}", part.operand, kind_of(*node.operand(part.operand)))};
      }
      (*operands)[part.operand] = chain;
      if (first == nullptr) {
        first = chain;
        continue;
      }
      if (chain->domain != first->domain) {
        const Chain* plain = chain->domain == Domain::Plain ? chain : first;
        return Obstacle{"quantized", "quantized constants in all data operands",
                        fmt::format("'{}' is a constant of {} that is not quantized", plain->value->name(),
                                    dtype_name(plain->dtype))};
      }
      const bool byte_pair =
          chain->domain != Domain::Plain && CarriedQuant::shift_between(chain->dtype, first->dtype) != 0;
      if (chain->dtype != first->dtype && !byte_pair) {
        return Obstacle{"storage", std::string(dtype_name(first->dtype)),
                        fmt::format("'{}' has {}", chain->value->name(), dtype_name(chain->dtype))};
      }
    }
  }
  if (first == nullptr) return Obstacle{"constant", "a constant data operand", "none"};
  return std::nullopt;
}

// The common case, one result made of one chain; false where it is another one, or an obstacle.
bool Chains::visit_unary(const Node& node, ShapeMap* map) {
  if (node.operand_count() != 1 || map->results.size() != 1) return false;
  MapResult& result = map->results.front();
  if (result.parts.size() != 1 || result.parts.front().operand != 0 || result.chooses()) return false;
  Chain* from = find(node.operand(0));
  if (from == nullptr || (from->domain == Domain::Integers && node.op().trait != Trait::ShapeOnly))
    return false;
  IntShape shape = from->shape;
  for (const auto* steps : {&result.parts.front().steps, &result.steps}) {
    for (const MapStep& step : *steps) {
      auto next = step_shape(step, shape);
      if (!next.ok()) return false;
      shape = std::move(*next);
    }
  }
  Chain& chain = add_made(*node.result(), from->domain, from->dtype, shape, {from});
  chain.map = std::make_shared<const MapResult>(std::move(result));
  return true;
}

std::optional<Obstacle> Chains::visit_shape(const Node& node) {
  const MapEnv env(node);
  auto map = shape_map_of(env);
  if (!map.ok()) return from_error("static", map.error());
  if (visit_unary(node, &*map)) return std::nullopt;
  std::vector<Chain*> operands;
  if (auto obstacle = join_operands(node, *map, &operands)) return obstacle;
  const bool reads_integers = node.op().trait == Trait::ShapeOnly;
  std::vector<std::optional<CarriedQuant>> shifted_quant(operands.size());
  std::vector<const CarriedQuant*> quants(operands.size(), nullptr);
  bool mixed = false;
  DType dtype = DType::Unknown;
  for (const Chain* c : operands) {
    if (c == nullptr) continue;
    mixed |= dtype != DType::Unknown && dtype != c->dtype;
    dtype = c->dtype;
  }
  const bool joins = std::any_of(map->results.begin(), map->results.end(),
                                 [](const MapResult& r) { return r.parts.size() != 1; });
  for (size_t i = 0; i < operands.size(); ++i) {
    if (operands[i] == nullptr || operands[i]->domain == Domain::Plain) continue;
    if (operands[i]->domain == Domain::Integers && (mixed || !reads_integers)) {
      return Obstacle{"storage", "elements of one storage", "elements of several"};
    }
    if (!joins && !mixed) continue;
    auto own = quant(*operands[i]);
    if (!own.ok()) return from_error("parameters", own.error());
    quants[i] = *own;
    if (mixed) {
      shifted_quant[i] = **own;
      shifted_quant[i]->move_storage(DType::I8);
      quants[i] = &*shifted_quant[i];
    }
  }
  if (mixed) dtype = DType::I8;
  std::vector<Chain> made(map->results.size());
  for (size_t r = 0; r < map->results.size(); ++r) {
    MapResult& result = map->results[r];
    if (result.chooses())
      return Obstacle{"indices", "indices that are constant", "indices known only when the model runs"};
    std::vector<IntShape> shapes;
    for (const Chain* c : operands) shapes.push_back(c != nullptr ? c->shape : IntShape{});
    auto shape = result_shape(result, shapes);
    if (!shape.ok()) return from_error("static", shape.error());
    Chain& chain = made[r];
    const Chain& first = *operands[result.parts.front().operand];
    chain.domain = first.domain;
    chain.dtype = dtype;
    chain.shape = std::move(*shape);
    if (first.domain != Domain::Plain && (joins || mixed)) {
      auto carried = CarriedQuant::mapped(result, quants);
      if (!carried.ok()) return from_error("parameters", carried.error());
      chain.quant = std::make_unique<CarriedQuant>(std::move(*carried));
    }
    // Parts name places in `operands`, which keeps the node's numbering.
    chain.operands = operands;
    chain.map = std::make_shared<const MapResult>(std::move(result));
  }
  for (size_t r = 0; r < made.size() && r < node.result_count(); ++r) {
    Chain& chain =
        add_made(*node.result(r), made[r].domain, made[r].dtype, made[r].shape, std::move(made[r].operands));
    chain.quant = std::move(made[r].quant);
    chain.map = std::move(made[r].map);
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- asking

Result<const CarriedQuant*> Chains::quant(Chain& chain) {
  // A chain that retreats step by step asks again and again: some states on the way are kept.
  constexpr size_t kKeepEvery = 32;
  std::vector<Chain*> way;
  Chain* known = &chain;
  while (!known->quant && known->declared == nullptr && !known->broken) {
    way.push_back(known);
    known = known->only_operand();
  }
  if (known->broken) return Error(known->broken->first());
  if (!known->quant) {
    ZP_TRY(CarriedQuant own, CarriedQuant::of(context_, *known->declared, known->shape));
    known->quant = std::make_unique<CarriedQuant>(std::move(own));
  }
  if (way.empty()) return known->quant.get();
  CarriedQuant state = *known->quant;
  for (size_t i = way.size(); i-- > 0;) {
    if (way[i]->map != nullptr) {
      if (Status s = state.advance(*way[i]->map); !s.ok()) {
        way[i]->broken = std::make_unique<Error>(s.error().first());
        return Error(way[i]->broken->first());
      }
    }
    if (i != 0 && i % kKeepEvery == 0) way[i]->quant = std::make_unique<CarriedQuant>(state);
  }
  chain.quant = std::make_unique<CarriedQuant>(std::move(state));
  return chain.quant.get();
}

Result<const QuantType*> Chains::written(Chain& chain) {
  if (chain.declared != nullptr) return chain.declared;
  if (chain.map == nullptr) return written(*chain.operands.front());  // a dequantize; what it reads is none
  if (!chain.written) {
    ZP_TRY(const CarriedQuant* carried, quant(chain));
    CarriedQuant state = *carried;
    chain.written = std::make_unique<Result<const QuantType*>>(state.write(context_));
  }
  if (chain.written->ok()) return **chain.written;
  return Error(chain.written->error().first());
}

std::span<Chain* const> Chains::bases(Chain& chain) const {
  if (chain.bases != nullptr) return *chain.bases;
  return {&chain.self, 1};
}

std::vector<const Value*> Chains::steps(const Chain& chain, size_t limit) const {
  std::vector<const Chain*> all, stack{&chain};
  std::unordered_map<const Chain*, bool> seen;
  while (!stack.empty() && all.size() < limit) {
    const Chain* c = stack.back();
    stack.pop_back();
    if (c == nullptr || !seen.emplace(c, true).second) continue;
    all.push_back(c);
    stack.insert(stack.end(), c->operands.begin(), c->operands.end());
  }
  std::sort(all.begin(), all.end(), [](const Chain* a, const Chain* b) { return a->id < b->id; });
  std::vector<const Value*> values;
  for (const Chain* c : all)
    if (c->value->def() != nullptr && !c->value->def()->is(kConstOp)) values.push_back(c->value);
  return values;
}

}  // namespace zp::shape
