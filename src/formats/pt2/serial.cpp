#include "formats/pt2/serial_reader.h"

#include <fmt/format.h>

#include "formats/pt2/alias.h"
#include "formats/pt2/schema.h"

namespace zp::pt2 {
namespace {

constexpr int kMaxGraphDepth = 32;    // graphs inside of higher-order operators
constexpr int kMaxArgumentDepth = 8;  // lists and maps inside of one argument

struct Variant {
  std::string_view key;
  ArgTag tag;
};
constexpr Variant kVariants[] = {
    {"as_tensor", ArgTag::Tensor},
    {"as_int", ArgTag::Int},
    {"as_ints", ArgTag::Ints},
    {"as_float", ArgTag::Float},
    {"as_bool", ArgTag::Bool},
    {"as_none", ArgTag::None},
    {"as_scalar_type", ArgTag::ScalarType},
    {"as_tensors", ArgTag::Tensors},
    {"as_sym_int", ArgTag::SymInt},
    {"as_sym_ints", ArgTag::SymInts},
    {"as_string", ArgTag::String},
    {"as_floats", ArgTag::Floats},
    {"as_strings", ArgTag::Strings},
    {"as_memory_format", ArgTag::MemoryFormat},
    {"as_layout", ArgTag::Layout},
    {"as_device", ArgTag::Device},
    {"as_bools", ArgTag::Bools},
    {"as_sym_bool", ArgTag::SymBool},
    {"as_sym_bools", ArgTag::SymBools},
    {"as_graph", ArgTag::Graph},
    {"as_optional_tensors", ArgTag::OptionalTensors},
    {"as_custom_obj", ArgTag::CustomObject},
    {"as_operator", ArgTag::Operator},
    {"as_sym_float", ArgTag::SymFloat},
    {"as_sym_floats", ArgTag::SymFloats},
    {"as_optional_tensor", ArgTag::Tensor},
    {"as_complex", ArgTag::Complex},
    {"as_nested_tensors", ArgTag::NestedTensors},
    {"as_int_lists", ArgTag::IntLists},
    {"as_string_to_argument", ArgTag::StringMap},
    {"as_float_lists", ArgTag::FloatLists},
};

}  // namespace

uint32_t ProgramReader::name_index(GraphData& graph, std::string_view name, ValueData::Kind kind) {
  const auto is_name = [&](uint32_t index) {
    return index < graph.values.size() && graph.values[index].name == name;
  };
  if (is_name(next_name_)) return next_name_++;
  uint32_t& recent = recent_names_[short_hash(name)];
  if (!is_name(recent)) {
    auto [at, added] = graph.names.emplace(name, static_cast<uint32_t>(graph.values.size()));
    if (added) {
      ValueData value;
      value.name = name;
      value.kind = kind;
      graph.values.push_back(value);
    }
    recent = at->second;
  }
  next_name_ = recent + 1;
  return recent;
}

bool ProgramReader::read_sym_int(JsonValue value, Dim* out) {
  return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (is(key, "as_int")) {
      int64_t number = 0;
      if (!json_.integer(v, &number)) return false;
      *out = Dim(number);
      return true;
    }
    if (!is(key, "as_expr")) return true;
    std::string_view text;
    std::optional<int64_t> hint;
    const bool ok = json_.object_fields(v, [&](std::string_view field, JsonValue inner) {
      if (is(field, "expr_str")) return json_.text(inner, &text);
      if (!is(field, "hint") || json_.is_null(inner)) return true;
      return json_.object_fields(inner, [&](std::string_view which, JsonValue number) {
        int64_t n = 0;
        if (!is(which, "as_int")) return true;
        if (!json_.integer(number, &n)) return false;
        hint = n;
        return true;
      });
    });
    if (!ok) return false;
    auto dim = symbols_.read(text, hint);
    if (!dim.ok()) return problem(dim.error().first().text);
    *out = *dim;
    return true;
  });
}

