// Arguments of archives as JSON: one object with the variant's name (torch/_export/serde/schema.py,
// Argument).
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "formats/pt2/export_graph.h"
#include "support/json_writer.h"

namespace zp::pt2 {

inline constexpr const char* kNoneJson = R"({"as_none": true})";

inline std::string variant(std::string_view name, std::string_view json) {
  return fmt::format("{{\"{}\": {}}}", name, json);
}
inline std::string float_json(double value) { return variant("as_float", JsonWriter().value(value).str()); }
inline std::string int_json(int64_t value) { return variant("as_int", std::to_string(value)); }
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
