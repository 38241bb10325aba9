// The JSON form of a backend dictionary (`to_dict` with qualified names): read with every mistake named,
// written with the keys in the order of the dumps. Keys that nothing reads are named too: a wrong key loses
// its field in silence there.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "backend/config_access.h"
#include "backend/torch_names.h"
#include "support/json_writer.h"
#include "support/text_cursor.h"
#include "support/text_format.h"

namespace zeropoint {

namespace dom = simdjson::dom;

namespace {

constexpr std::string_view kObservation[] = {"OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT",
                                             "OUTPUT_SHARE_OBSERVER_WITH_INPUT", "INPUT_OUTPUT_NOT_OBSERVED"};
constexpr std::string_view kPatternKeys[] = {"pattern",
                                             "pattern_complex_format",
                                             "observation_type",
                                             "dtype_configs",
                                             "root_module",
                                             "qat_module",
                                             "reference_quantized_module_for_root",
                                             "fused_module",
                                             "fuser_method",
                                             "root_node_getter",
                                             "extra_inputs_getter",
                                             "num_tensor_args_to_observation_type",
                                             "input_type_to_index",
                                             "index",
                                             "internal_key"};
constexpr std::string_view kDTypeKeys[] = {"input_dtype", "output_dtype", "weight_dtype", "bias_dtype",
                                           "is_dynamic"};
constexpr std::string_view kSlotKeys[] = {"dtype",
                                          "quant_min_lower_bound",
                                          "quant_max_upper_bound",
                                          "scale_min_lower_bound",
                                          "scale_max_upper_bound",
                                          "scale_exact_match",
                                          "zero_point_exact_match"};
constexpr std::string_view kFileKeys[] = {"name",  "configs",     "preset",
                                          "torch", "match_order", "fusion_match_order"};
constexpr int kMaxDepth = 32;

class Reader {
 public:
  Reader(std::vector<std::string>* problems, std::vector<std::string>* notes)
      : problems_(problems), notes_(notes) {}

  void file(dom::element root, BackendConfig* out) {
    dom::object object;
    if (root.get(object) != simdjson::SUCCESS)
      return wrong("expected a dictionary with 'name' and 'configs'");
    for (const auto& field : object) {
      if (std::find(std::begin(kFileKeys), std::end(kFileKeys), field.key) == std::end(kFileKeys))
        notes_->push_back(fmt::format("key \"{}\" of the dictionary is read by nobody", field.key));
    }
    std::string_view name;
    if (object["name"].get(name) == simdjson::SUCCESS) out->set_name(std::string(name));
    dom::element configs;
    if (object["configs"].get(configs) != simdjson::SUCCESS)
      return notes_->push_back("no 'configs': nothing is configured");
    dom::array list;
    if (configs.get(list) != simdjson::SUCCESS)
      return wrong("expected backend_config_dict['configs'] to be a list");
    size_t n = 0;
    for (dom::element one : list) {
      where_ = fmt::format("configs[{}]", n++);
      dom::object entry;
      if (one.get(entry) != simdjson::SUCCESS)
        wrong("expected backend_config_dict['configs'] to hold dictionaries");
      else out->set_backend_pattern_config(pattern_config(entry));
    }
  }

  PatternConfig pattern_config(dom::object entry) {
    PatternConfig c;
    known_keys(entry, kPatternKeys, "a pattern");
    dom::element e;
    if (entry["pattern"].get(e) == simdjson::SUCCESS && !e.is_null()) forward(e, &c);
    if (entry["pattern_complex_format"].get(e) == simdjson::SUCCESS && !e.is_null()) {
      PatternTree tree;
      if (nested(e, &tree, 0)) c.set_pattern_complex_format(std::move(tree));
    }
    if (entry["observation_type"].get(e) == simdjson::SUCCESS)
      c.observation_type = observation(e, "observation_type");
    if (entry["dtype_configs"].get(e) == simdjson::SUCCESS) dtype_configs(e, &c);
    name(entry, "root_module", &c.root_module);
    name(entry, "qat_module", &c.qat_module);
    name(entry, "reference_quantized_module_for_root", &c.reference_quantized_module);
    name(entry, "fused_module", &c.fused_module);
    name(entry, "root_node_getter", &c.root_node_getter);
    name(entry, "extra_inputs_getter", &c.extra_inputs_getter);
    if (entry["fuser_method"].get(e) == simdjson::SUCCESS) fuser(e, &c);
    counts(entry, &c);
    return c;
  }

