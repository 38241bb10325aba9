// Writes the text form. What is printed depends on the model only, never on how it came about: constants in
// the order of the Context, as far as the graph refers to them; quantizations that several values share get a
// short name (#q0, #q1 ... in order of appearance); numbers written in the program stand where they are used.
// Linear in the graph and the data.
#include "ir/printer.h"

#include <algorithm>
#include <unordered_set>

#include "ir/text_form.h"
#include "support/sha256.h"
#include "support/text_format.h"

namespace zp {

namespace {

using text_form::Aliases;

constexpr size_t kLineWidth = 110;
constexpr size_t kBase64Line = 72;  // bytes a line: 96 characters

bool is_plain_scalar(const Type& type, const Constant& c) {
  return type.is_tensor() && type.quant == nullptr && type.ranked && type.shape.empty() &&
         type.dtype == c.dtype;
}

// Numbers that stand in operand position: 0-d literals whose every use can take them so.
class Literals {
 public:
  // Empty if the value must be printed as a node of its own.
  const std::string& text(const Value& value) {
    static const std::string none;
    const Node* def = value.def();
    if (def == nullptr || def->constant() == nullptr || def->constant()->kind != ConstantKind::Literal)
      return none;
    const auto [entry, fresh] = texts_.try_emplace(&value);
    if (fresh) entry->second = find_text(value, *def->constant());
    return entry->second;
  }

 private:
  static std::string find_text(const Value& value, const Constant& c) {
    if (!value.has_uses() || !c.shape.empty() || c.stripped || !is_plain_scalar(value.type(), c)) return {};
    for (const Use& use : value.uses())
      if (use.user()->is(kReturnOp)) return {};
    const auto bytes = value.graph()->context().dense_bytes(c);
    std::string text;
    if (!bytes || static_cast<int64_t>(bytes->size()) < c.bytes()) return {};
    text_form::append_literal(&text, c.dtype, bytes->data());
    return text;
  }
  std::unordered_map<const Value*, std::string> texts_;
};

// What a graph refers to: constants, and quantizations in order of appearance with their number of
// appearances.
class References {
 public:
  explicit References(Literals& literals) : literals_(literals) {}
  std::unordered_set<const Constant*> constants;
  std::vector<const QuantType*> quants;
  std::unordered_map<const QuantType*, size_t> counts;

  void graph(const Graph& g) {
    for (const Value* v : g.inputs()) type(v->type());
    for (const Node* n : g.nodes()) node(*n);
  }

 private:
  void quant(const QuantType* q) {
    if (q == nullptr) return;
    if (counts[q]++ == 0) quants.push_back(q);
    if (q->scales != nullptr) constants.insert(q->scales);
    if (q->zero_points != nullptr) constants.insert(q->zero_points);
  }
  void type(const Type& t) { quant(t.quant); }
  void node(const Node& n) {
    for (size_t i = 0; i < n.result_count(); ++i) type(n.result(i)->type());
    if (n.constant() != nullptr && literals_.text(*n.result()).empty()) constants.insert(n.constant());
    if (n.op().attrs != nullptr && n.attrs_data() != nullptr) {
      for (const AttrField& field : n.op().attrs->fields)
        if (field.kind == AttrKind::Quant) attribute(n, field);
    }
    for (const Graph* region : n.regions()) graph(*region);
  }
  void attribute(const Node& n, const AttrField& field) {
    const QuantType* q = attr_ref<const QuantType*>(n.attrs_data(), field);
    const bool implied = field.name == "type" && n.result_count() > 0 && n.result()->type().quant == q;
    if (!implied) quant(q);
  }
  Literals& literals_;
};

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  std::string take() { return std::move(out_); }

  void model(const Model& m) {
    out_ += "zp 1\n";
    symbols(m.context->dims());
    References refs(literals_);
    refs.graph(*m.graph);
    for (const InputInfo& info : m.inputs)
      if (info.initial != nullptr) refs.constants.insert(info.initial);
    for (const Constant* c : m.context->constants())
      if (refs.constants.contains(c)) constant(*m.context, *c);
    for (const QuantType* q : refs.quants) {
      // Short ones are clearer in place.
      if (refs.counts[q] < 2 || q->dynamic || q->scales == nullptr) continue;
      const std::string name = "q" + std::to_string(aliases_.size());
      aliases_.emplace(q, name);
      out_ += "#" + name + " = " + quant_str(*q) + "\n";
    }
    model_ = &m;
    graph("graph ", *m.graph);
  }

