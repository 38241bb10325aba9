// Attributes of the text form: {stride: [2,2], eps: 1e-05, mode: "same", dtype: f32, act_max: none}.
#include <fmt/format.h>

#include "ir/parser_impl.h"
#include "support/text_format.h"

namespace zp {

namespace {

constexpr size_t kMaxList = 1 << 20;

// Reads values of the C++ type of a field; one overload for each kind of value.
class ValueReader {
 public:
  ValueReader(TextCursor& cursor, Context& context) : cursor_(cursor), context_(context) {}

  Status read(int64_t* v) {
    ZP_TRY(*v, cursor_.integer("an integer"));
    return {};
  }
  Status read(double* v) {
    ZP_TRY(*v, cursor_.real("a number"));
    return {};
  }
  Status read(bool* v) {
    *v = cursor_.accept("true");
    if (!*v && !cursor_.accept("false")) return cursor_.wanted("true or false");
    return {};
  }
  Status read(std::string_view* v) {
    ZP_TRY(const std::string text, cursor_.quoted("a quoted text"));
    *v = context_.text(text);
    return {};
  }
  Status read(Number* v) {
    if (cursor_.looking_at("true") || cursor_.looking_at("false")) {
      bool b = false;
      ZP_CHECK(read(&b));
      *v = Number::of_bool(b);
      return {};
    }
    const auto place = cursor_.place();
    ZP_TRY(const auto number, cursor_.number("a number, true or false"));
    cursor_.reset(place);
    if (number.is_float) {
      double d = 0;
      ZP_CHECK(read(&d));
      *v = Number::of_float(d);
    } else {
      int64_t i = 0;
      ZP_CHECK(read(&i));
      *v = Number::of_int(i);
    }
    return {};
  }
  template <typename T>
  Status read(List<T>* v, const auto& read_one) {
    ZP_CHECK(cursor_.expect("["));
    std::vector<T> items;
    while (!cursor_.accept("]")) {
      if (!items.empty()) ZP_CHECK(cursor_.expect(","));
      if (items.size() == kMaxList)
        return cursor_.error(fmt::format("more than {} entries in a list", kMaxList));
      T item{};
      ZP_CHECK(read_one(&item));
      items.push_back(item);
    }
    *v = context_.arena().copy(items);
    return {};
  }
  template <typename T>
  Status read(List<T>* v) {
    return read(v, [this](T* item) { return read(item); });
  }
  // `none`, or what `read_one` reads.
  template <typename T>
  Status read(std::optional<T>* v, const auto& read_one) {
    v->reset();
    if (cursor_.accept("none")) return {};
    T value{};
    ZP_CHECK(read_one(&value));
    *v = value;
    return {};
  }
  template <typename T>
  Status read(std::optional<T>* v) {
    return read(v, [this](T* value) { return read(value); });
  }

 private:
  TextCursor& cursor_;
  Context& context_;
};

}  // namespace

Status TextParser::attribute(const AttrField& field, void* attrs) {
  ValueReader reader(cursor_, context_);
  const auto plain = [&]<typename T>(std::type_identity<T>) {
    return reader.read(&attr_ref<T>(attrs, field));
  };
  const auto read_dim = [this](Dim* d) -> Status {
    ZP_TRY(*d, dim());
    return {};
  };
  const auto read_dtype = [this](DType* d) -> Status {
    ZP_TRY(*d, dtype());
    return {};
  };
  const auto read_dims = [&](List<Dim>* list) { return reader.read(list, read_dim); };
  switch (field.kind) {
    case AttrKind::Int: return plain(std::type_identity<int64_t>());
    case AttrKind::Float: return plain(std::type_identity<double>());
    case AttrKind::Bool: return plain(std::type_identity<bool>());
    case AttrKind::String: return plain(std::type_identity<std::string_view>());
    case AttrKind::Number: return plain(std::type_identity<Number>());
    case AttrKind::Ints: return plain(std::type_identity<List<int64_t>>());
    case AttrKind::Floats: return plain(std::type_identity<List<double>>());
    case AttrKind::Strings: return plain(std::type_identity<List<std::string_view>>());
    case AttrKind::OptInt: return plain(std::type_identity<std::optional<int64_t>>());
    case AttrKind::OptFloat: return plain(std::type_identity<std::optional<double>>());
    case AttrKind::OptBool: return plain(std::type_identity<std::optional<bool>>());
    case AttrKind::OptNumber: return plain(std::type_identity<std::optional<Number>>());
    case AttrKind::OptFloats: return plain(std::type_identity<std::optional<List<double>>>());
    case AttrKind::Dim: return read_dim(&attr_ref<Dim>(attrs, field));
    case AttrKind::DType: return read_dtype(&attr_ref<DType>(attrs, field));
    case AttrKind::Dims: return read_dims(&attr_ref<List<Dim>>(attrs, field));
    case AttrKind::OptDType: return reader.read(&attr_ref<std::optional<DType>>(attrs, field), read_dtype);
    case AttrKind::OptDim: return reader.read(&attr_ref<std::optional<Dim>>(attrs, field), read_dim);
    case AttrKind::OptDims: return reader.read(&attr_ref<std::optional<List<Dim>>>(attrs, field), read_dims);
    case AttrKind::Quant: break;
  }
  const QuantType** quant = &attr_ref<const QuantType*>(attrs, field);
  *quant = nullptr;
  if (cursor_.accept("none")) return {};
  ZP_TRY(*quant, quant_or_alias());
  return {};
}

Status TextParser::attributes(const OpDef& op, void* attrs, bool* type_given) {
  ZP_CHECK(cursor_.expect("{"));
  std::vector<std::string_view> seen;
  while (!cursor_.accept("}")) {
    if (!seen.empty()) ZP_CHECK(cursor_.expect(","));
    const Place place = cursor_.place();
    ZP_TRY(const std::string_view name, cursor_.word("the name of an attribute"));
    const AttrField* field = op.attrs != nullptr ? op.attrs->find(name) : nullptr;
    if (field == nullptr) {
      std::vector<std::string_view> known;
      std::string list;
      for (const AttrField& f : op.attrs != nullptr ? op.attrs->fields : List<AttrField>()) {
        known.push_back(f.name);
        list += (list.empty() ? "" : ", ") + std::string(f.name);
      }
      std::string hint = suggestion(name, known);
      if (hint.empty()) hint = list.empty() ? "; it has none" : "; it has " + list;
      return cursor_.error_at(place, fmt::format("{} has no attribute '{}'{}", op.name, name, hint));
    }
    for (std::string_view other : seen)
      if (other == name) return cursor_.error_at(place, fmt::format("attribute '{}' is given twice", name));
    seen.push_back(field->name);
    ZP_CHECK(cursor_.expect(":"));
    ZP_CHECK(attribute(*field, attrs));
    if (name == "type") *type_given = true;
  }
  return {};
}

}  // namespace zp