 private:
  void wrong(std::string text) { problems_->push_back(where_.empty() ? text : where_ + ": " + text); }

  void known_keys(dom::object object, std::span<const std::string_view> known, std::string_view what) {
    for (const auto& field : object) {
      if (std::find(known.begin(), known.end(), field.key) != known.end()) continue;
      std::string_view near = zp::nearest(field.key, known);
      if (field.key == "reference_quantized_module") near = "reference_quantized_module_for_root";
      if (field.key == "bias_type") near = "bias_dtype";
      wrong(fmt::format("unknown key \"{}\" of {}{}", field.key, what,
                        near.empty() ? "" : fmt::format(", did you mean \"{}\"", near)));
    }
  }

  void forward(dom::element e, PatternConfig* c) {
    std::string_view text;
    dom::array list;
    if (e.get(text) == simdjson::SUCCESS) {
      c->set_pattern(std::string(text));
    } else if (e.get(list) == simdjson::SUCCESS) {
      std::vector<std::string> names;
      for (dom::element part : list) {
        if (part.get(text) != simdjson::SUCCESS)
          return wrong("expected the operators of 'pattern' to be names");
        names.emplace_back(text);
      }
      c->set_pattern(std::move(names));
    } else {
      wrong("expected 'pattern' to be a name or a list of names");
    }
  }

  bool nested(dom::element e, PatternTree* tree, int depth) {
    if (depth > kMaxDepth) return wrong(fmt::format("a pattern nested deeper than {}", kMaxDepth)), false;
    std::string_view text;
    dom::array list;
    dom::object object;
    if (e.get(text) == simdjson::SUCCESS) {
      *tree = text == "MatchAllNode" ? PatternTree::any() : PatternTree::op(std::string(text));
      return true;
    }
    if (e.get(list) == simdjson::SUCCESS) {
      tree->kind = PatternTree::Tuple;
      for (dom::element part : list) {
        tree->parts.emplace_back();
        if (!nested(part, &tree->parts.back(), depth + 1)) return false;
      }
      if (tree->parts.size() < 2)
        return wrong("a nested pattern has an operator and at least one argument"), false;
      return true;
    }
    dom::element literal = e;
    if (e.get(object) == simdjson::SUCCESS) {
      if (object["literal"].get(literal) != simdjson::SUCCESS)
        return wrong("a part of a nested pattern is a name, a list or {\"literal\": number}"), false;
    }
    int64_t whole = 0;
    double real = 0;
    bool truth = false;
    if (literal.get(whole) == simdjson::SUCCESS) *tree = PatternTree::number(static_cast<double>(whole));
    else if (literal.get(real) == simdjson::SUCCESS) *tree = PatternTree::number(real, false);
    else if (literal.get(truth) == simdjson::SUCCESS) *tree = PatternTree::number(truth);
    else return wrong("a literal of a nested pattern is no number"), false;
    return true;
  }

  ObservationType observation(dom::element e, std::string_view what) {
    std::string_view text;
    int64_t number = -1;
    if (e.get(text) == simdjson::SUCCESS) {
      if (text.starts_with("ObservationType.")) text.remove_prefix(16);
      const auto at = std::find(std::begin(kObservation), std::end(kObservation), text);
      if (at != std::end(kObservation)) return static_cast<ObservationType>(at - std::begin(kObservation));
    } else if (e.get(number) == simdjson::SUCCESS && number >= 0 && number <= 2) {
      return static_cast<ObservationType>(number);
    }
    wrong(fmt::format("unknown value of {}, known: {}", what, fmt::join(kObservation, ", ")));
    return ObservationType::DifferentObserver;
  }