  // `word name(inputs) -> (outputs) { nodes }` at the current indentation.
  void graph(std::string_view word, const Graph& g) {
    std::vector<std::string> in, out;
    for (size_t i = 0; i < g.inputs().size(); ++i) in.push_back(input_text(g, i));
    for (size_t i = 0; i < g.output_count(); ++i) out.push_back(output_text(g, i));
    out_.append(indent_, ' ');
    out_ += word;
    if (!g.parent() || g.name() != "main") out_ += name_text(g.name());
    const size_t line = out_.rfind('\n') + 1;  // npos + 1 is 0
    size_t width = out_.size() - line + std::string_view("() -> () {").size();
    for (const std::string& part : in) width += part.size() + 2;
    for (const std::string& part : out) width += part.size() + 2;
    signature_list(in, width > kLineWidth + 4);
    out_ += " -> ";
    width = out_.size() - (out_.rfind('\n') + 1);
    for (const std::string& part : out) width += part.size() + 2;
    signature_list(out, width > kLineWidth);
    out_ += " {\n";
    indent_ += 2;
    for (const Node* n : g.nodes())
      if (n->constant() == nullptr || literals_.text(*n->result()).empty()) node(*n);
    indent_ -= 2;
    out_.append(indent_, ' ');
    out_ += "}\n";
  }

  void node(const Node& n) {
    out_.append(indent_, ' ');
    for (size_t i = 0; i < n.result_count(); ++i)
      out_ += (i > 0 ? ", %" : "%") + name_text(n.result(i)->name());
    if (n.result_count() > 0) out_ += " = ";
    out_ += n.op().name;
    if (n.constant() != nullptr) {
      out_ += " @" + name_text(n.constant()->name);
    } else {
      if (n.is(kOpaqueOp)) out_ += " " + quote(n.attrs<OpaqueAttrs>().target);
      operands(n);
    }
    attributes(n);
    if (n.result_count() == 0 && n.name() != n.op().name) out_ += " as %" + name_text(n.name());
    result_types(n);
    if (options_.origins) origins(n);
    out_ += '\n';
    indent_ += 2;
    for (const Graph* region : n.regions()) graph("region ", *region);
    indent_ -= 2;
  }

 private:
  void type(const Type& t) { text_form::append_type(&out_, t, &aliases_); }

  void symbols(const DimContext& dims) {
    for (std::string_view name : dims.symbols()) {
      const SymbolInfo& info = *dims.info(name);
      out_ += "sym " + dim_symbol_text(name);
      if (info.min != 0 || info.max != kDimUnbounded) {
        out_ += " in ";
        if (info.min != INT64_MIN) out_ += std::to_string(info.min);
        out_ += "..";
        if (info.max != kDimUnbounded) out_ += std::to_string(info.max);
      }
      if (info.unbacked) out_ += " unbacked";
      if (info.hint) out_ += " hint " + std::to_string(*info.hint);
      out_ += '\n';
    }
  }

  static std::string dim_symbol_text(std::string_view name) {
    DimExpr e{DimOp::Symbol};
    e.symbol = name;
    return Dim(&e).str();
  }

  void constant(Context& context, const Constant& c) {
    out_ += "@" + name_text(c.name) + " = ";
    if (const auto word = text_form::constant_kind_word(c.kind); !word.empty()) (out_ += word) += ' ';
    if (c.requires_grad) out_ += "grad ";
    out_ += dtype_name(c.dtype);
    out_ += '[';
    for (size_t i = 0; i < c.shape.size(); ++i) out_ += (i > 0 ? "," : "") + std::to_string(c.shape[i]);
    out_ += ']';
    if (options_.constants && !c.stripped) constant_data(context, c);
    out_ += '\n';
  }

  void constant_data(Context& context, const Constant& c) {
    const auto bytes = context.dense_bytes(c);
    if (!bytes || static_cast<int64_t>(bytes->size()) < c.bytes()) {
      out_ += "  # its bytes cannot be read";
      return;
    }
    const int64_t count = c.elements();
    const std::span<const std::byte> data = bytes->bytes().first(static_cast<size_t>(c.bytes()));
    const size_t mark = out_.size();
    if (static_cast<uint64_t>(count) <= options_.inline_limit || c.shape.empty()) {
      out_ += c.shape.empty() ? " " : " [";
      bool exact = true;
      for (int64_t i = 0; i < count && exact; ++i) {
        if (i > 0) out_ += ',';
        exact = text_form::append_element(&out_, c.dtype, data.data(), i);
      }
      if (!c.shape.empty()) out_ += ']';
      if (exact) return;
      out_.resize(mark);
    }
    if (std::all_of(data.begin(), data.end(), [](std::byte b) { return b == std::byte{0}; })) {
      out_ += " zeros";
    } else if (options_.digests) {
      out_ += "  # " + std::to_string(data.size()) + " bytes, sha256 " + sha256_hex(data);
    } else {
      out_ += " base64 {\n";
      for (size_t i = 0; i < data.size(); i += kBase64Line) {
        out_ += "  ";
        append_base64(&out_, data.subspan(i, std::min(kBase64Line, data.size() - i)));
        out_ += '\n';
      }
      out_ += '}';
    }
  }

  std::string typed(std::string_view name, const Type& t) {
    std::string text = "%" + name_text(name) + ": ";
    text_form::append_type(&text, t, &aliases_);
    return text;
  }

  bool is_main(const Graph& g) const { return model_ != nullptr && model_->graph.get() == &g; }

