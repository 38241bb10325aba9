// Nodes of the text form:
//   %y = conv2d(%x, %w, _) {stride: [2,2]} : f32[1,8,8,8]
//   %a, %b = split(%x) {sizes: [2,3]} : (f32[2], f32[3])
//   %w = const @w : #w[8,3]
//   opaque "ns.op"(%x) {effect: true}
// Inference runs on every node, and what the text says of its results must agree with it.
#include <fmt/format.h>

#include <cstring>

#include "ir/parser_impl.h"
#include "ir/text_form.h"
#include "support/text_format.h"

namespace zp {

namespace {

constexpr size_t kMaxResults = 1 << 16;

std::string operand_list(const OpDef& op) {
  std::string out;
  for (const OperandDef& o : op.operands) {
    if (!out.empty()) out += ", ";
    out += o.name;
    if (o.variadic) out += "...";
    else if (o.optional) out += "?";
  }
  return out.empty() ? "none" : out;
}

}  // namespace

Result<const OpDef*> TextParser::op_name(const Place& place) {
  ZP_TRY(const std::string_view word, cursor_.word("the name of an op"));
  const OpDef* op = ops_.find(word);
  if (op != nullptr && op != &kReturnOp) return op;
  std::vector<std::string_view> known;
  for (const OpDef* o : ops_.all()) known.push_back(o->name);
  return cursor_.error_at(place, fmt::format("unknown op '{}'{}", word, suggestion(word, known)));
}

// A number in operand position: `3` is i64, `1.5` f32, `true` bool; any other dtype is said: `3:i32`.
Result<Value*> TextParser::literal(Graph& graph) {
  const Place place = cursor_.place();
  DType dtype = DType::Bool;
  if (!cursor_.looking_at("true") && !cursor_.looking_at("false")) {
    ZP_TRY(const auto number, cursor_.number("an operand (%name, a number, or _)"));
    dtype = number.is_float ? DType::F32 : DType::I64;
  } else {
    cursor_.skip_raw(cursor_.looking_at("true") ? 4 : 5);
  }
  const bool said = cursor_.raw() == ':';
  if (said) {
    cursor_.skip_raw(1);
    ZP_TRY(dtype, this->dtype());
  }
  const Place end = cursor_.here();
  cursor_.reset(place);
  std::byte data[16] = {};
  ZP_CHECK(element(dtype, data, 0));
  cursor_.reset(end);
  const Constant* c = context_.make_constant(
      "literal", dtype, {}, Blob::copy_of({data, static_cast<size_t>(storage_bytes(dtype, 1))}),
      ConstantKind::Literal);
  Value* value = graph.add_const(*c, "literal");
  literals_.insert(value);
  return value;
}

Result<std::vector<Value*>> TextParser::operands(Graph& graph, const OpDef& op, const Place& place) {
  std::vector<Value*> values;
  ZP_CHECK(cursor_.expect("("));
  bool first = true;
  while (!cursor_.accept(")")) {
    if (!first) ZP_CHECK(cursor_.expect(","));
    first = false;
    if (cursor_.accept("_")) {
      values.push_back(nullptr);
    } else if (cursor_.peek() == '%') {
      ZP_TRY(Value* const value, value_reference(graph));
      values.push_back(value);
    } else {
      ZP_TRY(Value* const value, literal(graph));
      values.push_back(value);
    }
  }
  const size_t most = op.variadic() ? SIZE_MAX : op.operands.size();
  if (values.size() > most) {
    return cursor_.error_at(place, fmt::format("{} takes at most {} operands ({}), found {}", op.name, most,
                                               operand_list(op), values.size()));
  }
  for (size_t i = 0; i < op.operands.size(); ++i) {
    const OperandDef& o = op.operands[i];
    if (!o.optional && !o.variadic && (i >= values.size() || values[i] == nullptr)) {
      return cursor_.error_at(place, fmt::format("operand {} ({}) of {} is missing; its operands: {}", i,
                                                 o.name, op.name, operand_list(op)));
    }
  }
  for (size_t i = op.operands.size() - 1; op.variadic() && !op.operands.back().optional && i < values.size();
       ++i) {
    if (values[i] == nullptr) {
      return cursor_.error_at(
          place, fmt::format("operand {} of {} is absent: only optional ones may be", i, op.name));
    }
  }
  // Absent optional operands have slots of their own, so that a pass can fill them.
  if (!op.variadic()) values.resize(op.operands.size(), nullptr);
  return values;
}

// : TYPE, or : (TYPE, TYPE) for several results.
Result<std::vector<TextParser::Annotation>> TextParser::annotations(size_t results) {
  std::vector<Annotation> types;
  if (!cursor_.accept(":")) return types;
  const Place place = cursor_.place();
  if (results != 1) {
    ZP_CHECK(cursor_.expect("("));
    while (!cursor_.accept(")")) {
      if (!types.empty()) ZP_CHECK(cursor_.expect(","));
      ZP_TRY(Annotation a, annotation());
      types.push_back(a);
    }
  } else {
    ZP_TRY(Annotation a, annotation());
    types.push_back(a);
  }
  if (types.size() != results)
    return cursor_.error_at(place, fmt::format("{} types for {} results", types.size(), results));
  return types;
}

Status TextParser::name_results(Node& node, const std::vector<NamedPlace>& names) {
  bool differs = false;
  for (size_t i = 0; i < names.size(); ++i) differs = differs || node.result(i)->name() != names[i].name;
  if (!differs) return {};
  // In two steps, as a name that was given automatically may be one that another result is to have.
  for (size_t i = 1; i < names.size(); ++i) node.result(i)->set_name("\x01");
  for (size_t i = 1; i < names.size(); ++i) node.result(i)->set_name(names[i].name);
  return {};
}

// The value of a const node has its constant's type; it may be seen as quantized.
Status TextParser::const_type(Node& node, const std::vector<Annotation>& types) {
  const Constant& c = *node.constant();
  const Type* plain = context_.tensor(c.dtype, std::span<const int64_t>(c.shape));
  node.result()->set_type(plain);
  if (types.empty()) return {};
  const Annotation& a = types[0];
  Type wanted = a.type;
  if (!a.shaped) wanted.ranked = true, wanted.shape = plain->shape;
  if (!wanted.is_tensor() || wanted.dtype != plain->dtype || !wanted.ranked ||
      !(wanted.shape == plain->shape)) {
    return cursor_.error_at(
        a.place, fmt::format("the constant is {}, the text says {}", plain->str(), a.type.str()), "type");
  }
  node.result()->set_type(context_.type(wanted));
  return {};
}

// Where inference leaves something open, the text decides; where both know, they must agree.
Status TextParser::check_result(Value& value, const Annotation& a) {
  const Type& inferred = value.type();
  Type said = a.type;
  const bool bool_tensor =
      !a.shaped && said.kind == TypeKind::Bool && inferred.is_tensor() && inferred.dtype == DType::Bool;
  if (bool_tensor) return {};
  if (!types_agree(context_.dims(), inferred, said)) {
    return cursor_.error_at(a.place,
                            fmt::format("'%{}' is inferred as {}, the text says {}", name_text(value.name()),
                                        inferred.str(), a.type.str()),
                            "type");
  }
  if (!said.is_tensor()) {
    if (inferred.value.is_unknown()) value.set_type(context_.type(said));
    return {};
  }
  Type merged = inferred;
  if (merged.dtype == DType::Unknown) merged.dtype = said.dtype;
  std::vector<Dim> dims = said.ranked ? said.shape.vec() : inferred.shape.vec();
  if (said.ranked) {
    // An expression that inference cannot prove equal stands as it is written, too: the source knew more.
    merged.ranked = true;
    for (size_t i = 0; i < dims.size() && inferred.ranked; ++i)
      if (dims[i].is_unknown() || inferred.shape[i].is_known()) dims[i] = inferred.shape[i];
  }
  merged.shape = Shape(dims.data(), dims.size());
  value.set_type(context_.type(merged));
  return {};
}

Status TextParser::infer_and_check(Node& node, const std::vector<Annotation>& types, const Place& place) {
  if (node.op().infer == nullptr) {
    if (types.size() < node.result_count()) {
      return cursor_.error_at(
          place, fmt::format("the types of the results of {} cannot be inferred: write them after ':'",
                             node.op().name));
    }
    for (const Annotation& a : types)
      if (a.type.is_tensor() && !a.shaped)
        return cursor_.error_at(a.place, "the type needs a shape, as it cannot be inferred");
    return {};
  }
  if (Status status = node.infer(); !status) {
    Location where;
    where.file = cursor_.file();
    where.line = place.line;
    where.column = place.column;
    return std::move(std::move(status).error()).at(where);
  }
  for (size_t i = 0; i < types.size(); ++i) ZP_CHECK(check_result(*node.result(i), types[i]));
  return {};
}

// [NAMES =] OP [TARGET or @CONSTANT] (OPERANDS) {ATTRIBUTES} [as %NAME] [: TYPES] REGIONS
Status TextParser::node(Graph& graph) {
  const Place start = cursor_.place();
  std::vector<NamedPlace> names;
  if (cursor_.peek() == '%') {
    do {
      NamedPlace n;
      n.place = cursor_.place();
      ZP_TRY(n.name, sigil_name('%', "a result"));
      ZP_CHECK(check_new_name(graph, n.name, n.place));
      for (const NamedPlace& other : names)
        if (other.name == n.name)
          return cursor_.error_at(n.place, "value '%" + name_text(n.name) + "' is defined twice");
      if (names.size() == kMaxResults)
        return cursor_.error_at(n.place, fmt::format("more than {} results", kMaxResults));
      names.push_back(std::move(n));
    } while (cursor_.accept(","));
    ZP_CHECK(cursor_.expect("="));
  }
  const Place place = cursor_.place();
  ZP_TRY(const OpDef* op, op_name(place));
  NodeSpec spec;
  spec.op = op;
  spec.results = names.size();
  // An op may do without names only if it has an effect and nothing else to show.
  const bool any_results = op->has(kVariadicResults);
  if (!any_results && names.size() != op->results.size()) {
    return cursor_.error_at(
        start, fmt::format("{} has {} result{}, found {} name{}", op->name, op->results.size(),
                           op->results.size() == 1 ? "" : "s", names.size(), names.size() == 1 ? "" : "s"));
  }
  std::string target;
  std::vector<Value*> values;
  if (op == &kConstOp) {
    ZP_TRY(spec.constant, constant_reference());
  } else {
    if (op == &kOpaqueOp) { ZP_TRY(target, cursor_.quoted("the quoted name of an opaque operator")); }
    ZP_TRY(values, operands(graph, *op, place));
  }
  spec.operands = values;
  void* attrs = nullptr;
  bool type_given = false;
  if (op->attrs != nullptr && op->attrs->size > 0) {
    attrs = context_.arena().allocate(op->attrs->size, op->attrs->alignment);
    op->attrs->construct(attrs);
    if (op == &kOpaqueOp) static_cast<OpaqueAttrs*>(attrs)->target = context_.text(target);
  }
  if (cursor_.peek() == '{') ZP_CHECK(attributes(*op, attrs, &type_given));
  std::string own_name;
  if (cursor_.accept("as")) {
    const Place at = cursor_.place();
    ZP_TRY(own_name, sigil_name('%', "the name of the node"));
    if (!names.empty()) return cursor_.error_at(at, "a node with results is named by the first of them");
  }
  ZP_TRY(const std::vector<Annotation> types, annotations(names.size()));
  // `type` is what the result's type says, unless it is written.
  if (attrs != nullptr && !type_given && !types.empty()) {
    const AttrField* field = op->attrs->find("type");
    if (field != nullptr && field->kind == AttrKind::Quant)
      attr_ref<const QuantType*>(attrs, *field) = types[0].type.quant;
  }
  spec.attrs = attrs;
  spec.name = names.empty() ? std::string_view(own_name) : std::string_view(names[0].name);
  Origin* origin = context_.arena().make<Origin>();
  origin->name = context_.text(spec.name.empty() ? op->name : spec.name);
  origin->target = op == &kOpaqueOp ? context_.text(target) : op->name;
  origin->line = start.line;
  origin->column = start.column;
  spec.origins = context_.arena().copy({static_cast<const Origin*>(origin)});
  for (const NamedPlace& n : names) free_name(graph, n.name);  // its own operands may have taken them
  Node* n = graph.create(spec);
  ZP_CHECK(name_results(*n, names));
  if (op == &kConstOp) return const_type(*n, types);
  for (size_t i = 0; i < types.size(); ++i) n->result(i)->set_type(context_.type(types[i].type));
  while (cursor_.accept("region")) ZP_CHECK(region(*n));
  return infer_and_check(*n, types, place);
}

}  // namespace zp
