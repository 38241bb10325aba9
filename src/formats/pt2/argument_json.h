// Arguments of archives as JSON: one object with the variant's name (torch/_export/serde/schema.py,
// Argument).
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <string_view>

#include "formats/pt2/export_graph.h"
#include "support/json_writer.h"

namespace zp::pt2 {

inline constexpr const char* kNoneJson = R"({"as_none": true})";

// {"name": json}; concatenated by hand because every argument of every node passes here.
inline std::string variant(std::string_view name, std::string_view json) {
  std::string out;
  out.reserve(name.size() + json.size() + 6);
  ((((out += "{\"") += name) += "\": ") += json) += '}';
  return out;
}
// {"name": "x"}
inline std::string name_json(std::string_view name) {
  std::string out;
  out.reserve(name.size() + 16);
  out += "{\"name\": ";
  append_json_quoted(out, name);
  out += '}';
  return out;
}
inline std::string tensor_json(std::string_view name) { return variant("as_tensor", name_json(name)); }
inline std::string float_json(double value) { return variant("as_float", JsonWriter().value(value).str()); }
inline std::string int_json(int64_t value) {
  char digits[24];
  return variant("as_int", {digits, std::to_chars(digits, digits + sizeof(digits), value).ptr});
}
inline std::string bool_json(bool value) { return variant("as_bool", value ? "true" : "false"); }
inline std::string string_json(std::string_view value) { return variant("as_string", json_quote(value)); }
inline std::string dtype_json(DType dtype) {
  return variant("as_scalar_type", std::to_string(serialized_dtype(stored_dtype(dtype))));
}
template <typename T>
std::string list_json(std::string_view name, const T& items) {
  JsonWriter json;
  json.begin_array();
  for (const auto& item : items) json.value(item);
  return variant(name, json.end_array().str());
}

}  // namespace zp::pt2