  void dtype_configs(dom::element e, PatternConfig* c) {
    dom::array list;
    if (e.get(list) != simdjson::SUCCESS)
      return wrong("expected a list of dtype configs in backend_pattern_config_dict[\"dtype_configs\"]");
    for (dom::element one : list) {
      dom::object object;
      if (one.get(object) != simdjson::SUCCESS) {
        wrong("expected a list of dtype configs in backend_pattern_config_dict[\"dtype_configs\"]");
        continue;
      }
      known_keys(object, kDTypeKeys, "a dtype config");
      DTypeConfig d;
      slot(object, "input_dtype", &d.input_dtype);
      slot(object, "output_dtype", &d.output_dtype);
      slot(object, "weight_dtype", &d.weight_dtype);
      dom::element bias;
      std::string_view text;
      if (object["bias_dtype"].get(bias) == simdjson::SUCCESS && !bias.is_null()) {
        if (bias.get(text) == simdjson::SUCCESS) d.bias_dtype = text;
        else wrong("expected bias_dtype to be a dtype");
      }
      bool dynamic = false;
      if (object["is_dynamic"].get(bias) == simdjson::SUCCESS && !bias.is_null()) {
        if (bias.get(dynamic) == simdjson::SUCCESS) d.is_dynamic = dynamic;
        else wrong("expected is_dynamic to be true or false");
      }
      c->dtype_configs.push_back(std::move(d));
    }
  }

  void slot(dom::object object, const char* key, std::optional<DTypeWithConstraints>* out) {
    dom::element e;
    if (object[key].get(e) != simdjson::SUCCESS || e.is_null()) return;
    std::string_view text;
    dom::object constraints;
    if (e.get(text) == simdjson::SUCCESS) {
      *out = DTypeWithConstraints(std::string(text));
      return;
    }
    if (e.get(constraints) != simdjson::SUCCESS)
      return wrong(fmt::format("expected {} to be a dtype or a dtype with constraints", key));
    known_keys(constraints, kSlotKeys, key);
    DTypeWithConstraints s;
    if (constraints["dtype"].get(text) == simdjson::SUCCESS) s.dtype = text;
    const std::pair<const char*, std::optional<double>*> numbers[] = {
        {"quant_min_lower_bound", &s.quant_min_lower_bound},
        {"quant_max_upper_bound", &s.quant_max_upper_bound},
        {"scale_min_lower_bound", &s.scale_min_lower_bound},
        {"scale_max_upper_bound", &s.scale_max_upper_bound},
        {"scale_exact_match", &s.scale_exact_match},
        {"zero_point_exact_match", &s.zero_point_exact_match}};
    for (const auto& [name, target] : numbers) {
      dom::element value;
      if (constraints[name].get(value) != simdjson::SUCCESS || value.is_null()) continue;
      double number = 0;
      if (value.get(number) == simdjson::SUCCESS) *target = number;
      else wrong(fmt::format("expected {} of {} to be a number", name, key));
    }
    *out = std::move(s);
  }

  void name(dom::object entry, const char* key, std::string* out) {
    dom::element e;
    if (entry[key].get(e) != simdjson::SUCCESS || e.is_null()) return;
    std::string_view text;
    if (e.get(text) == simdjson::SUCCESS) *out = text;
    else wrong(fmt::format("expected {} to be a name", key));
  }

  void fuser(dom::element e, PatternConfig* c) {
    std::string_view text;
    dom::object object, closure;
    if (e.get(text) == simdjson::SUCCESS) {
      c->fuser_method = text;
    } else if (e.get(object) == simdjson::SUCCESS && object["factory"].get(text) == simdjson::SUCCESS) {
      c->fuser_method = text;
      if (object["closure"].get(closure) == simdjson::SUCCESS) {
        for (const auto& field : closure)
          if (field.value.get(text) == simdjson::SUCCESS) c->fuser_method_class = text;
      }
    } else if (!e.is_null()) {
      wrong("expected fuser_method to be a name or {\"factory\": name, \"closure\": {...}}");
    }
  }

