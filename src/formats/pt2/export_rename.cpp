// Argument lists of an archive, written again with other names. The text was valid when it was imported; it
// is parsed again here because only few nodes need it.
#include <simdjson.h>

#include <fmt/format.h>

#include "formats/pt2/export_node.h"

namespace zp::pt2 {
namespace {

using simdjson::dom::element;

constexpr int kMaxDepth = 500;

Error broken(std::string_view what) {
  return Error("export.json", fmt::format("the source's arguments cannot be read: {}", what));
}

std::string_view text_of(element e) {
  std::string_view text;
  return e.get(text) == simdjson::SUCCESS ? text : std::string_view();
}

class Rewriter {
 public:
  Rewriter(JsonWriter& out, Renamer& renamer) : out_(out), renamer_(renamer) {}

  Status value(element e, int depth) {
    if (depth > kMaxDepth) return broken("nested too deeply");
    switch (e.type()) {
      case simdjson::dom::element_type::ARRAY:
        out_.begin_array();
        for (element item : simdjson::dom::array(e)) ZP_CHECK(value(item, depth + 1));
        out_.end_array();
        return {};
      case simdjson::dom::element_type::OBJECT:
        out_.begin_object();
        for (const auto field : simdjson::dom::object(e)) {
          out_.key(field.key);
          ZP_CHECK(named(field.key, field.value, depth + 1));
        }
        out_.end_object();
        return {};
      case simdjson::dom::element_type::STRING: out_.value(text_of(e)); return {};
      case simdjson::dom::element_type::DOUBLE: out_.value(double(e)); return {};
      default: out_.raw(simdjson::minify(e)); return {};
    }
  }

 private:
  // The value of a key: the variants that name values get the new names, subgraphs have names of their own.
  Status named(std::string_view key, element e, int depth) {
    if (inside_graph_) return value(e, depth);
    if (key == "as_tensor" && e.is_object()) return tensor(e);
    if (key == "as_tensors" && e.is_array()) {
      out_.begin_array();
      for (element item : simdjson::dom::array(e)) ZP_CHECK(tensor(item));
      out_.end_array();
      return {};
    }
    if (key == "as_nested_tensors" && e.is_array()) {
      out_.begin_array();
      for (element item : simdjson::dom::array(e)) ZP_CHECK(named("as_tensors", item, depth + 1));
      out_.end_array();
      return {};
    }
    if (key == "as_sym_int" || key == "as_sym_float" || key == "as_sym_bool") return number(e, depth);
    if ((key == "as_sym_ints" || key == "as_sym_floats" || key == "as_sym_bools") && e.is_array()) {
      out_.begin_array();
      for (element item : simdjson::dom::array(e)) ZP_CHECK(number(item, depth));
      out_.end_array();
      return {};
    }
    if (key == "as_graph") {
      inside_graph_ = true;
      Status status = value(e, depth);
      inside_graph_ = false;
      return status;
    }
    return value(e, depth);
  }

  Status tensor(element e) {
    std::string_view name;
    if (e["name"].get(name) != simdjson::SUCCESS) return broken("a tensor without a name");
    ZP_TRY(const std::string now, renamer_.tensor(name));
    out_.begin_object().field("name", now).end_object();
    return {};
  }

  Status number(element e, int depth) {
    std::string_view name;
    if (e["as_name"].get(name) != simdjson::SUCCESS) return value(e, depth + 1);
    ZP_TRY(const std::string now, renamer_.number(name));
    out_.raw(now);
    return {};
  }

  JsonWriter& out_;
  Renamer& renamer_;
  bool inside_graph_ = false;
};

Result<element> parse(simdjson::dom::parser& parser, std::string_view json) {
  element e;
  if (const auto error = parser.parse(json.data(), json.size()).get(e))
    return broken(simdjson::error_message(error));
  if (!e.is_array()) return broken("no list");
  return e;
}

class Collector : public Renamer {
 public:
  Result<std::string> tensor(std::string_view name) override {
    names.emplace_back(name);
    return std::string();
  }
  Result<std::string> number(std::string_view) override { return std::string("null"); }
  std::vector<std::string> names;
};

bool names_values(element e, int depth) {
  if (depth > kMaxDepth) return true;
  if (e.is_array()) {
    for (element item : simdjson::dom::array(e))
      if (names_values(item, depth + 1)) return true;
  } else if (e.is_object()) {
    for (const auto field : simdjson::dom::object(e))
      if (field.key == "name" || field.key == "as_name" || names_values(field.value, depth + 1)) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<ArgText>> rename_arguments(std::string_view json, Context& context, Renamer& renamer) {
  simdjson::dom::parser parser;
  ZP_TRY(const element list, parse(parser, json));
  std::vector<ArgText> args;
  for (element item : simdjson::dom::array(list)) {
    ArgText arg;
    std::string_view name;
    element value;
    int64_t kind = 1;
    if (item["name"].get(name) != simdjson::SUCCESS || item["arg"].get(value) != simdjson::SUCCESS)
      return broken("an argument without a name or value");
    if (item["kind"].get(kind) == simdjson::SUCCESS) arg.keyword = kind == 2;
    arg.name = context.text(name);
    JsonWriter out;
    ZP_CHECK(Rewriter(out, renamer).value(value, 0));
    arg.json = out.take();
    args.push_back(std::move(arg));
  }
  return args;
}

Result<std::vector<std::string>> tensor_names(std::string_view json) {
  simdjson::dom::parser parser;
  ZP_TRY(const element list, parse(parser, json));
  Collector collector;
  JsonWriter ignored;
  ZP_CHECK(Rewriter(ignored, collector).value(list, 0));
  return std::move(collector.names);
}

std::optional<std::string> raw_argument(std::string_view json, std::string_view name) {
  simdjson::dom::parser parser;
  Result<element> list = parse(parser, json);
  if (!list.ok()) return {};
  for (element item : simdjson::dom::array(*list)) {
    element value;
    if (text_of(item["name"].get(value) == simdjson::SUCCESS ? value : item) != name) continue;
    if (item["arg"].get(value) != simdjson::SUCCESS || names_values(value, 0)) return {};
    JsonWriter out;
    Collector none;
    if (!Rewriter(out, none).value(value, 0).ok()) return {};
    return out.take();
  }
  return {};
}

}  // namespace zp::pt2
