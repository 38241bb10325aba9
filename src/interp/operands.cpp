#include "interp/operands.h"

#include <algorithm>

#include "ops/ops.h"

namespace zp::interp {
namespace {

constexpr int kMaxDepth = 64;      // of a chain of shape ops
constexpr size_t kMaxNodes = 256;  // of all that one operand is made of

std::optional<IntShape> static_shape(const Type& type) {
  if (!type.is_static()) return std::nullopt;
  IntShape shape;
  for (const Dim& d : type.shape) shape.push_back(d.value());
  return shape;
}

// Integers and parameters known before the model runs.
bool is_static_dequantize(const Node& node) {
  if (!node.is(ops::dequantize)) return false;
  const QuantType& quant = *node.operand(0)->type().quant;
  return !quant.dynamic && quant.domain == ZeroPointDomain::Integer && is_integer(quant.storage);
}

bool is_shape_op(const Node& node) {
  return node.op().trait == Trait::ShapeOnly && node.op().shape_map != nullptr;
}

// Shape ops whose first operand is all they move and which never pad, whatever the extents turn out to be.
bool only_moves_first_operand(const Node& node) {
  const OpDef* const known[] = {&ops::reshape, &ops::permute,  &ops::squeeze, &ops::unsqueeze,
                                &ops::expand,  &ops::identity, &ops::slice,   &ops::select};
  return std::find(std::begin(known), std::end(known), &node.op()) != std::end(known);
}

// The quantize whose scale and zero point a value of a dynamic type has; bytes moved by shape ops keep them
// only if one scale serves the whole tensor.
const Node* dynamic_quantizer(const Value* value) {
  for (int steps = 0; steps < kMaxDepth && value != nullptr && value->def() != nullptr; ++steps) {
    const Node& def = *value->def();
    if (def.is(ops::quantize)) return &def;
    const bool moves = def.op().trait == Trait::ShapeOnly && value->type().quant != nullptr &&
                       value->type().quant->per_tensor();
    if (!moves) return nullptr;
    value = def.operand(0);
  }
  return nullptr;
}

bool moves_bytes(Trait trait) {
  return trait == Trait::ShapeOnly || trait == Trait::Quantizer || trait == Trait::Structural;
}

}  // namespace

Context& OperandSources::scratch() {
  if (scratch_ == nullptr) scratch_ = std::make_unique<Context>();
  return *scratch_;
}

std::optional<OperandSources::Backing> OperandSources::dequantized(const Node& node) {
  const Type& type = node.operand(0)->type();
  Backing b;
  if (type.quant->per_tensor() && type.quant->scales == nullptr) b.whole = type.quant;
  if (const auto shape = static_shape(type)) {
    if (auto carried = CarriedQuant::of(scratch(), *type.quant, *shape); carried.ok())
      b.carried = std::move(*carried);
  }
  if (b.whole == nullptr && !b.carried) return std::nullopt;
  return b;
}

// Extents are known: the op's map carries the parameters along.
std::optional<OperandSources::Backing> OperandSources::through_map(const Value& value, int depth) {
  const Node& node = *value.def();
  const auto map = shape_map_of(MapEnv(node));
  if (!map.ok() || value.index() >= map->results.size()) return std::nullopt;
  const MapResult& result = map->results[value.index()];
  std::vector<const CarriedQuant*> carried(node.operand_count());
  Backing b;
  for (const MapPart& part : result.parts) {
    const Value* operand = node.operand(part.operand);
    const Backing* own = operand == nullptr ? nullptr : backing(*operand, depth + 1);
    if (own == nullptr || !own->carried) return std::nullopt;
    carried[part.operand] = &*own->carried;
    if (result.parts.size() == 1 && !result.pads()) b.whole = own->whole;
  }
  auto moved = CarriedQuant::mapped(result, carried);
  if (!moved.ok()) return std::nullopt;
  b.carried = std::move(*moved);
  if (result.pads()) {
    auto written = b.carried->write(scratch());
    if (!written.ok()) return std::nullopt;
    b.padded = *written;
  }
  return b;
}

// Extents are symbols: one quantization of a whole tensor goes through any op that only moves it.
std::optional<OperandSources::Backing> OperandSources::through_symbolic(const Value& value, int depth) {
  const Node& node = *value.def();
  if (!only_moves_first_operand(node) || node.operand(0) == nullptr) return std::nullopt;
  const Backing* own = backing(*node.operand(0), depth + 1);
  if (own == nullptr || own->whole == nullptr) return std::nullopt;
  Backing b;
  b.whole = own->whole;
  return b;
}

const OperandSources::Backing* OperandSources::backing(const Value& value, int depth) {
  if (const auto found = backings_.find(&value); found != backings_.end())
    return found->second ? &*found->second : nullptr;
  std::optional<Backing> b;
  const Node* def = value.def();
  if (def != nullptr && depth < kMaxDepth) {
    if (is_static_dequantize(*def)) {
      b = dequantized(*def);
    } else if (is_shape_op(*def)) {
      b = through_map(value, depth);
      if (!b) b = through_symbolic(value, depth);
    }
  }
  auto& kept = backings_[&value] = std::move(b);
  return kept ? &*kept : nullptr;
}

// The nodes between the dequantizes and the value, and what they read. False if there are too many.
bool OperandSources::collect(const Value& value, MovedIntegers* into) {
  std::vector<const Value*> open{&value};
  while (!open.empty()) {
    const Value& next = *open.back();
    open.pop_back();
    const Node& node = *next.def();
    const Backing* b = backing(next, 0);
    if (is_static_dequantize(node)) {
      into->reads.push_back(node.operand(0));
      continue;
    }
    if (b != nullptr && b->padded != nullptr) into->padded[&next] = b->padded;
    if (std::find(into->nodes.begin(), into->nodes.end(), &node) != into->nodes.end()) continue;
    if (into->nodes.size() >= kMaxNodes) return false;
    into->nodes.push_back(&node);
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Value* operand = node.operand(i);
      if (operand == nullptr) continue;
      if (backing(*operand, 0) != nullptr) open.push_back(operand);
      else into->reads.push_back(operand);
    }
  }
  std::sort(into->nodes.begin(), into->nodes.end(),
            [](const Node* a, const Node* b) { return a->order() < b->order(); });
  return true;
}

