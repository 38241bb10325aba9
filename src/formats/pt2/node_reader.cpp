#include "formats/pt2/node_reader.h"

#include <fmt/format.h>

#include <limits>

#include "ops/ops.h"

namespace zp::pt2 {
namespace {

const Arg kAbsent{};

Number number_of(const Arg& arg) {
  if (arg.tag == ArgTag::Float) return Number::of_float(arg.f);
  if (arg.tag == ArgTag::Bool) return Number::of_bool(arg.b);
  return Number::of_int(arg.i);
}

bool is_number(ArgTag tag) { return tag == ArgTag::Int || tag == ArgTag::Float || tag == ArgTag::Bool; }

}  // namespace

// --- arguments
// ----------------------------------------------------------------------------------------------------

const Arg* NodeReader::given(const ArgSpec& spec) const {
  for (const NamedArg& named : data_.inputs)
    if (named.name == spec.name) return &named.arg;
  const auto position = static_cast<size_t>(&spec - row_->args.data());
  if (position < data_.inputs.size() && data_.inputs[position].name.empty())
    return &data_.inputs[position].arg;
  return nullptr;
}

// The schema's default as an argument.
Arg NodeReader::default_arg(const ArgSpec& spec) {
  Arg arg;
  const Literal literal = parse_literal(spec.default_text, spec.kind);
  switch (literal.kind) {
    case Literal::None: arg.tag = ArgTag::None; break;
    case Literal::Bool:
      arg.tag = ArgTag::Bool;
      arg.b = literal.b;
      break;
    case Literal::Float:
      arg.tag = ArgTag::Float;
      arg.f = literal.f;
      break;
    case Literal::Int:
      arg.tag = ArgTag::Int;
      arg.i = literal.i;
      break;
    case Literal::String:
      if (spec.kind == ArgKind::DType) {
        arg.tag = ArgTag::ScalarType;
        arg.i = serialized_dtype(dtype_from_name(literal.s).value_or(DType::Unknown));
      } else {
        arg.tag = ArgTag::String;
        arg.text = literal.s;
      }
      break;
    case Literal::List: {
      arg.tag = ArgTag::Ints;
      std::vector<Arg> items;
      for (const Literal& item : literal.items) {
        Arg& a = items.emplace_back();
        a.tag = ArgTag::Int;
        a.i = item.i;
      }
      arg.items = context().arena().copy(items);
      break;
    }
  }
  return arg;
}

const Arg& NodeReader::arg(std::string_view name) {
  const ArgSpec* spec = row_->find(name);
  if (spec == nullptr) return kAbsent;
  if (const Arg* found = given(*spec)) return *found;
  if (!spec->has_default) return kAbsent;
  for (auto& [known, value] : defaults_)
    if (known == spec) return value;
  defaults_.reserve(32);  // references to elements are handed out
  defaults_.emplace_back(spec, default_arg(*spec));
  return defaults_.back().second;
}

Result<Value*> NodeReader::tensor(std::string_view name, bool plain) {
  const Arg& a = arg(name);
  if (a.tag == ArgTag::None || a.tag == ArgTag::Absent) {
    const ArgSpec* spec = row_->find(name);
    if (spec != nullptr && spec->optional) return static_cast<Value*>(nullptr);
    return Error("pt2.argument", fmt::format("argument '{}' is missing", name));
  }
  if (a.tag == ArgTag::Tensor) return graph_.value_of(a.value, plain);
  if (is_number(a.tag)) {
    const Number n = number_of(a);
    return graph_.literal(n, n.kind == Number::Float  ? DType::F32
                             : n.kind == Number::Bool ? DType::Bool
                                                      : DType::I64);
  }
  return Error("pt2.argument",
               fmt::format("argument '{}' is {}, a tensor is wanted", name, arg_tag_name(a.tag)));
}

Result<std::vector<Value*>> NodeReader::tensors(std::string_view name) {
  std::vector<Value*> values;
  const Arg& a = arg(name);
  if (a.tag == ArgTag::None || a.tag == ArgTag::Absent) return values;
  if (a.tag != ArgTag::Tensors && a.tag != ArgTag::OptionalTensors && !(a.is_list() && a.items.empty())) {
    return Error("pt2.argument",
                 fmt::format("argument '{}' is {}, a list of tensors is wanted", name, arg_tag_name(a.tag)));
  }
  for (const Arg& item : a.items) {
    if (item.tag == ArgTag::None) {
      values.push_back(nullptr);
      continue;
    }
    ZP_TRY(Value * value, graph_.value_of(item.value, true));
    values.push_back(value);
  }
  return values;
}

std::optional<Dim> NodeReader::dim_of(const Arg& a) {
  if (a.tag == ArgTag::Int) return Dim(a.i);
  if (a.tag == ArgTag::Bool) return Dim(a.b ? 1 : 0);
  if (a.tag != ArgTag::SymInt) return std::nullopt;
  const Dim dim = graph_.dim_of_name(a.value);
  return dim.is_unknown() ? std::nullopt : std::optional<Dim>(dim);
}

std::optional<Dim> NodeReader::dim(std::string_view name) { return dim_of(arg(name)); }

std::optional<int64_t> NodeReader::integer(std::string_view name) {
  const auto d = dim(name);
  return d && d->is_known() ? std::optional<int64_t>(d->value()) : std::nullopt;
}

std::optional<double> NodeReader::real(std::string_view name) {
  const Arg& a = arg(name);
  if (!is_number(a.tag)) return std::nullopt;
  return number_of(a).as_double();
}

std::optional<bool> NodeReader::boolean(std::string_view name) {
  const Arg& a = arg(name);
  if (a.tag == ArgTag::Bool) return a.b;
  return a.tag == ArgTag::Int ? std::optional<bool>(a.i != 0) : std::nullopt;
}

std::optional<DType> NodeReader::dtype(std::string_view name) {
  const Arg& a = arg(name);
  if (a.tag != ArgTag::ScalarType && a.tag != ArgTag::Int) return std::nullopt;
  const DType d = dtype_of_serialized(a.i);
  return d == DType::Unknown ? std::nullopt : std::optional<DType>(d);
}

std::optional<std::vector<Dim>> NodeReader::dim_list(std::string_view name) {
  const Arg& a = arg(name);
  std::vector<Dim> dims;
  if (!a.is_list()) {
    const auto d = dim_of(a);
    if (!d) return std::nullopt;
    const ArgSpec* spec = row_->find(name);
    dims.assign(static_cast<size_t>(spec != nullptr && spec->fixed_size > 0 ? spec->fixed_size : 1), *d);
    return dims;
  }
  for (const Arg& item : a.items) {
    const auto d = dim_of(item);
    if (!d) return std::nullopt;
    dims.push_back(*d);
  }
  return dims;
}

std::optional<std::vector<int64_t>> NodeReader::int_list(std::string_view name) {
  const auto dims = dim_list(name);
  if (!dims) return std::nullopt;
  std::vector<int64_t> ints;
  for (const Dim& d : *dims) {
    if (!d.is_known()) return std::nullopt;
    ints.push_back(d.value());
  }
  return ints;
}

// --- making nodes
// -------------------------------------------------------------------------------------------------

const OpDef* NodeReader::card(std::string_view name) { return ops::table().find(name); }

Result<Node*> NodeReader::make(const AttrBuilder& attrs, std::span<Value* const> operands, size_t results,
                               bool aux) {
  std::string_view name = graph_.origin_->name;
  std::string aux_name;
  if (aux) name = aux_name = fmt::format("{}_{}", name, attrs.op().name);
  Node* node = graph_.make_node(attrs.op(), operands, attrs.data(), results, name);
  if (!aux || main_ == nullptr) main_ = node;
  return node;
}

size_t NodeReader::result_count() const {
  size_t count = 0;
  for (const Arg& out : data_.outputs) count += out.tag == ArgTag::Tensors ? out.items.size() : 1;
  return count;
}

void NodeReader::bind(size_t k, Value* value) {
  if (k == 0) bound_ = value;
  for (const Arg& out : data_.outputs) {
    const size_t here = out.tag == ArgTag::Tensors ? out.items.size() : 1;
    if (k >= here) {
      k -= here;
      continue;
    }
    const Arg& named = out.tag == ArgTag::Tensors ? out.items[k] : out;
    if (named.tag == ArgTag::Tensor) graph_.bind_result(named.value, value);
    return;
  }
}

bool NodeReader::result_used(size_t k) const {
  for (const Arg& out : data_.outputs) {
    const size_t here = out.tag == ArgTag::Tensors ? out.items.size() : 1;
    if (k >= here) {
      k -= here;
      continue;
    }
    const Arg& named = out.tag == ArgTag::Tensors ? out.items[k] : out;
    return named.tag == ArgTag::Tensor && graph_.is_read(named.value);
  }
  return false;
}

bool NodeReader::bind_all(Node* node) {
  const size_t wanted = result_count();
  for (size_t k = node->result_count(); k < wanted; ++k) {
    if (!result_used(k)) continue;
    why_ = fmt::format("its result {} is read, {} has {}", k, node->op().name, node->result_count());
    return false;
  }
  for (size_t k = 0; k < node->result_count(); ++k) bind(k, node->result(k));
  return true;
}

// --- rows
// ---------------------------------------------------------------------------------------------------------

Result<bool> NodeReader::add_operands(const ArgSpec& spec, const Arg& a, std::vector<Value*>& operands) {
  auto put = [&](size_t at, Value* value) {
    if (operands.size() <= at) operands.resize(at + 1, nullptr);
    operands[at] = value;
  };
  auto at = static_cast<size_t>(spec.operand);
  if (spec.list) {
    if (spec.fixed_size > 0 && a.items.size() != static_cast<size_t>(spec.fixed_size)) {
      return no(fmt::format("argument '{}' has {} tensors, {} are wanted", spec.name, a.items.size(),
                            spec.fixed_size));
    }
    ZP_TRY(const std::vector<Value*> values, tensors(spec.name));
    for (Value* value : values) put(at++, value);
    return true;
  }
  switch (a.tag) {
    case ArgTag::None:
    case ArgTag::Absent:
      if (spec.optional) put(at, nullptr);
      return spec.optional ? true : no(fmt::format("argument '{}' is missing", spec.name));
    case ArgTag::Tensor: {
      // Bytes that only move may stay quantized; anything else sees plain integers: a padding value is one
      // here.
      const bool moves = main_card_ != nullptr && main_card_->trait == Trait::ShapeOnly &&
                         !main_card_->variadic() && !main_card_->has(kAddsElements);
      ZP_TRY(Value * value, moves ? graph_.moved_value(a.value) : graph_.value_of(a.value, true));
      put(at, value);
      return true;
    }
    case ArgTag::Int:
    case ArgTag::Float:
    case ArgTag::Bool:
      put(at, nullptr);
      numbers_.emplace_back(at, number_of(a));
      return true;
    case ArgTag::SymInt:
    case ArgTag::SymFloat:
    case ArgTag::SymBool: {
      if (Value* tensor = graph_.name(a.value).item_of) {
        put(at, tensor);
        return true;
      }
      const auto d = dim_of(a);
      const OpDef* scalar = card("scalar_tensor");
      if (!d) {
        ZP_TRY(Value * number, graph_.number_value(a));
        if (number == nullptr) return no(fmt::format("argument '{}' is a symbolic number", spec.name));
        ZP_TRY(Node * node, make(AttrBuilder(ops::number_tensor, context()), {number}, 1, true));
        main_ = nullptr;
        put(at, node->result());
        return true;
      }
      AttrBuilder attrs(*scalar, context());
      attrs.set_dim("s", *d);
      attrs.set_dtype("dtype", DType::I64);
      ZP_TRY(Node * node, make(attrs, {}, 1, true));
      main_ = nullptr;
      put(at, node->result());
      return true;
    }
    default: return no(fmt::format("argument '{}' is {}", spec.name, arg_tag_name(a.tag)));
  }
}

bool NodeReader::set_attr(AttrBuilder& attrs, const ArgSpec& spec, const Arg& a) {
  // What a card leaves out does not matter to it, as long as it is the default; the row would say so
  // otherwise.
  const std::string_view field = spec.attr;
  switch (a.tag) {
    case ArgTag::None:
    case ArgTag::Absent: return attrs.set_none(field);
    case ArgTag::Int:
      if (spec.kind == ArgKind::DType) {
        const DType d = dtype_of_serialized(a.i);
        return d != DType::Unknown && attrs.set_dtype(field, d);
      }
      if (spec.list && spec.fixed_size > 1) {
        const std::vector<int64_t> values(static_cast<size_t>(spec.fixed_size), a.i);
        return attrs.set_ints(field, values);
      }
      if (a.i == std::numeric_limits<int64_t>::max() && spec.optional)
        return attrs.set_none(field);  // "to the end"
      return attrs.set_int(field, a.i);
    case ArgTag::Float: return attrs.set_float(field, a.f);
    case ArgTag::Bool: return attrs.set_bool(field, a.b);
    case ArgTag::String: return attrs.set_text(field, a.text);
    case ArgTag::ScalarType: {
      const DType d = dtype_of_serialized(a.i);
      return d != DType::Unknown && attrs.set_dtype(field, d);
    }
    case ArgTag::SymInt: {
      const auto d = dim_of(a);
      return d && attrs.set_dim(field, *d);
    }
    case ArgTag::Floats: {
      std::vector<double> values;
      for (const Arg& item : a.items) values.push_back(item.f);
      return attrs.set_floats(field, values);
    }
    case ArgTag::Ints:
    case ArgTag::SymInts: {
      if (spec.kind == ArgKind::Float) {
        std::vector<double> values;
        for (const Arg& item : a.items) values.push_back(static_cast<double>(item.i));
        return attrs.set_floats(field, values);
      }
      std::optional<std::vector<Dim>> dims = std::vector<Dim>();
      for (const Arg& item : a.items) {
        const auto d = dim_of(item);
        if (!d) return false;
        dims->push_back(*d);
      }
      // A list of one stands for as many as the schema says.
      if (spec.fixed_size > 1 && dims->size() == 1) {
        const std::vector<Dim> wide(static_cast<size_t>(spec.fixed_size), dims->front());
        return attrs.set_dims(field, wide);
      }
      return attrs.set_dims(field, *dims);
    }
    default: return false;
  }
}

bool NodeReader::fixed_arguments_hold() {
  for (const ArgSpec& spec : row_->args) {
    if (spec.to != ArgSpec::Fixed) continue;
    const Literal wanted = parse_literal(spec.literal, spec.kind);
    const Arg& a = arg(spec.name);
    bool holds = false;
    switch (wanted.kind) {
      case Literal::Bool:
        holds =
            (a.tag == ArgTag::Bool && a.b == wanted.b) || (a.tag == ArgTag::Int && (a.i != 0) == wanted.b);
        break;
      case Literal::Int: holds = a.tag == ArgTag::Int && a.i == wanted.i; break;
      case Literal::Float: holds = is_number(a.tag) && number_of(a).as_double() == wanted.f; break;
      case Literal::String: holds = a.tag == ArgTag::String && a.text == wanted.s; break;
      case Literal::None: holds = a.tag == ArgTag::None || a.tag == ArgTag::Absent; break;
      case Literal::List: holds = false; break;
    }
    if (holds) continue;
    why_ = fmt::format("argument '{}' is not {}", spec.name, spec.literal);
    return false;
  }
  return true;
}

Result<bool> NodeReader::fill(AttrBuilder& attrs, std::vector<Value*>& operands) {
  main_card_ = &attrs.op();
  numbers_.clear();
  for (const ArgSpec& spec : row_->args) {
    if (spec.to == ArgSpec::Dropped || spec.to == ArgSpec::Fixed) continue;
    const Arg& a = arg(spec.name);
    if (a.tag == ArgTag::Unknown) {
      return Error("pt2.argument",
                   fmt::format("argument '{}' has the unknown variant '{}'", spec.name, a.text));
    }
    if (spec.to == ArgSpec::Operand) {
      ZP_TRY(const bool done, add_operands(spec, a, operands));
      if (!done) return false;
      continue;
    }
    if (set_attr(attrs, spec, a)) continue;
    if (!attrs.has(spec.attr)) return no(fmt::format("{} has no attribute '{}'", attrs.op().name, spec.attr));
    return no(fmt::format("argument '{}' ({}) does not fit attribute '{}'", spec.name, arg_tag_name(a.tag),
                          spec.attr));
  }
  for (const FixedAttr& fixed : row_->fixed) {
    if (!attrs.set_literal(fixed.attr, parse_literal(fixed.literal, ArgKind::Int))) {
      return no(fmt::format("{} has no attribute '{}'", attrs.op().name, fixed.attr));
    }
  }
  // A number takes the widest float that is there, so that it loses nothing.
  bool f64 = false;
  for (const Value* v : operands)
    f64 = f64 || (v != nullptr && v->type().is_tensor() && v->type().real_dtype() == DType::F64);
  for (auto [at, n] : numbers_) {
    const DType dtype = n.kind == Number::Bool  ? DType::Bool
                        : n.kind == Number::Int ? DType::I64
                        : f64                   ? DType::F64
                                                : DType::F32;
    operands[at] = graph_.literal(n, dtype);
  }
  return true;
}

Result<bool> NodeReader::translate_row() {
  const OpDef* op = card(row_->op);
  if (op == nullptr) return no({});
  AttrBuilder attrs(*op, context());
  std::vector<Value*> operands;
  ZP_TRY(const bool filled, fill(attrs, operands));
  if (!filled) return false;
  const bool variadic = op->has(kVariadicResults);
  size_t results = variadic ? result_count() : std::max<size_t>(op->results.size(), 1);
  for (size_t k = results; k < result_count(); ++k) {
    if (result_used(k)) return no(fmt::format("its result {} is read, {} has {}", k, op->name, results));
  }
  ZP_TRY(Node * node, make(attrs, operands, results));
  bind_all(node);
  return true;
}

Result<bool> NodeReader::translate() {
  for (; row_ != nullptr; row_ = row_->alternative) {
    if (!fixed_arguments_hold()) {
      if (row_->alternative != nullptr) continue;
      return false;
    }
    const ImportHook hook = row_->hook.empty() ? nullptr : find_import_hook(row_->hook);
    if (!row_->hook.empty() && hook == nullptr)
      return no(fmt::format("there is no function '{}'", row_->hook));
    ZP_TRY(const bool done, hook != nullptr ? hook(*this) : translate_row());
    if (done || row_->alternative == nullptr) return done;
  }
  return false;
}

}  // namespace zp::pt2
