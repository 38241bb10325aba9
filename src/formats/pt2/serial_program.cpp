// A program around its graph: the signature, the ranges of symbols, what is only carried along, and the
// versions that say whether the rest can be understood.
#include <fmt/format.h>

#include <algorithm>

#include "formats/pt2/serial_reader.h"

namespace zp::pt2 {
namespace {

// The kind that a key of the signature names; false if it names none.
template <typename Kind, size_t N>
bool find_kind(const std::pair<std::string_view, Kind> (&kinds)[N], std::string_view key, Kind* kind) {
  for (const auto& [name, named] : kinds) {
    if (name != key) continue;
    *kind = named;
    return true;
  }
  return false;
}

}  // namespace

bool ProgramReader::read_input_spec(JsonValue value, SourceInput* out) {
  using Kind = SourceInput::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{"user_input", Kind::User},
                                                          {"parameter", Kind::Parameter},
                                                          {"buffer", Kind::Buffer},
                                                          {"tensor_constant", Kind::TensorConstant},
                                                          {"custom_obj", Kind::CustomObject},
                                                          {"token", Kind::Token},
                                                          {"constant_input", Kind::ConstantInput}};
  return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (!find_kind(kKinds, key, &out->kind))
      return problem(fmt::format("the signature has an input of the unknown kind '{}'", key));
    return json_.object_fields(v, [&](std::string_view field, JsonValue inner) {
      if (is(field, "parameter_name") || is(field, "buffer_name") || is(field, "tensor_constant_name") ||
          is(field, "custom_obj_name")) {
        return json_.text(inner, &out->fqn);
      }
      if (is(field, "name")) return json_.text(inner, &out->name);
      if (is(field, "persistent")) return json_.boolean(inner, &out->persistent);
      return true;
    });
  });
}

bool ProgramReader::read_output_spec(JsonValue value, SourceOutput* out) {
  using Kind = SourceOutput::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"user_output", Kind::User},
      {"loss_output", Kind::Loss},
      {"buffer_mutation", Kind::BufferMutation},
      {"parameter_mutation", Kind::ParameterMutation},
      {"user_input_mutation", Kind::UserInputMutation},
      {"gradient_to_parameter", Kind::GradientToParameter},
      {"gradient_to_user_input", Kind::GradientToUserInput},
      {"token", Kind::Token}};
  return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (!find_kind(kKinds, key, &out->kind))
      return problem(fmt::format("the signature has an output of the unknown kind '{}'", key));
    return json_.object_fields(v, [&](std::string_view field, JsonValue inner) {
      if (is(field, "buffer_name") || is(field, "parameter_name") || is(field, "user_input_name"))
        return json_.text(inner, &out->target);
      return true;
    });
  });
}

bool ProgramReader::read_signature(JsonValue value) {
  auto specs = [&](JsonValue v, auto& out, auto read) {
    return json_.items(v, [&](JsonValue item) {
      auto& spec = out.emplace_back();
      JsonObject object;
      if (!json_.check(item.get_object().get(object)) || !json_.check(object.raw_json().get(spec.spec)))
        return false;
      while (!spec.spec.empty() && spec.spec.back() != '}') spec.spec.remove_suffix(1);
      if (is_empty_object(spec.spec)) return problem("the signature has an empty entry");
      return json_.check(object.reset().error()) && read(item, &spec);
    });
  };
  return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (is(key, "input_specs"))
      return specs(v, program_.inputs,
                   [&](JsonValue item, SourceInput* out) { return read_input_spec(item, out); });
    if (is(key, "output_specs"))
      return specs(v, program_.outputs,
                   [&](JsonValue item, SourceOutput* out) { return read_output_spec(item, out); });
    return true;
  });
}

// What is only carried along: a list or an object, as its name asks for.
bool ProgramReader::read_raw(std::string_view key, JsonValue value, char open, std::string_view* out) {
  if (!json_.raw(value, out)) return false;
  if (*out == "null") *out = {};
  return out->empty() || out->front() == open ||
         problem(fmt::format("'{}' is not {}", key, open == '[' ? "a list" : "an object"));
}