bool ProgramReader::read_tensor_values(JsonValue value, GraphData& graph) {
  return json_.object_fields(value, [&](std::string_view raw_key, JsonValue meta) {
    std::string_view name;
    if (!json_.key_text(raw_key, &name)) return false;
    ValueData& out = graph.values[name_index(graph, name, ValueData::Tensor)];
    out.kind = ValueData::Tensor;
    JsonObject object;
    if (!json_.check(meta.get_object().get(object)) || !json_.check(object.raw_json().get(out.meta)))
      return false;
    while (!out.meta.empty() && out.meta.back() != '}') out.meta.remove_suffix(1);
    if (!json_.check(object.reset().error())) return false;
    dims_.clear();
    const bool ok = json_.fields(object, [&](std::string_view key, JsonValue v) {
      if (is(key, "dtype")) return json_.integer(v, &out.dtype_number);
      if (is(key, "requires_grad")) return json_.boolean(v, &out.requires_grad);
      if (!is(key, "sizes")) return true;
      return json_.items(v, [&](JsonValue item) {
        Dim dim;
        if (!read_sym_int(item, &dim)) return false;
        dims_.push_back(dim);
        return true;
      });
    });
    out.dtype = dtype_of_serialized(out.dtype_number);
    out.sizes = arena_.copy(dims_);
    return ok;
  });
}

bool ProgramReader::read_sym_values(JsonValue value, GraphData& graph, ValueData::Kind kind) {
  return json_.object_fields(value, [&](std::string_view raw_key, JsonValue v) {
    std::string_view name;
    if (!json_.key_text(raw_key, &name)) return false;
    ValueData& out = graph.values[name_index(graph, name, kind)];
    out.kind = kind;
    return kind != ValueData::Int || read_sym_int(v, &out.dim);
  });
}

bool ProgramReader::read_name(JsonValue value, GraphData& graph, Arg* out, ValueData::Kind kind) {
  std::string_view name;
  const bool ok = json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (is(key, "name")) return json_.text(v, &name);
    if (is(key, "as_tensor")) return read_name(v, graph, out, kind);  // OptionalTensorArgument
    if (is(key, "as_none")) out->tag = ArgTag::None;
    return true;
  });
  if (!ok || out->tag == ArgTag::None || !out->text.empty()) return ok;  // an inner call may have read it
  if (name.empty()) return problem("a tensor or object argument has no name");
  out->text = name;
  out->value = name_index(graph, name, ValueData::Undeclared);
  return true;
}

bool ProgramReader::read_symbol_or_literal(JsonValue value, GraphData& graph, Arg* out, ArgTag named) {
  bool known = false;
  const bool ok = json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    known |= is(key, "as_name") || is(key, "as_int") || is(key, "as_float") || is(key, "as_bool");
    if (is(key, "as_name")) {
      out->tag = named;
      if (!json_.text(v, &out->text)) return false;
      out->value = name_index(graph, out->text, ValueData::Undeclared);
      return true;
    }
    if (is(key, "as_int")) {
      out->tag = ArgTag::Int;
      return json_.integer(v, &out->i);
    }
    if (is(key, "as_float")) {
      out->tag = ArgTag::Float;
      return json_.number(v, &out->f);
    }
    if (is(key, "as_bool")) {
      out->tag = ArgTag::Bool;
      return json_.boolean(v, &out->b);
    }
    return true;
  });
  return ok && (known || problem("a symbolic argument has neither a name nor a number"));
}

bool ProgramReader::read_list(ArgTag item_tag, JsonValue value, GraphData& graph, Arg* out, int depth,
                              int nesting) {
  if (nesting >= kMaxArgumentDepth) return problem("an argument is nested too deeply");
  auto frame = args_.frame();
  const bool ok = json_.items(value, [&](JsonValue item) {
    Arg arg;
    arg.tag = item_tag;
    if (!read_payload(item_tag, item, graph, &arg, depth, nesting + 1)) return false;
    frame.push(arg);
    return true;
  });
  out->items = frame.finish(program_.arguments);
  return ok;
}

