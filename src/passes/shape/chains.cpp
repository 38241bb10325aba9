#include "passes/shape/chains.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "interp/interp.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/constant_eval.h"
#include "support/mapped_file.h"

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

std::optional<Obstacle> Chains::visit_shape(const Node& node) {
  const MapEnv env(node);
  auto map = shape_map_of(env);
  if (!map.ok()) return from_error("static", map.error());
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

// ---------------------------------------------------------------- moving

Result<Chain::Moved> Chains::shifted(const Chain::Moved& moved) {
  Chain::Moved out = moved;
  ZP_TRY(const Blob from, dense_blob(moved.elements));
  std::byte* to = nullptr;
  out.elements.storage = Blob::allocate(from.size(), &to);
  for (size_t i = 0; i < from.size(); ++i) to[i] = from.data()[i] ^ std::byte{0x80};
  out.elements.strides = dense_strides(out.elements.shape);
  out.elements.offset = 0;
  out.viewed = nullptr;
  return out;
}

// The mask of a part with the numbers that its paddings have in the joined list.
Result<StridedView> Chains::renumbered(const Chain::Moved& in, std::vector<Number>* paddings) {
  uint8_t numbers[256] = {};
  bool same = true;
  for (size_t k = 0; k < in.paddings.size(); ++k) {
    const auto found = std::find(paddings->begin(), paddings->end(), in.paddings[k]);
    const size_t place = static_cast<size_t>(found - paddings->begin());
    if (found == paddings->end()) paddings->push_back(in.paddings[k]);
    if (place >= 255) return Error("fold-shape", "more than 255 different padding values");
    numbers[k + 1] = static_cast<uint8_t>(place + 1);
    same &= place == k;
  }
  if (same) return *in.mask;
  ZP_TRY(const Blob from, dense_blob(*in.mask));
  StridedView out = *in.mask;
  std::byte* to = nullptr;
  out.storage = Blob::allocate(from.size(), &to);
  for (size_t i = 0; i < from.size(); ++i)
    to[i] = static_cast<std::byte>(numbers[static_cast<uint8_t>(from.data()[i])]);
  out.strides = dense_strides(out.shape);
  out.offset = 0;
  return out;
}

namespace {

// A mask for elements of which none is padding: one zero byte, seen everywhere.
StridedView no_padding(const IntShape& shape) {
  static const std::byte kZero{0};
  StridedView mask;
  mask.storage = Blob(&kZero, 1, nullptr);
  mask.shape = shape;
  mask.strides.assign(shape.size(), 0);
  return mask;
}

Result<Chain::Moved> source_elements(Context& context, const Constant& constant) {
  Chain::Moved moved;
  moved.origin = &constant;
  if (constant.stripped)
    return Error("fold-shape", fmt::format("the weights of '{}' are not in the file", constant.name));
  const bool nibbles = bits_of(constant.dtype) == 4;
  if (bits_of(constant.dtype) < 8 && !nibbles) {
    ZP_TRY(const Tensor unpacked, constant_tensor(context, constant));
    moved.elements = view_of(unpacked);
    return moved;
  }
  moved.viewed = &constant;
  moved.elements.storage = constant.storage;
  moved.elements.width = byte_size(constant.dtype);
  if (nibbles) moved.elements.packed = constant.dtype;
  moved.elements.shape = constant.shape.vec();
  moved.elements.strides =
      constant.strides.empty() ? dense_strides(moved.elements.shape) : constant.strides.vec();
  moved.elements.offset = constant.offset;
  return moved;
}

}  // namespace

// Bytes of a file are checked where they are read; a view does not read them.
namespace {

Status check_read(const Constant* viewed) {
  if (viewed == nullptr || viewed->storage.file() == nullptr) return {};
  return viewed->storage.file()->check_range(viewed->storage.offset());
}

}  // namespace

// The elements of an operand; the last one to ask gets them for its own.
Chain::Moved Chains::take(Chain& chain) {
  if (chain.readers == 0 || --chain.readers > 0) return *chain.moved;
  Chain::Moved own = std::move(*chain.moved);
  chain.moved = nullptr;
  return own;
}

Status Chains::move_one(Chain& chain) {
  if (chain.source != nullptr) {
    ZP_TRY(Chain::Moved own, source_elements(context_, *chain.source));
    chain.moved = std::make_unique<Chain::Moved>(std::move(own));
    return {};
  }
  if (chain.map == nullptr) {
    chain.moved = std::make_unique<Chain::Moved>(take(*chain.operands.front()));
    return {};
  }
  Chain::Moved out;
  const MapResult& map = *chain.map;
  const bool pads = map.pads();
  std::vector<Chain::Moved> inputs(chain.operands.size());
  bool masked = pads;
  std::vector<bool> taken(chain.operands.size(), false);
  for (const MapPart& part : map.parts) {
    if (taken[part.operand]) continue;
    taken[part.operand] = true;
    Chain::Moved& input = inputs[part.operand];
    input = take(*chain.operands[part.operand]);
    if (chain.operands[part.operand]->dtype != chain.dtype) {
      ZP_CHECK(check_read(input.viewed));
      ZP_TRY(input, shifted(input));
    }
    masked |= input.mask.has_value();
    out.origin = out.origin != nullptr ? out.origin : input.origin;
  }
  std::vector<StridedView> views, masks;
  for (size_t i = 0; i < inputs.size(); ++i) {
    views.push_back(inputs[i].elements);
    masks.push_back(inputs[i].mask
                        ? *inputs[i].mask
                        : no_padding(chain.operands[i] != nullptr ? chain.operands[i]->shape : IntShape{}));
  }
  // A plain constant's padding has its bytes at once; a quantized one's depends on the parameters at the end
  // of the chain.
  std::vector<std::byte> fill;
  if (pads && chain.domain == Domain::Plain) {
    ZP_TRY(Tensor one, Tensor::make(chain.dtype, {}));
    if (map.fill.kind == Number::Float) one.set_double(0, map.fill.f);
    else one.set_int(0, map.fill.i);
    fill.assign(one.data<std::byte>(), one.data<std::byte>() + one.bytes());
    masked = false;
  }
  ZP_TRY(out.elements, move_result(map, views, fill.empty() ? nullptr : fill.data()));
  if (masked) {
    std::byte number{0};
    for (const MapPart& part : map.parts) {
      if (!inputs[part.operand].mask) continue;
      ZP_TRY(masks[part.operand], renumbered(inputs[part.operand], &out.paddings));
    }
    if (pads) {
      const auto found = std::find(out.paddings.begin(), out.paddings.end(), map.fill);
      if (found == out.paddings.end()) out.paddings.push_back(map.fill);
      const auto place =
          std::find(out.paddings.begin(), out.paddings.end(), map.fill) - out.paddings.begin() + 1;
      if (place > 255) return Error("fold-shape", "more than 255 different padding values");
      number = static_cast<std::byte>(place);
    }
    ZP_TRY(out.mask, move_result(map, masks, &number));
  }
  if (map.parts.size() == 1 && inputs[map.parts.front().operand].viewed != nullptr &&
      out.elements.storage.data() == views[map.parts.front().operand].storage.data()) {
    out.viewed = inputs[map.parts.front().operand].viewed;
  } else {
    for (const Chain::Moved& input : inputs) ZP_CHECK(check_read(input.viewed));
  }
  chain.moved = std::make_unique<Chain::Moved>(std::move(out));
  return {};
}

Status Chains::move(Chain& chain) {
  if (chain.moved) return {};
  std::vector<Chain*> needed, stack{&chain};
  const size_t walk = ++walks_;
  while (!stack.empty()) {
    Chain* c = stack.back();
    stack.pop_back();
    if (c->moved || c->visit == walk) continue;
    c->visit = walk;
    needed.push_back(c);
    if (c->source != nullptr) continue;
    if (Chain* only = c->only_operand()) {
      stack.push_back(only);
      continue;
    }
    for (Chain* operand : c->operands)
      if (operand != nullptr) stack.push_back(operand);
  }
  std::sort(needed.begin(), needed.end(), [](const Chain* a, const Chain* b) { return a->id < b->id; });
  // Who waits for whom: elements on the way are handed on, not kept.
  for (Chain* c : needed) {
    if (c->source != nullptr) continue;
    if (c->map == nullptr) {
      if (c->operands.front()->visit == walk) ++c->operands.front()->readers;
      continue;
    }
    std::vector<bool> counted(c->operands.size(), false);
    for (const MapPart& part : c->map->parts) {
      if (counted[part.operand]) continue;
      counted[part.operand] = true;
      if (c->operands[part.operand]->visit == walk) ++c->operands[part.operand]->readers;
    }
  }
  for (Chain* c : needed) ZP_CHECK(move_one(*c));
  return {};
}

namespace {

// Strides that a constant may have: every reader can walk them forwards.
bool may_be_strided(const StridedView& view) {
  for (size_t d = 0; d < view.shape.size(); ++d)
    if (view.shape[d] > 1 && view.strides[d] <= 0) return false;
  return true;
}

uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9E3779B97F4A7C15ull + (h >> 29); }

}  // namespace