  void counts(dom::object entry, PatternConfig* c) {
    dom::object map;
    if (entry["num_tensor_args_to_observation_type"].get(map) == simdjson::SUCCESS) {
      for (const auto& field : map) {
        int64_t n = -1;
        if (!zp::read_number(field.key, &n) || n < 0 || n > 64)
          wrong(fmt::format("\"{}\" is no number of tensors", field.key));
        else
          c->num_tensor_args_to_observation_type.emplace_back(static_cast<int>(n),
                                                              observation(field.value, field.key));
      }
    }
    if (entry["input_type_to_index"].get(map) == simdjson::SUCCESS) {
      for (const auto& field : map) {
        int64_t at = -1;
        if (field.value.get(at) != simdjson::SUCCESS || at < 0 || at > 64)
          wrong(fmt::format("input_type_to_index: \"{}\" has no index", field.key));
        else c->input_type_to_index.emplace_back(std::string(field.key), static_cast<int>(at));
      }
    }
  }

  std::vector<std::string>* problems_;
  std::vector<std::string>* notes_;
  std::string where_;
};

// --- writing

void write_number(zp::JsonWriter& json, std::string_view key, double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15) json.field(key, static_cast<int64_t>(value));
  else json.field(key, value);
}

std::string full_dtype(const std::string& name) {
  return name.starts_with("torch.") ? name : "torch." + name;
}

void write_slot(zp::JsonWriter& json, std::string_view key, const DTypeWithConstraints& s) {
  json.key(key).begin_object();
  json.key("dtype");
  if (s.dtype) json.value(full_dtype(*s.dtype));
  else json.null();
  const std::pair<std::string_view, const std::optional<double>*> numbers[] = {
      {kSlotKeys[1], &s.quant_min_lower_bound}, {kSlotKeys[2], &s.quant_max_upper_bound},
      {kSlotKeys[3], &s.scale_min_lower_bound}, {kSlotKeys[4], &s.scale_max_upper_bound},
      {kSlotKeys[5], &s.scale_exact_match},     {kSlotKeys[6], &s.zero_point_exact_match}};
  for (const auto& [name, value] : numbers)
    if (*value) write_number(json, name, **value);
  json.end_object();
}

void write_tree(zp::JsonWriter& json, const PatternTree& tree) {
  switch (tree.kind) {
    case PatternTree::Op: json.value(tree.name); return;
    case PatternTree::Any: json.value("MatchAllNode"); return;
    case PatternTree::Literal:
      json.begin_object();
      if (tree.integer) json.field("literal", static_cast<int64_t>(tree.literal));
      else json.field("literal", tree.literal);
      json.end_object();
      return;
    case PatternTree::Tuple: break;
  }
  json.begin_array();
  for (const PatternTree& part : tree.parts) write_tree(json, part);
  json.end_array();
}

}  // namespace

void ConfigAccess::write_entry(zp::JsonWriter& json, const PatternConfig& c, std::optional<size_t> index) {
  json.begin_object();
  if (index) json.field("index", *index);
  if (c.complex_format) {
    json.key("pattern_complex_format");
    write_tree(json, *c.complex_format);
  } else if (c.is_tuple) {
    json.key("pattern").begin_array();
    for (const std::string& name : c.pattern) json.value(name);
    json.end_array();
  } else if (!c.pattern.empty()) {
    json.field("pattern", c.pattern.front());
  }
  if (const auto key = c.key()) {
    json.key("internal_key");
    write_tree(json, *key);
  }
  for (const auto& [key, text] : keys_of(c)) json.key(key).raw(text);
  json.end_object();
}