bool ProgramReader::read_payload(ArgTag tag, JsonValue value, GraphData& graph, Arg* out, int depth,
                                 int nesting) {
  switch (tag) {
    case ArgTag::None: return true;
    case ArgTag::Tensor: return read_name(value, graph, out, ValueData::Tensor);
    case ArgTag::CustomObject: return read_name(value, graph, out, ValueData::Object);
    case ArgTag::Int:
    case ArgTag::ScalarType:
    case ArgTag::MemoryFormat:
    case ArgTag::Layout: return json_.integer(value, &out->i);
    case ArgTag::Float: return json_.number(value, &out->f);
    case ArgTag::Bool: return json_.boolean(value, &out->b);
    case ArgTag::String:
    case ArgTag::Operator: return json_.text(value, &out->text);
    case ArgTag::SymInt:
    case ArgTag::SymFloat:
    case ArgTag::SymBool: return read_symbol_or_literal(value, graph, out, tag);
    case ArgTag::Tensors:
    case ArgTag::OptionalTensors: return read_list(ArgTag::Tensor, value, graph, out, depth, nesting);
    case ArgTag::NestedTensors: return read_list(ArgTag::Tensors, value, graph, out, depth, nesting);
    case ArgTag::Ints: return read_list(ArgTag::Int, value, graph, out, depth, nesting);
    case ArgTag::IntLists: return read_list(ArgTag::Ints, value, graph, out, depth, nesting);
    case ArgTag::SymInts: return read_list(ArgTag::SymInt, value, graph, out, depth, nesting);
    case ArgTag::Floats: return read_list(ArgTag::Float, value, graph, out, depth, nesting);
    case ArgTag::FloatLists: return read_list(ArgTag::Floats, value, graph, out, depth, nesting);
    case ArgTag::SymFloats: return read_list(ArgTag::SymFloat, value, graph, out, depth, nesting);
    case ArgTag::Bools: return read_list(ArgTag::Bool, value, graph, out, depth, nesting);
    case ArgTag::SymBools: return read_list(ArgTag::SymBool, value, graph, out, depth, nesting);
    case ArgTag::Strings: return read_list(ArgTag::String, value, graph, out, depth, nesting);
    case ArgTag::Device:
      return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
        return !is(key, "type") || json_.text(v, &out->text);
      });
    case ArgTag::Complex:
      return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
        return !is(key, "real") || json_.number(v, &out->f);
      });
    case ArgTag::Graph: {
      auto* inner = new GraphData();
      program_.inner_graphs.emplace_back(inner);
      out->graph = inner;
      return json_.object_fields(value, [&](std::string_view key, JsonValue v) {
        if (is(key, "name")) return json_.text(v, &out->text);
        return !is(key, "graph") || read_graph(v, *inner, depth + 1);
      });
    }
    case ArgTag::StringMap: {
      if (nesting >= kMaxArgumentDepth) return problem("an argument is nested too deeply");
      auto frame = args_.frame();
      const bool ok = json_.object_fields(value, [&](std::string_view, JsonValue v) {
        Arg arg;
        if (!read_argument(v, graph, &arg, depth, nesting + 1)) return false;
        frame.push(arg);
        return true;
      });
      out->items = frame.finish(program_.arguments);
      return ok;
    }
    case ArgTag::Absent:
    case ArgTag::Unknown: break;
  }
  return true;
}

bool ProgramReader::read_argument(JsonValue value, GraphData& graph, Arg* out, int depth, int nesting) {
  int variants = 0;
  const bool ok = json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    ++variants;
    for (const Variant& variant : kVariants) {
      if (variant.key.size() != key.size() || variant.key[3] != key[3] || variant.key != key)
        continue;  // all begin with as_
      out->tag = variant.tag;
      return read_payload(variant.tag, v, graph, out, depth, nesting);
    }
    out->tag = ArgTag::Unknown;
    return json_.key_text(key, &out->text);
  });
  if (ok && variants != 1)
    return problem(fmt::format("an argument has {} variants, exactly one is allowed", variants));
  return ok;
}