Result<int64_t> Chains::added_bytes(Chain& chain) {
  if (reshaped_source(chain) != nullptr) return int64_t{0};
  ZP_CHECK(move(chain));
  const Chain::Moved& m = *chain.moved;
  if (m.viewed != nullptr && !m.mask && may_be_strided(m.elements)) return 0;
  return storage_bytes(chain.dtype, m.elements.elements());
}

Result<Blob> Chains::stored_bytes(Chain& chain) {
  const Chain::Moved& m = *chain.moved;
  ZP_CHECK(check_read(m.viewed));
  if (bits_of(chain.dtype) < 8 && !m.mask) return packed_blob(m.elements, chain.dtype);
  ZP_TRY(Blob bytes, dense_blob(m.elements));
  if (m.mask && m.elements.elements() > 0) {
    ZP_TRY(const QuantType* quant, written(chain));
    ZP_TRY(const Blob mask, dense_blob(*m.mask));
    std::byte* own = nullptr;
    Blob filled = Blob::allocate(bytes.size(), &own);
    std::memcpy(own, bytes.data(), bytes.size());
    ZP_CHECK(fill_padding(context_, *quant, chain.shape,
                          {reinterpret_cast<const uint8_t*>(mask.data()), mask.size()}, m.paddings, own));
    bytes = std::move(filled);
  }
  return bits_of(chain.dtype) >= 8 ? bytes : pack_elements(chain.dtype, bytes.bytes());
}

