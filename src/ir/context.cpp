// Interning of types and quantizations, and the table of constants.
#include <bit>
#include <cassert>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace zp {

int64_t Type::elements() const {
  int64_t count = 1;
  for (const Dim& d : shape) {
    if (!d.is_known()) return -1;
    if (d.value() != 0 && count > (int64_t{1} << 62) / d.value()) return -1;
    count *= d.value();
  }
  return ranked ? count : -1;
}

namespace {

size_t mix(size_t h, size_t v) { return (h ^ v) * 0x9E3779B97F4A7C15ull + (h >> 29); }

struct QuantHash {
  size_t operator()(const QuantType* q) const {
    size_t h = static_cast<size_t>(q->storage) | static_cast<size_t>(q->expressed) << 8 |
               static_cast<size_t>(q->domain) << 16 | static_cast<size_t>(q->dynamic) << 24 |
               static_cast<size_t>(q->scale_dtype) << 32;
    h = mix(h, static_cast<size_t>(q->qmin));
    h = mix(h, static_cast<size_t>(q->qmax));
    h = mix(h, static_cast<size_t>(q->axis));
    for (int64_t b : q->block) h = mix(h, static_cast<size_t>(b));
    h = mix(h, std::bit_cast<uint64_t>(q->scale));
    h = mix(h, std::bit_cast<uint64_t>(q->zero_point));
    h = mix(h, reinterpret_cast<size_t>(q->scales));
    return mix(h, reinterpret_cast<size_t>(q->zero_points));
  }
};
struct QuantEqual {
  bool operator()(const QuantType* a, const QuantType* b) const { return *a == *b; }
};

struct TypeHash {
  size_t operator()(const Type* t) const {
    size_t h = static_cast<size_t>(t->kind) | static_cast<size_t>(t->dtype) << 8 |
               static_cast<size_t>(t->ranked) << 16;
    for (const Dim& d : t->shape)
      h = mix(mix(h, static_cast<size_t>(d.value())), reinterpret_cast<size_t>(d.expr()));
    h = mix(h, reinterpret_cast<size_t>(t->quant));
    return mix(mix(h, static_cast<size_t>(t->value.value())), reinterpret_cast<size_t>(t->value.expr()));
  }
};
struct TypeEqual {
  bool operator()(const Type* a, const Type* b) const { return *a == *b; }
};

}  // namespace

struct Context::Interner {
  std::unordered_set<const Type*, TypeHash, TypeEqual> types;
  std::unordered_set<const QuantType*, QuantHash, QuantEqual> quants;
  std::unordered_map<std::string_view, uint32_t>
      suffixes;  // last used with a constant's name: thousands share one
};

Context::Context() : interner_(std::make_unique<Interner>()) {}

Context::~Context() {
  // Constants live in the arena, yet own their storage.
  for (Constant* c : constants_) c->~Constant();
}

const Type* Context::type(const Type& type) {
  if (auto found = interner_->types.find(&type); found != interner_->types.end()) return *found;
  Type* copy = arena_.make<Type>(type);
  copy->shape = arena_.copy(std::span<const Dim>(type.shape));
  interner_->types.insert(copy);
  return copy;
}

const Type* Context::tensor(DType dtype, std::span<const Dim> shape) {
  Type t;
  t.dtype = dtype;
  t.shape = Shape(shape.data(), shape.size());
  return type(t);
}

const Type* Context::tensor(DType dtype, std::span<const int64_t> shape) {
  const std::vector<Dim> dims(shape.begin(), shape.end());
  return tensor(dtype, std::span<const Dim>(dims));
}

const Type* Context::unranked(DType dtype) {
  Type t;
  t.dtype = dtype;
  t.ranked = false;
  return type(t);
}

const Type* Context::quantized(const QuantType& quant, std::span<const Dim> shape) {
  Type t;
  t.dtype = quant.storage;
  t.shape = Shape(shape.data(), shape.size());
  t.quant = this->quant(quant);
  return type(t);
}

const Type* Context::with_shape(const Type& like, std::span<const Dim> shape) {
  Type t = like;
  t.ranked = true;
  t.shape = Shape(shape.data(), shape.size());
  return type(t);
}

const Type* Context::with_element(const Type& like, DType dtype) {
  Type t = like;
  t.dtype = dtype;
  t.quant = nullptr;
  return type(t);
}

const Type* Context::with_quant(const Type& like, const QuantType& quant) {
  Type t = like;
  t.dtype = quant.storage;
  t.quant = this->quant(quant);
  return type(t);
}

const Type* Context::scalar(TypeKind kind, Dim value) {
  Type t;
  t.kind = kind;
  t.value = value;
  return type(t);
}

const QuantType* Context::quant(const QuantType& quant) {
  if (auto found = interner_->quants.find(&quant); found != interner_->quants.end()) return *found;
  QuantType* copy = arena_.make<QuantType>(quant);
  copy->block = arena_.copy(std::span<const int64_t>(quant.block));
  interner_->quants.insert(copy);
  return copy;
}

List<Dim> Context::dims_of(std::span<const int64_t> values) {
  const std::vector<Dim> dims(values.begin(), values.end());
  return arena_.copy(dims);
}

Constant* Context::add_constant(Constant constant) {
  std::string name(constant.name.empty() ? "constant" : constant.name);
  if (constants_by_name_.contains(name)) {
    uint32_t& next = interner_->suffixes[arena_.intern(name)];
    std::string candidate;
    do candidate = name + "." + std::to_string(++next);
    while (constants_by_name_.contains(candidate));
    name = std::move(candidate);
  }
  constant.name = arena_.intern(name);
  constant.shape = arena_.copy(std::span<const int64_t>(constant.shape));
  constant.strides = arena_.copy(std::span<const int64_t>(constant.strides));
  Constant* stored = arena_.make<Constant>(std::move(constant));
  constants_.push_back(stored);
  constants_by_name_.emplace(stored->name, stored);
  return stored;
}

void Context::reserve_constants(size_t count) {
  constants_.reserve(constants_.size() + count);
  constants_by_name_.reserve(constants_by_name_.size() + count);
}

const Constant* Context::find_constant(std::string_view name) const {
  const auto found = constants_by_name_.find(name);
  return found == constants_by_name_.end() ? nullptr : found->second;
}

const Constant* Context::make_constant(std::string_view name, DType dtype, std::span<const int64_t> shape,
                                       Blob bytes, ConstantKind kind) {
  Constant c;
  c.name = name;
  c.kind = kind;
  c.dtype = dtype;
  c.shape = List<int64_t>(shape.data(), shape.size());
  c.storage = std::move(bytes);
  assert(static_cast<int64_t>(c.storage.size()) >= c.bytes());
  return add_constant(std::move(c));
}

}  // namespace zp