// nn_module_stack is `key,path,type;key,path,type`: the path of the last entry.
std::string_view ProgramReader::module_path(std::string_view stack) {
  if (stack == last_stack_) return last_path_;
  auto [at, added] = modules_.emplace(stack, std::string_view());
  if (added) {
    const std::string_view last = stack.substr(stack.rfind(';') + 1);  // npos + 1 is 0
    const size_t begin = last.find(','), end = last.rfind(',');
    std::string_view path;
    if (begin != std::string_view::npos)
      path = end > begin ? last.substr(begin + 1, end - begin - 1) : last.substr(begin + 1);
    constexpr std::string_view kSelf = "L['self']";
    if (path == kSelf || path == "L__self__") path = {};
    if (path.starts_with(kSelf) && path.substr(kSelf.size()).starts_with("."))
      path.remove_prefix(kSelf.size() + 1);
    at->second = arena_.intern(path);
  }
  last_stack_ = stack;
  return last_path_ = at->second;
}

bool ProgramReader::read_node(JsonValue value, GraphData& graph, NodeData& node, int depth) {
  auto raw_list = [&](JsonValue v, std::string_view* raw, auto body) {
    JsonArray array;
    if (!json_.check(v.get_array().get(array)) || !json_.check(array.raw_json().get(*raw))) return false;
    while (!raw->empty() && raw->back() != ']') raw->remove_suffix(1);
    if (!json_.check(array.reset().error())) return false;
    for (auto item : array) {
      JsonValue inner;
      if (!json_.check(std::move(item).get(inner)) || !body(inner)) return false;
    }
    return true;
  };
  const bool ok = json_.object_fields(value, [&](std::string_view key, JsonValue v) {
    if (is(key, "target")) {
      const bool ok = json_.text(v, &node.target);
      node.target = recent_texts_.shared(node.target);
      return ok;
    }
    if (is(key, "name")) return json_.optional_text(v, &node.name);
    if (is(key, "inputs")) {
      auto frame = named_.frame();
      const bool ok = raw_list(v, &node.raw_inputs, [&](JsonValue item) {
        NamedArg arg;
        const bool fields = json_.object_fields(item, [&](std::string_view field, JsonValue inner) {
          if (is(field, "name")) return json_.text(inner, &arg.name);
          return !is(field, "arg") || read_argument(inner, graph, &arg.arg, depth, 0);
        });
        arg.name = recent_texts_.shared(arg.name);
        frame.push(arg);
        return fields;
      });
      node.inputs = frame.finish(program_.arguments);
      return ok;
    }
    if (is(key, "outputs")) {
      auto frame = args_.frame();
      const bool ok = raw_list(v, &node.raw_outputs, [&](JsonValue item) {
        Arg arg;
        const bool read = read_argument(item, graph, &arg, depth, 0);
        frame.push(arg);
        return read;
      });
      node.outputs = frame.finish(program_.arguments);
      return ok;
    }
    if (is(key, "metadata")) {
      JsonObject object;
      if (!json_.check(v.get_object().get(object)) || !json_.check(object.raw_json().get(node.raw_metadata)))
        return false;
      while (!node.raw_metadata.empty() && node.raw_metadata.back() != '}')
        node.raw_metadata.remove_suffix(1);
      if (!json_.check_carried(node.raw_metadata) || !json_.check(object.reset().error())) return false;
      return json_.fields(object, [&](std::string_view field, JsonValue inner) {
        std::string_view stack;
        if (!is(field, "nn_module_stack")) return true;
        if (!json_.text(inner, &stack)) return false;
        node.module = module_path(stack);
        return true;
      });
    }
    if (!is(key, "is_hop_single_tensor_return")) return pass_over(key);
    if (json_.is_null(v)) return true;
    bool single = false;
    if (!json_.boolean(v, &single)) return false;
    node.single_return = single ? 1 : 0;
    return true;
  });
  if (!ok) return false;
  // The raw texts of lists are never empty: they hold the brackets.
  const char* missing = node.target.empty()        ? "target"
                        : node.raw_inputs.empty()  ? "inputs"
                        : node.raw_outputs.empty() ? "outputs"
                                                   : nullptr;
  return missing == nullptr ||
         problem(fmt::format("node '{}' (number {}) has no '{}'", node.name, graph.nodes.size(), missing));
}