const Constant* Chains::reshaped_source(const Chain& chain) const {
  const Chain* c = &chain;
  while (c->source == nullptr) {
    if (c->map != nullptr) {
      const bool reshapes = c->map->parts.size() == 1 && c->map->steps.empty() &&
                            std::all_of(c->map->parts[0].steps.begin(), c->map->parts[0].steps.end(),
                                        [](const MapStep& s) { return s.kind == MapStep::Reshape; });
      if (!reshapes) return nullptr;
    }
    c = c->map != nullptr ? c->operands[c->map->parts[0].operand] : c->operands.front();
  }
  return c->source->dense() ? c->source : nullptr;
}

// A constant that sees the storage of `from` in another shape; `from` itself where it is no other.
const Constant* Chains::view_constant(const Chain& chain, const Constant& from, const Blob& storage,
                                      const std::vector<int64_t>& strides, int64_t offset) {
  auto same = [&](const Constant& c) {
    return c.dtype == chain.dtype && c.storage == storage && c.offset == offset &&
           c.shape.vec() == chain.shape && c.strides.vec() == strides;
  };
  if (same(from)) return &from;
  uint64_t key = mix(reinterpret_cast<uint64_t>(storage.data()), static_cast<uint64_t>(offset));
  for (const int64_t d : chain.shape) key = mix(key, static_cast<uint64_t>(d));
  for (const int64_t s : strides) key = mix(key, static_cast<uint64_t>(s));
  for (const Constant* c : made_[key])
    if (same(*c)) return c;
  const std::string name = fmt::format("{}.{}", from.name, chain.value->name());
  Constant made;
  made.name = name;
  made.kind = from.kind == ConstantKind::Literal ? ConstantKind::Tensor : from.kind;
  made.dtype = chain.dtype;
  made.shape = context_.ints(chain.shape);
  made.strides = context_.ints(strides);
  made.offset = offset;
  made.storage = storage;
  made.stripped = from.stripped;
  made_[key].push_back(context_.add_constant(std::move(made)));
  return made_[key].back();
}

Result<const Constant*> Chains::constant(Chain& chain) {
  if (const Constant* from = reshaped_source(chain))
    return view_constant(chain, *from, from->storage, {}, from->offset);
  ZP_CHECK(move(chain));
  const Chain::Moved& m = *chain.moved;
  const StridedView& view = m.elements;
  if (m.viewed != nullptr && !m.mask && may_be_strided(view)) {
    return view_constant(chain, *m.viewed, view.storage, view.dense() ? std::vector<int64_t>{} : view.strides,
                         view.offset);
  }
  ZP_TRY(Blob bytes, stored_bytes(chain));
  uint64_t key = static_cast<uint64_t>(chain.dtype);
  for (const int64_t d : chain.shape) key = mix(key, static_cast<uint64_t>(d));
  size_t i = 0;
  for (uint64_t word = 0; i + 8 <= bytes.size(); i += 8) {
    std::memcpy(&word, bytes.data() + i, 8);
    key = mix(key, word);
  }
  for (; i < bytes.size(); ++i) key = mix(key, static_cast<uint64_t>(bytes.data()[i]));
  for (const Constant* c : made_[key]) {
    if (c->dtype != chain.dtype || c->shape.vec() != chain.shape || c->storage.size() != bytes.size())
      continue;
    if (bytes.empty() || std::memcmp(c->storage.data(), bytes.data(), bytes.size()) == 0) return c;
  }
  const std::string name = fmt::format("{}.{}", m.origin->name, chain.value->name());
  made_[key].push_back(context_.make_constant(name, chain.dtype, chain.shape, std::move(bytes)));
  return made_[key].back();
}

}  // namespace zp::shape
