// The elements of chains: maps are carried out on views where they can be, and on bytes where they must; what
// is made is shared between chains with the same elements.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "passes/shape/chains.h"
#include "support/mapped_file.h"

namespace zp::shape {

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

// One operand, and no padding anywhere: a view moves.
Status Chains::move_alone(Chain& chain, Chain& from) {
  std::unique_ptr<Chain::Moved> own;
  if (from.readers == 0 || --from.readers > 0) own = std::make_unique<Chain::Moved>(*from.moved);
  else own = std::move(from.moved);
  const std::byte* before = own->elements.storage.data();
  ZP_TRY(own->elements, move_view(std::move(own->elements), chain.map->parts.front().steps, nullptr));
  ZP_TRY(own->elements, move_view(std::move(own->elements), chain.map->steps, nullptr));
  if (own->viewed != nullptr && own->elements.storage.data() != before)
    ZP_CHECK(check_read(std::exchange(own->viewed, nullptr)));
  chain.moved = std::move(own);
  return {};
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
  const MapResult& map = *chain.map;
  const bool pads = map.pads();
  if (!pads && map.parts.size() == 1) {
    Chain& from = *chain.operands[map.parts.front().operand];
    if (from.dtype == chain.dtype && !from.moved->mask) return move_alone(chain, from);
  }
  Chain::Moved out;
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