bool ProgramReader::pass_over(std::string_view key) {
  constexpr size_t kMany = 20;
  auto& keys = program_.unknown_keys;
  if (keys.size() < kMany && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return true;
}

bool ProgramReader::read_module(JsonValue value) {
  bool graph = false, signature = false;
  const bool ok = json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (is(key, "graph")) {
      if (graph) return problem("the program has two graphs");
      graph = true;
      return read_graph(v, program_.graph, 0);
    }
    if (is(key, "signature")) return signature = true, read_signature(v);
    if (is(key, "module_call_graph")) return read_raw(key, v, '[', &program_.module_call_graph);
    if (is(key, "metadata")) return read_raw(key, v, '{', &program_.metadata);
    if (is(key, "treespec_namedtuple_fields")) return read_raw(key, v, '{', &program_.treespec_fields);
    return pass_over(key);
  });
  if (ok && !graph) return problem("the program has no 'graph'");
  return ok && (signature || problem("the program has no 'signature'"));
}

bool ProgramReader::read_ranges(JsonValue value) {
  JsonObject object;
  if (!json_.check(value.get_object().get(object)) ||
      !json_.check(object.raw_json().get(program_.range_constraints)))
    return false;
  if (!json_.check(object.reset().error())) return false;
  return json_.fields(object, [&](std::string_view raw_key, JsonValue v) {
    RangeData range;
    if (!json_.key_text(raw_key, &range.symbol)) return false;
    const bool ok = json_.object_fields(v, [&](std::string_view key, JsonValue bound) {
      int64_t number = 0;
      if ((!is(key, "min_val") && !is(key, "max_val")) || json_.is_null(bound)) return true;
      if (!json_.integer(bound, &number)) return false;
      (is(key, "min_val") ? range.min : range.max) = number;
      return true;
    });
    if (range.min && range.max && *range.min > *range.max)
      return problem(fmt::format("the range {}..{} of '{}' is empty", *range.min, *range.max, range.symbol));
    program_.ranges.push_back(range);
    symbols_.constrain(range.symbol, range.min, range.max);
    return ok;
  });
}

bool ProgramReader::read() {
  JsonObject root;
  if (!json_.root(&root)) return false;
  bool module = false;
  const bool ok = json_.fields(root, [&](std::string_view key, JsonValue v) {
    if (is(key, "graph_module")) {
      if (module) return problem("the program has two 'graph_module'");
      module = true;
      return read_module(v);
    }
    if (is(key, "schema_version")) return read_version(v);
    if (is(key, "range_constraints")) return read_ranges(v);
    if (is(key, "torch_version")) return json_.text(v, &program_.torch_version);
    if (is(key, "verifiers")) return read_raw(key, v, '[', &program_.verifiers);
    if (is(key, "opset_version")) return read_raw(key, v, '{', &program_.opset_version);
    if (is(key, "guards_code")) return read_raw(key, v, '[', &program_.guards_code);
    return pass_over(key);
  });
  return ok && (module || problem("the program has no 'graph_module'"));
}

// Only what tells whether the rest can be understood.
bool ProgramReader::read_versions() {
  JsonObject root;
  if (!json_.root(&root)) return false;
  return json_.fields(root, [&](std::string_view key, JsonValue v) {
    if (is(key, "schema_version")) return read_version(v);
    return !is(key, "torch_version") || json_.text(v, &program_.torch_version);
  });
}

bool ProgramReader::read_version(JsonValue value) {
  return json_.object_fields(value, [&](std::string_view field, JsonValue number) {
    if (is(field, "major")) return json_.integer(number, &program_.schema_major);
    return !is(field, "minor") || json_.integer(number, &program_.schema_minor);
  });
}

}  // namespace zp::pt2
