// Types in the text form: `f32[1,8,s0]`, `u8(0.05, 3)[1,8]`, `i8<-127:127>(axis 0: @w.scale)[8,3]`,
// `#w[8,3]`, `int = 2*s0`, `token`.
#include <fmt/format.h>

#include "ir/dim_text.h"
#include "ir/parser_impl.h"
#include "ir/text_form.h"
#include "support/text_format.h"

namespace zp {

namespace {

std::vector<std::string_view> type_words() {
  std::vector<std::string_view> words;
  for (int i = 1; i < kDTypeCount; ++i) words.push_back(dtype_name(static_cast<DType>(i)));
  for (TypeKind k : {TypeKind::Int, TypeKind::Float, TypeKind::None, TypeKind::Token, TypeKind::Object})
    words.push_back(text_form::type_kind_word(k));
  return words;
}

constexpr int64_t kMaxRank = 64;

}  // namespace

Result<DType> TextParser::dtype() {
  const Place place = cursor_.place();
  ZP_TRY(const std::string_view word, cursor_.word("a dtype"));
  if (const auto dtype = dtype_from_name(word)) return *dtype;
  if (word == dtype_name(DType::Unknown)) return DType::Unknown;
  const std::vector<std::string_view> words = type_words();
  return cursor_.error_at(place, fmt::format("unknown dtype '{}'{}", word, suggestion(word, words)));
}

Result<Dim> TextParser::dim() { return read_dim(cursor_, context_.dims(), true); }

// [1,3,s0] | [?,2] | [*]
Result<std::vector<Dim>> TextParser::shape(bool* ranked) {
  ZP_CHECK(cursor_.expect("["));
  std::vector<Dim> dims;
  *ranked = true;
  if (cursor_.accept("*")) {
    *ranked = false;
    ZP_CHECK(cursor_.expect("]"));
    return dims;
  }
  while (!cursor_.accept("]")) {
    if (!dims.empty()) ZP_CHECK(cursor_.expect(","));
    const Place place = cursor_.place();
    ZP_TRY(const Dim d, dim());
    if (d.is_known() && d.value() < 0)
      return cursor_.error_at(place, fmt::format("dimension {} is negative", d.value()));
    if (dims.size() == kMaxRank)
      return cursor_.error_at(place, fmt::format("more than {} dimensions", kMaxRank));
    dims.push_back(d);
  }
  return dims;
}

Result<TextParser::Annotation> TextParser::annotation() {
  Annotation a;
  a.place = cursor_.place();
  const Place place = a.place;
  if (cursor_.peek() == '#') {
    ZP_TRY(a.type.quant, quant_or_alias());
    a.type.dtype = a.type.quant->storage;
  } else {
    ZP_TRY(const std::string_view word, cursor_.word("a type"));
    for (TypeKind kind : {TypeKind::Int, TypeKind::Float, TypeKind::Bool, TypeKind::None, TypeKind::Token,
                          TypeKind::Object}) {
      if (word != text_form::type_kind_word(kind) || (kind == TypeKind::Bool && cursor_.raw() == '['))
        continue;
      a.type.kind = kind;
      if (cursor_.accept_inline("=")) { ZP_TRY(a.type.value, dim()); }
      return a;
    }
    cursor_.reset(place);
    ZP_TRY(a.type.dtype, dtype());
    const int next = cursor_.raw();
    if (next == '(' || next == '<' || next == ':') {
      ZP_TRY(const QuantType quant, quantization(a.type.dtype));
      a.type.quant = context_.quant(quant);
    }
  }
  if (cursor_.raw() == '[') {
    ZP_TRY(const std::vector<Dim> dims, shape(&a.type.ranked));
    a.type.shape = context_.arena().copy(dims);
  } else {
    a.shaped = false;
    a.type.ranked = false;
  }
  return a;
}

Result<const Type*> TextParser::full_type(std::string_view what) {
  ZP_TRY(const Annotation a, annotation());
  if (!a.shaped)
    return cursor_.error_at(a.place,
                            fmt::format("the type of {} needs a shape, as in {}", what, a.type.str()));
  return context_.type(a.type);
}

Result<const QuantType*> TextParser::quant_or_alias() {
  const Place place = cursor_.place();
  if (cursor_.peek() == '#') {
    ZP_TRY(const std::string name, sigil_name('#', "a type"));
    if (const auto found = aliases_.find(name); found != aliases_.end()) return found->second;
    std::vector<std::string_view> known;
    for (const auto& [other, quant] : aliases_) known.push_back(other);
    return cursor_.error_at(place,
                            "type '#" + name_text(name) + "' is not declared" + suggestion(name, known));
  }
  ZP_TRY(const DType storage, dtype());
  ZP_TRY(const QuantType quant, quantization(storage));
  return context_.quant(quant);
}

// After the storage: [<LO:HI>] [:EXPRESSED] ( SCALE [, ZERO POINT] )
Result<QuantType> TextParser::quantization(DType storage) {
  QuantType q;
  const Place start = cursor_.place();
  q.storage = storage;
  if (is_integer(storage)) {
    q.qmin = int_min(storage);
    q.qmax = int_max(storage);
  } else if (!is_float(storage) || bits_of(storage) > 8) {
    return cursor_.error_at(start, fmt::format("{} cannot hold quantized values", dtype_name(storage)));
  }
  if (cursor_.accept("<")) {
    const Place place = cursor_.place();
    ZP_TRY(q.qmin, cursor_.integer("the least quantized value"));
    ZP_CHECK(cursor_.expect(":"));
    ZP_TRY(q.qmax, cursor_.integer("the largest quantized value"));
    ZP_CHECK(cursor_.expect(">"));
    if (q.qmin > q.qmax) return cursor_.error_at(place, fmt::format("empty range {}:{}", q.qmin, q.qmax));
  }
  if (cursor_.accept(":")) { ZP_TRY(q.expressed, dtype()); }
  ZP_CHECK(cursor_.expect("("));
  ZP_CHECK(quant_scale(&q));
  if (cursor_.accept(",")) ZP_CHECK(quant_zero_point(&q));
  ZP_CHECK(cursor_.expect(")"));
  return q;
}

// axis N | block [A,B,*]
Status TextParser::quant_grid(QuantType* q) {
  const Place place = cursor_.place();
  if (cursor_.accept("axis")) {
    ZP_TRY(const int64_t axis, cursor_.integer("the number of an axis"));
    if (axis < 0 || axis >= kMaxRank)
      return cursor_.error_at(place, fmt::format("axis {} is not in 0..{}", axis, kMaxRank - 1));
    q->axis = static_cast<int32_t>(axis);
  } else if (cursor_.accept("block")) {
    ZP_CHECK(cursor_.expect("["));
    std::vector<int64_t> block;
    do {
      int64_t extent = 0;
      const Place at = cursor_.place();
      if (!cursor_.accept("*")) {
        ZP_TRY(extent, cursor_.integer("the extent of a block, or '*'"));
        if (extent <= 0) return cursor_.error_at(at, fmt::format("block extent {} is not positive", extent));
      }
      if (static_cast<int64_t>(block.size()) == kMaxRank)
        return cursor_.error_at(at, "the block has too many dimensions");
      block.push_back(extent);
    } while (cursor_.accept(","));
    ZP_CHECK(cursor_.expect("]"));
    q->block = context_.arena().copy(block);
  }
  return {};
}

// dynamic[:DTYPE] [GRID] | [GRID:] @scales[:DTYPE] | NUMBER[:DTYPE]
Status TextParser::quant_scale(QuantType* q) {
  q->dynamic = cursor_.accept("dynamic");
  if (!q->dynamic) {
    ZP_CHECK(quant_grid(q));
    if (!q->per_tensor()) ZP_CHECK(cursor_.expect(":"));
    if (cursor_.peek() == '@') {
      ZP_TRY(q->scales, constant_reference());
      q->scale_dtype = q->scales->dtype;
    } else if (!q->per_tensor()) {
      return cursor_.wanted("the constant that holds the scales (@name)");
    } else {
      ZP_TRY(q->scale, cursor_.real("a scale, @scales, axis, block or dynamic"));
    }
  }
  if (cursor_.accept(":")) { ZP_TRY(q->scale_dtype, dtype()); }
  if (q->dynamic) ZP_CHECK(quant_grid(q));
  return {};
}

// NUMBER | @zero_points | float [NUMBER | @zero_points] | none
Status TextParser::quant_zero_point(QuantType* q) {
  if (cursor_.accept("none")) {
    q->domain = ZeroPointDomain::None;
    return {};
  }
  if (cursor_.accept("float")) q->domain = ZeroPointDomain::Float;
  if (cursor_.peek() == '@') {
    ZP_TRY(q->zero_points, constant_reference());
    return {};
  }
  if (q->domain == ZeroPointDomain::Float && cursor_.peek() == ')') return {};
  const Place place = cursor_.place();
  ZP_TRY(const auto number, cursor_.number("a zero point"));
  if (q->dynamic || q->scales != nullptr)
    return cursor_.error_at(place, "a number is the zero point of one scale only; wanted @zero_points");
  if (number.is_float && q->domain == ZeroPointDomain::Integer) {
    return cursor_.error_at(
        place, fmt::format("zero point {} is no integer; write `float {}` if it is a real number",
                           number.text, number.text));
  }
  if (!read_number(number.text, &q->zero_point))
    return cursor_.error_at(place, fmt::format("'{}' does not fit in a double", number.text));
  return {};
}

}  // namespace zp