std::vector<std::pair<std::string, std::string>> ConfigAccess::keys_of(const PatternConfig& c) {
  std::vector<std::pair<std::string, std::string>> out;
  auto add = [&](std::string_view key, auto&& write) {
    zp::JsonWriter json;
    write(json);
    out.emplace_back(key, json.take());
  };
  add("observation_type", [&](auto& j) { j.value(kObservation[static_cast<size_t>(c.observation_type)]); });
  add("dtype_configs", [&](auto& j) {
    j.begin_array();
    for (const DTypeConfig& d : c.dtype_configs) {
      j.begin_object();
      if (d.input_dtype) write_slot(j, "input_dtype", *d.input_dtype);
      if (d.output_dtype) write_slot(j, "output_dtype", *d.output_dtype);
      if (d.weight_dtype) write_slot(j, "weight_dtype", *d.weight_dtype);
      if (d.bias_dtype) j.field("bias_dtype", full_dtype(*d.bias_dtype));
      if (d.is_dynamic) j.field("is_dynamic", *d.is_dynamic);
      j.end_object();
    }
    j.end_array();
  });
  const std::pair<std::string_view, const std::string*> names[] = {
      {"root_module", &c.root_module},
      {"qat_module", &c.qat_module},
      {"reference_quantized_module_for_root", &c.reference_quantized_module},
      {"fused_module", &c.fused_module},
      {"root_node_getter", &c.root_node_getter},
      {"extra_inputs_getter", &c.extra_inputs_getter}};
  for (const auto& [key, value] : names)
    if (!value->empty()) add(key, [text = value](auto& j) { j.value(*text); });
  if (!c.fuser_method.empty()) {
    add("fuser_method", [&](auto& j) {
      if (c.fuser_method_class.empty()) {
        j.value(c.fuser_method);
      } else {
        j.begin_object().field("factory", c.fuser_method).key("closure").begin_object();
        j.field("sequential", c.fuser_method_class).end_object().end_object();
      }
    });
  }
  if (!c.num_tensor_args_to_observation_type.empty()) {
    add("num_tensor_args_to_observation_type", [&](auto& j) {
      j.begin_object();
      for (const auto& [n, type] : c.num_tensor_args_to_observation_type)
        j.field(std::to_string(n), kObservation[static_cast<size_t>(type)]);
      j.end_object();
    });
  }
  if (!c.input_type_to_index.empty()) {
    add("input_type_to_index", [&](auto& j) {
      j.begin_object();
      for (const auto& [slot, at] : c.input_type_to_index) j.field(slot, at);
      j.end_object();
    });
  }
  return out;
}

PatternConfig ConfigAccess::read_entry(std::string_view text, std::vector<std::string>* problems) {
  dom::parser parser;
  dom::object object;
  std::vector<std::string> notes;
  const simdjson::padded_string padded(text);
  dom::element root;
  if (parser.parse(padded).get(root) != simdjson::SUCCESS || root.get(object) != simdjson::SUCCESS) {
    problems->push_back("no dictionary in JSON form");
    return {};
  }
  return Reader(problems, &notes).pattern_config(object);
}

void ConfigAccess::set_key(PatternConfig* c, std::string_view key, std::string_view text) {
  std::vector<std::string> problems;
  const bool clear = text == "null";
  const PatternConfig one =
      clear ? PatternConfig() : read_entry(fmt::format("{{{}: {}}}", zp::json_quote(key), text), &problems);
  if (key == "observation_type") c->observation_type = one.observation_type;
  else if (key == "dtype_configs") c->dtype_configs = one.dtype_configs;
  else if (key == "root_module") c->root_module = one.root_module;
  else if (key == "qat_module") c->qat_module = one.qat_module;
  else if (key == "reference_quantized_module_for_root")
    c->reference_quantized_module = one.reference_quantized_module;
  else if (key == "fused_module") c->fused_module = one.fused_module;
  else if (key == "root_node_getter") c->root_node_getter = one.root_node_getter;
  else if (key == "extra_inputs_getter") c->extra_inputs_getter = one.extra_inputs_getter;
  else if (key == "num_tensor_args_to_observation_type")
    c->num_tensor_args_to_observation_type = one.num_tensor_args_to_observation_type;
  else if (key == "input_type_to_index") c->input_type_to_index = one.input_type_to_index;
  else if (key == "fuser_method") {
    c->fuser_method = one.fuser_method;
    c->fuser_method_class = one.fuser_method_class;
  }
}

BackendConfig BackendConfig::from_json(std::string_view json) {
  BackendConfig config;
  dom::parser parser;
  const simdjson::padded_string padded(json);
  dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS) {
    config.problems_.push_back(fmt::format("no JSON: {}", simdjson::error_message(error)));
    return config;
  }
  Reader(&config.problems_, &config.notes_).file(root, &config);
  return config;
}

std::string BackendConfig::to_json() const {
  zp::JsonWriter json(1);
  json.begin_object().field("name", name_).key("configs").begin_array();
  for (size_t i = 0; i < configs_.size(); ++i) ConfigAccess::write_entry(json, configs_[i], i);
  json.end_array().end_object();
  return json.take() + "\n";
}

}  // namespace zeropoint
