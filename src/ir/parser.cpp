// Reads the text form: header, declarations, signatures. Parsing is a single pass of recursive descent; a
// value must be defined before it is used, so the graph is in topological order by construction. The first
// mistake ends it.
#include "ir/parser.h"

#include <fmt/format.h>

#include "ir/dim_text.h"
#include "ir/parser_impl.h"
#include "ir/text_form.h"
#include "support/text_format.h"

namespace zp {

namespace {

constexpr int kMaxRegionDepth = 32;
// A line that starts so ends the model: what follows is for the test runner.
constexpr std::string_view kEndOfModel = "# ----";

std::string_view model_text(std::string_view text) {
  if (text.starts_with(kEndOfModel)) return {};
  const size_t end = text.find(std::string("\n") + std::string(kEndOfModel));
  return text.substr(0, end == std::string_view::npos ? end : end + 1);
}

}  // namespace

Status TextParser::parse() {
  ZP_CHECK(header());
  for (;;) {
    const Place place = cursor_.place();
    if (cursor_.accept("sym")) {
      ZP_CHECK(symbol());
    } else if (cursor_.peek() == '@') {
      ZP_CHECK(constant());
    } else if (cursor_.peek() == '#') {
      ZP_CHECK(alias());
    } else if (cursor_.accept("graph")) {
      break;
    } else {
      static constexpr std::string_view kWords[] = {"sym", "graph"};
      const std::string found = cursor_.found();
      const auto word = cursor_.word("");
      return cursor_.error_at(place, "wanted a declaration (sym, @constant, #type) or graph, found " + found +
                                         (word ? suggestion(*word, kWords) : ""));
    }
  }
  ZP_CHECK(main_graph());
  if (!cursor_.at_end()) return cursor_.wanted("the end of the text after the graph");
  return {};
}

Status TextParser::header() {
  if (!cursor_.accept("zp")) return cursor_.wanted("the header 'zp 1'");
  const Place place = cursor_.place();
  ZP_TRY(const int64_t version, cursor_.integer("the version of the text form"));
  if (version != 1)
    return cursor_.error_at(
        place, fmt::format("version {} of the text form is not known; this reader knows 1", version));
  return {};
}

// sym NAME [in [LO]..[HI]] [unbacked] [hint N]
Status TextParser::symbol() {
  const Place place = cursor_.place();
  const size_t known = context_.dims().symbols().size();
  ZP_TRY(const Dim name, read_dim(cursor_, context_.dims(), false));
  if (!name.is_symbolic() || name.expr()->op != DimOp::Symbol)
    return cursor_.error_at(place, "wanted the name of a symbol");
  if (context_.dims().symbols().size() == known)
    return cursor_.error_at(place, "symbol '" + name.str() + "' is declared twice");
  SymbolInfo info;
  if (cursor_.accept("in")) {
    if (!cursor_.accept("..")) {
      ZP_TRY(info.min, cursor_.integer("a lower bound"));
      ZP_CHECK(cursor_.expect(".."));
    } else {
      info.min = INT64_MIN;
    }
    const int c = cursor_.peek_inline();
    if (c == '-' || (c >= '0' && c <= '9')) { ZP_TRY(info.max, cursor_.integer("an upper bound")); }
    if (info.min > info.max)
      return cursor_.error_at(place, fmt::format("empty range {}..{}", info.min, info.max));
  }
  info.unbacked = cursor_.accept("unbacked");
  if (cursor_.accept("hint")) { ZP_TRY(info.hint, cursor_.integer("a hint")); }
  *context_.dims().info(name.expr()->symbol) = info;
  return {};
}

// @NAME = [param | buffer | transient | literal] [grad] DTYPE[SHAPE] [DATA]
Status TextParser::constant() {
  const Place place = cursor_.place();
  ZP_TRY(const std::string name, sigil_name('@', "a constant"));
  if (context_.find_constant(name) != nullptr)
    return cursor_.error_at(place, "constant '@" + name_text(name) + "' is declared twice");
  ZP_CHECK(cursor_.expect("="));
  Constant c;
  c.name = name;
  for (ConstantKind kind : {ConstantKind::Parameter, ConstantKind::Buffer, ConstantKind::NonPersistentBuffer,
                            ConstantKind::Literal})
    if (cursor_.accept(text_form::constant_kind_word(kind))) c.kind = kind;
  c.requires_grad = cursor_.accept("grad");
  ZP_TRY(c.dtype, dtype());
  bool ranked = true;
  ZP_TRY(const std::vector<Dim> dims, shape(&ranked));
  std::vector<int64_t> extents;
  int64_t count = 1;
  bool fits = true;
  for (const Dim& d : dims) {
    if (!d.is_known()) return cursor_.error_at(place, "the shape of a constant is made of numbers");
    extents.push_back(d.value());
    fits = fits && !__builtin_mul_overflow(count, d.value(), &count);
  }
  if (!ranked) return cursor_.error_at(place, "the shape of a constant is made of numbers");
  if (!fits || count > (int64_t{1} << 48))
    return cursor_.error_at(place, "the constant has too many elements");
  c.shape = List<int64_t>(extents.data(), extents.size());
  if (cursor_.at_line_end()) {
    c.stripped = true;
  } else {
    ZP_TRY(c.storage, constant_data(c.dtype, count, dims.empty()));
  }
  context_.add_constant(std::move(c));
  return {};
}

// #NAME = QUANTIZATION
Status TextParser::alias() {
  const Place place = cursor_.place();
  ZP_TRY(const std::string name, sigil_name('#', "a type"));
  if (aliases_.contains(name))
    return cursor_.error_at(place, "type '#" + name_text(name) + "' is declared twice");
  ZP_CHECK(cursor_.expect("="));
  ZP_TRY(aliases_[name], quant_or_alias());
  return {};
}

Status TextParser::main_graph() {
  Graph& g = *model_.graph;
  if (cursor_.peek() != '(') {
    ZP_TRY(const std::string name, plain_name("the name of the graph or '('"));
    g.set_name(name);
  }
  ZP_CHECK(cursor_.expect("("));
  while (!cursor_.accept(")")) {
    if (!g.inputs().empty()) ZP_CHECK(cursor_.expect(","));
    ZP_CHECK(main_input());
  }
  ZP_CHECK(cursor_.expect("->"));
  ZP_CHECK(cursor_.expect("("));
  std::vector<OutputName> outputs;
  while (!cursor_.accept(")")) {
    if (!outputs.empty()) ZP_CHECK(cursor_.expect(","));
    ZP_TRY(OutputName output, main_output());
    model_.outputs.push_back(output.info);
    outputs.push_back(std::move(output));
  }
  return body(g, outputs);
}

// %x: TYPE | state %x [= @initial]: TYPE | token %x: TYPE
Status TextParser::main_input() {
  InputInfo info;
  if (cursor_.accept("state")) info.kind = InputInfo::State;
  else if (cursor_.accept("token")) info.kind = InputInfo::Token;
  const Place place = cursor_.place();
  ZP_TRY(const std::string name, sigil_name('%', "an input"));
  ZP_CHECK(check_new_name(*model_.graph, name, place));
  if (info.kind == InputInfo::State && cursor_.accept("=")) { ZP_TRY(info.initial, constant_reference()); }
  ZP_CHECK(cursor_.expect(":"));
  ZP_TRY(const Type* type, full_type("an input"));
  model_.graph->add_input(name, type);
  model_.inputs.push_back(info);
  return {};
}

// %y | _ | update %state: %y | mutate %input: %y | token %y
Result<TextParser::OutputName> TextParser::main_output() {
  OutputInfo info;
  if (cursor_.accept("update")) info.kind = OutputInfo::StateUpdate;
  else if (cursor_.accept("mutate")) info.kind = OutputInfo::InputMutation;
  else if (cursor_.accept("token")) info.kind = OutputInfo::Token;
  if (info.kind == OutputInfo::StateUpdate || info.kind == OutputInfo::InputMutation) {
    const Place place = cursor_.place();
    ZP_TRY(Value* const target, value_reference(*model_.graph));
    const InputInfo::Kind wanted = info.kind == OutputInfo::StateUpdate ? InputInfo::State : InputInfo::User;
    info.target = target->index();
    if (model_.inputs[target->index()].kind != wanted) {
      return cursor_.error_at(place, fmt::format("'%{}' is {} input", name_text(target->name()),
                                                 wanted == InputInfo::State ? "no state" : "not a user"));
    }
    ZP_CHECK(cursor_.expect(":"));
  }
  ZP_TRY(OutputName output, output_value());
  output.info = info;
  return output;
}

Result<TextParser::OutputName> TextParser::output_value() {
  OutputName output;
  output.place = cursor_.place();
  if (cursor_.accept("_")) return output;
  ZP_TRY(output.name, sigil_name('%', "an output"));
  return output;
}

// { NODE* }
Status TextParser::body(Graph& graph, const std::vector<OutputName>& outputs) {
  ZP_CHECK(cursor_.expect("{"));
  while (!cursor_.accept("}")) {
    if (cursor_.at_end()) return cursor_.wanted("a node or '}'");
    ZP_CHECK(node(graph));
  }
  std::vector<Value*> values;
  for (const OutputName& output : outputs) {
    values.push_back(output.name.empty() ? nullptr : graph.find(output.name));
    const bool hidden = values.back() != nullptr && literals_.contains(values.back());
    if (!output.name.empty() && (values.back() == nullptr || hidden)) {
      return cursor_.error_at(output.place,
                              "output '%" + name_text(output.name) + "' is not defined in this graph");
    }
  }
  graph.set_outputs(values);
  return {};
}

// region [NAME](%x: TYPE, ...) -> (%y, ...) { NODE* }
Status TextParser::region(Node& parent) {
  if (++depth_ > kMaxRegionDepth)
    return cursor_.error(fmt::format("regions nested deeper than {}", kMaxRegionDepth));
  Graph& g = *parent.add_region();
  if (cursor_.peek() != '(') {
    ZP_TRY(const std::string name, plain_name("the name of the region or '('"));
    g.set_name(name);
  }
  ZP_CHECK(cursor_.expect("("));
  while (!cursor_.accept(")")) {
    if (!g.inputs().empty()) ZP_CHECK(cursor_.expect(","));
    const Place place = cursor_.place();
    ZP_TRY(const std::string name, sigil_name('%', "an input of the region"));
    ZP_CHECK(check_new_name(g, name, place));
    ZP_CHECK(cursor_.expect(":"));
    ZP_TRY(const Type* type, full_type("an input"));
    g.add_input(name, type);
  }
  ZP_CHECK(cursor_.expect("->"));
  ZP_CHECK(cursor_.expect("("));
  std::vector<OutputName> outputs;
  while (!cursor_.accept(")")) {
    if (!outputs.empty()) ZP_CHECK(cursor_.expect(","));
    ZP_TRY(OutputName output, output_value());
    outputs.push_back(std::move(output));
  }
  ZP_CHECK(body(g, outputs));
  --depth_;
  return {};
}

// A name, quoted if it has odd characters.
Result<std::string> TextParser::plain_name(std::string_view what) {
  const Place place = cursor_.place();
  if (cursor_.raw() != '"') {
    ZP_TRY(const std::string_view plain, cursor_.dotted_name(what));
    return std::string(plain);
  }
  ZP_TRY(std::string name, cursor_.quoted(what));
  if (name.empty()) return cursor_.error_at(place, "a name may not be empty");
  return name;
}

Result<std::string> TextParser::sigil_name(char sigil, std::string_view what) {
  if (cursor_.peek() != sigil) return cursor_.wanted(fmt::format("{} ({}name)", what, sigil));
  cursor_.skip_raw(1);
  return plain_name(fmt::format("a name after '{}'", sigil));
}

Result<const Constant*> TextParser::constant_reference() {
  const Place place = cursor_.place();
  ZP_TRY(const std::string name, sigil_name('@', "a constant"));
  if (const Constant* c = context_.find_constant(name)) return c;
  std::vector<std::string_view> known;
  for (const Constant* c : context_.constants()) known.push_back(c->name);
  return cursor_.error_at(place,
                          "constant '@" + name_text(name) + "' is not declared" + suggestion(name, known));
}

Result<Value*> TextParser::value_reference(Graph& graph) {
  const Place place = cursor_.place();
  ZP_TRY(const std::string name, sigil_name('%', "a value"));
  Value* value = graph.find(name);
  if (value != nullptr && !literals_.contains(value)) return value;
  std::vector<std::string_view> known;
  for (Value* v : graph.inputs()) known.push_back(v->name());
  for (Node* n : graph.nodes())
    for (size_t i = 0; i < n->result_count(); ++i)
      if (!literals_.contains(n->result(i))) known.push_back(n->result(i)->name());
  const char* scope =
      graph.parent() != nullptr ? " in this region (what it uses from outside are its inputs)" : "";
  return cursor_.error_at(place, fmt::format("value '%{}' is not defined before this place{}{}",
                                             name_text(name), scope, suggestion(name, known)));
}

Status TextParser::check_new_name(Graph& graph, const std::string& name, const Place& place) {
  free_name(graph, name);
  if (graph.find(name) == nullptr) return {};
  return cursor_.error_at(place, "value '%" + name_text(name) + "' is defined twice");
}

// Numbers in operand position have nodes too, whose names nobody wrote: they step aside.
void TextParser::free_name(Graph& graph, const std::string& name) {
  Value* holder = graph.find(name);
  if (holder != nullptr && literals_.contains(holder)) holder->set_name(name + "_1");
}

Result<std::unique_ptr<Model>> parse_model(std::string_view text, const OpTable& ops, std::string_view file) {
  auto model = std::make_unique<Model>();
  model->format = "zp";
  model->path = file;
  model->file_bytes = text.size();
  ZP_CHECK(TextParser(model_text(text), file, ops, *model).parse());
  model->source_nodes = model->graph->node_count();
  for (const Node* n : model->graph->nodes()) ++model->source_ops[std::string(op_label(*n))];
  return model;
}

}  // namespace zp