// Inputs and results of nodes define each name once.
bool ProgramReader::check_definitions(const GraphData& graph) {
  std::vector<bool> defined(graph.values.size());
  const Arg* twice = nullptr;
  auto define = [&](const Arg& leaf) {
    if (defined[leaf.value]) twice = &leaf;
    defined[leaf.value] = true;
  };
  for (const Arg& input : graph.inputs) for_each_name(input, define);
  for (const NodeData& node : graph.nodes)
    for (const Arg& out : node.outputs) for_each_name(out, define);
  return twice == nullptr || problem(fmt::format("'{}' is defined twice", twice->text));
}

bool ProgramReader::read_graph(JsonValue value, GraphData& graph, int depth) {
  if (depth > kMaxGraphDepth)
    return problem(fmt::format("graphs are nested more than {} deep", kMaxGraphDepth));
  JsonObject object;
  if (!json_.check(value.get_object().get(object))) return false;
  constexpr std::pair<std::string_view, ValueData::Kind> kTables[] = {
      {"sym_int_values", ValueData::Int},
      {"sym_bool_values", ValueData::Bool},
      {"sym_float_values", ValueData::Float},
      {"custom_obj_values", ValueData::Object},
      {"tensor_values", ValueData::Tensor}};
  auto arguments = [&](JsonValue v, List<Arg>* out, List<std::string_view>* raws) {
    auto frame = args_.frame();
    auto raw_frame = texts_.frame();
    const bool read = json_.items(v, [&](JsonValue item) {
      JsonObject inner;
      std::string_view raw;
      if (!json_.check(item.get_object().get(inner)) || !json_.check(inner.raw_json().get(raw))) return false;
      while (!raw.empty() && raw.back() != '}') raw.remove_suffix(1);
      if (is_empty_object(raw)) return problem("an argument has 0 variants, exactly one is allowed");
      if (!json_.check(inner.reset().error())) return false;
      Arg arg;
      const bool good = read_argument(item, graph, &arg, depth, 0);
      frame.push(arg);
      raw_frame.push(raw);
      return good;
    });
    *out = frame.finish(program_.arguments);
    *raws = raw_frame.finish(arena_);
    return read;
  };
  bool inputs = false, outputs = false, nodes = false;
  const bool ok = json_.fields(object, [&](std::string_view key, JsonValue v) {
    if (is(key, "inputs")) return inputs = true, arguments(v, &graph.inputs, &graph.raw_inputs);
    if (is(key, "outputs")) return outputs = true, arguments(v, &graph.outputs, &graph.raw_outputs);
    if (is(key, "is_single_tensor_return")) return json_.boolean(v, &graph.single_tensor_return);
    for (auto [name, kind] : kTables) {
      if (key != name) continue;
      return kind == ValueData::Tensor ? read_tensor_values(v, graph) : read_sym_values(v, graph, kind);
    }
    if (!is(key, "nodes")) return pass_over(key);
    nodes = true;
    return json_.items(v, [&](JsonValue item) {
      NodeData node;
      const bool read = read_node(item, graph, node, depth);
      graph.nodes.push_back(node);
      return read;
    });
  });
  if (!ok) return false;
  const char* missing = !inputs ? "inputs" : !outputs ? "outputs" : !nodes ? "nodes" : nullptr;
  if (missing != nullptr) return problem(fmt::format("a graph has no '{}'", missing));
  return check_definitions(graph);
}

std::string_view arg_tag_name(ArgTag tag) {
  if (tag == ArgTag::Absent) return "absent";
  for (const Variant& variant : kVariants)
    if (variant.tag == tag) return variant.key;
  return "unknown";
}