const MovedIntegers* OperandSources::moved(const Value& value) {
  if (const auto found = moved_.find(&value); found != moved_.end()) return found->second;
  const MovedIntegers* result = nullptr;
  const Backing* b = backing(value, 0);
  if (b != nullptr) {
    MovedIntegers m;
    m.value = &value;
    m.quant = b->whole;
    if (m.quant == nullptr) {
      CarriedQuant carried = *b->carried;
      if (auto written = carried.write(scratch()); written.ok()) m.quant = *written;
    }
    if (m.quant != nullptr && collect(value, &m)) result = &moved_storage_.emplace_back(std::move(m));
  }
  moved_[&value] = result;
  return result;
}

OperandSource OperandSources::find(const Node& node, size_t index) {
  OperandSource s;
  s.data = node.operand(index);
  if (s.data == nullptr) return s;
  const Node* def = s.data->def();
  if (reading_ == Reading::ThroughDequantize && node.op().trait == Trait::Affine && def != nullptr) {
    if (def->is(ops::dequantize)) {
      s.data = def->operand(0);
      s.quant = s.data->type().quant;
      s.scale = def->operand(1);
      s.zero_point = def->operand(2);
      return s;
    }
    if (is_shape_op(*def) && !s.data->type().is_quantized()) {
      s.moved = moved(*s.data);
      if (s.moved != nullptr) {
        s.data = nullptr;
        s.quant = s.moved->quant;
        return s;
      }
    }
  }
  s.quant = s.data->type().quant;
  if (s.quant != nullptr && s.quant->dynamic && !moves_bytes(node.op().trait)) {
    if (const Node* quantizer = dynamic_quantizer(s.data)) {
      s.scale = quantizer->operand(1);
      s.zero_point = quantizer->operand(2);
    }
  }
  return s;
}

const OperandSource& OperandSources::of(const Node& node, size_t index) {
  auto [found, fresh] = sources_.try_emplace(&node);
  if (fresh) {
    std::vector<OperandSource> sources;
    for (size_t i = 0; i < node.operand_count(); ++i) sources.push_back(find(node, i));
    found = sources_.find(&node);
    found->second = std::move(sources);
  }
  return found->second[index];
}

}  // namespace zp::interp