  std::string input_text(const Graph& g, size_t i) {
    const Value& v = *g.inputs()[i];
    if (!is_main(g) || i >= model_->inputs.size()) return typed(v.name(), v.type());
    const InputInfo& info = model_->inputs[i];
    if (info.kind == InputInfo::User) return typed(v.name(), v.type());
    if (info.kind == InputInfo::Token) return "token " + typed(v.name(), v.type());
    std::string text = "state %" + name_text(v.name());
    if (info.initial != nullptr) text += " = @" + name_text(info.initial->name);
    text += ": ";
    text_form::append_type(&text, v.type(), &aliases_);
    return text;
  }

  std::string output_text(const Graph& g, size_t i) {
    const Value* v = g.output(i);
    const std::string name = v != nullptr ? "%" + name_text(v->name()) : "_";
    if (!is_main(g) || i >= model_->outputs.size()) return name;
    const OutputInfo& info = model_->outputs[i];
    const auto target = [&] {
      const bool known = info.target >= 0 && static_cast<size_t>(info.target) < g.inputs().size();
      return known ? "%" + name_text(g.inputs()[static_cast<size_t>(info.target)]->name()) : std::string("_");
    };
    switch (info.kind) {
      case OutputInfo::StateUpdate: return "update " + target() + ": " + name;
      case OutputInfo::InputMutation: return "mutate " + target() + ": " + name;
      case OutputInfo::Token: return "token " + name;
      case OutputInfo::User: break;
    }
    return name;
  }

  // On one line, or one part a line.
  void signature_list(const std::vector<std::string>& parts, bool broken) {
    out_ += '(';
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) out_ += broken ? "," : ", ";
      if (broken) (out_ += '\n').append(indent_ + 4, ' ');
      out_ += parts[i];
    }
    out_ += ')';
  }

  void operands(const Node& n) {
    size_t count = n.operand_count();
    // Trailing absent operands are dropped, but never entries of a list of any number.
    while (!n.op().variadic() && count > 0 && n.operand(count - 1) == nullptr) --count;
    out_ += '(';
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ", ";
      const Value* v = n.operand(i);
      if (v == nullptr) {
        out_ += '_';
        continue;
      }
      const std::string& number = literals_.text(*v);
      out_ += number.empty() ? "%" + name_text(v->name()) : number;
    }
    out_ += ')';
  }

  void attributes(const Node& n) {
    const AttrsDef* def = n.op().attrs;
    if (def == nullptr || n.attrs_data() == nullptr) return;
    bool any = false;
    for (const AttrField& field : def->fields) {
      if (attr_skipped(n, field)) continue;
      out_ += any ? ", " : " {";
      out_ += field.name;
      out_ += ": ";
      if (const Aliases::const_iterator alias = field_alias(n, field); alias != aliases_.end())
        out_ += "#" + alias->second;
      else text_form::append_attr(&out_, field, n.attrs_data());
      any = true;
    }
    if (any) out_ += '}';
  }

  Aliases::const_iterator field_alias(const Node& n, const AttrField& field) const {
    if (field.kind != AttrKind::Quant) return aliases_.end();
    return aliases_.find(attr_ref<const QuantType*>(n.attrs_data(), field));
  }

  // Defaults, the target of an opaque node, and a quantization that the result's type already says.
  static bool attr_skipped(const Node& n, const AttrField& field) {
    if (n.is(kOpaqueOp) && field.name == "target") return true;
    if (field.kind == AttrKind::Quant && field.name == "type" && n.result_count() > 0) {
      return attr_ref<const QuantType*>(n.attrs_data(), field) == n.result()->type().quant;
    }
    return attr_equal(field, n.attrs_data(), n.op().attrs->defaults);
  }

  void result_types(const Node& n) {
    if (n.result_count() == 0) return;
    out_ += " : ";
    if (n.result_count() > 1) out_ += '(';
    for (size_t i = 0; i < n.result_count(); ++i) {
      if (i > 0) out_ += ", ";
      type(n.result(i)->type());
    }
    if (n.result_count() > 1) out_ += ')';
  }

  void origins(const Node& n) {
    for (const Origin* o : n.origins()) {
      out_ += o == n.origins()[0] ? "  # " : "; ";
      out_ += printable(o->name);
      if (!o->module.empty()) out_ += ", " + printable(o->module);
    }
  }

  PrintOptions options_;
  std::string out_;
  size_t indent_ = 0;
  Aliases aliases_;
  Literals literals_;
  const Model* model_ = nullptr;
};

}  // namespace

std::string print(const Model& model, const PrintOptions& options) {
  Printer printer(options);
  printer.model(model);
  return printer.take();
}

std::string print(const Graph& graph, const PrintOptions& options) {
  Printer printer(options);
  printer.graph("graph ", graph);
  return printer.take();
}

std::string print(const Node& node) {
  Printer printer({});
  printer.node(node);
  std::string text = printer.take();
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace zp