bool Arg::is_list() const {
  switch (tag) {
    case ArgTag::Tensors:
    case ArgTag::OptionalTensors:
    case ArgTag::Ints:
    case ArgTag::SymInts:
    case ArgTag::Floats:
    case ArgTag::SymFloats:
    case ArgTag::Bools:
    case ArgTag::SymBools:
    case ArgTag::Strings:
    case ArgTag::NestedTensors:
    case ArgTag::IntLists:
    case ArgTag::FloatLists: return true;
    default: return false;
  }
}

Result<std::unique_ptr<ProgramData>> read_program(Blob text, Arena& arena, SymbolReader& symbols,
                                                  std::string_view what) {
  auto program = std::make_unique<ProgramData>();
  program->text = padded_text(text);
  // Names, values and nodes come by the thousand: a node takes some 700 bytes of text or more.
  program->graph.names.reserve(text.size() / 800);
  program->graph.values.reserve(text.size() / 700);
  program->graph.nodes.reserve(text.size() / 700);
  Json json(program->text, arena, what);
  ProgramReader reader(*program, json, arena, symbols);
  const bool ok = reader.read();
  if (!ok && program->schema_major < 0) {
    // The version comes last in the text; it explains better than where reading stopped.
    Json again(program->text, arena, what);
    ProgramReader versions(*program, again, arena, symbols);
    if (!versions.read_versions()) return json.error();
  }
  if (program->schema_major != 8) {
    return Error(
        "pt2.schema",
        program->schema_major < 0
            ? fmt::format("record '{}' has no schema version: it is no exported program", what)
            : fmt::format(
                  "schema {}.{} (torch {}): only major version 8 is read (torch 2.6 and later); export the "
                  "model again with a current torch",
                  program->schema_major, program->schema_minor, program->torch_version));
  }
  if (!reader.semantic_error().empty()) return Error("pt2.program", reader.semantic_error());
  if (!ok || json.failed()) return json.error();
  if (program->graph.inputs.size() != program->inputs.size() ||
      program->graph.outputs.size() != program->outputs.size()) {
    return Error("pt2.signature",
                 fmt::format("the graph has {} inputs and {} outputs, the signature {} and {}",
                             program->graph.inputs.size(), program->graph.outputs.size(),
                             program->inputs.size(), program->outputs.size()));
  }
  for (size_t i = 0; i < program->inputs.size(); ++i) {
    SourceInput& input = program->inputs[i];
    input.argument = program->graph.raw_inputs[i];
    if (input.kind != SourceInput::ConstantInput) input.name = program->graph.inputs[i].text;
  }
  for (size_t i = 0; i < program->outputs.size(); ++i)
    program->outputs[i].argument = program->graph.raw_outputs[i];
  return program;
}

Result<DenseMeta> read_dense_meta(std::string_view raw) {
  DenseMeta meta;
  Arena arena;
  const Blob text = Blob::copy_of(std::as_bytes(std::span(raw)));
  Json json(text, arena, "TensorMeta");
  auto number = [&](JsonValue value, int64_t* out) {
    bool found = false;
    return json.object_fields(value, [&](std::string_view key, JsonValue v) {
      return !is(key, "as_int") || (found = json.integer(v, out));
    }) && found;
  };
  auto numbers = [&](JsonValue value, std::vector<int64_t>& out) {
    return json.items(value, [&](JsonValue item) { return number(item, &out.emplace_back()); });
  };
  JsonObject root;
  const bool ok = json.root(&root) && json.fields(root, [&](std::string_view key, JsonValue v) {
    if (is(key, "sizes")) return numbers(v, meta.sizes);
    if (is(key, "strides")) return numbers(v, meta.strides);
    return !is(key, "storage_offset") || number(v, &meta.offset);
  });
  if (!ok) return Error("pt2.meta", "sizes or strides are symbolic or missing");
  return meta;
}

}  // namespace zp::pt2
