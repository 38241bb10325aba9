// What the importer, the exporter and the JSON form share of a backend configuration beyond its public face.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/tree.h"
#include "support/json_writer.h"
#include "zeropoint/backend.h"

namespace zp {
class Backend;
}

namespace zeropoint {

struct ConfigAccess {
  static std::vector<std::string>& problems(BackendConfig& c) { return c.problems_; }
  static std::vector<std::string>& notes(BackendConfig& c) { return c.notes_; }
  // One entry of a dictionary; the keys beside its pattern, each as JSON; one entry from JSON.
  static void write_entry(zp::JsonWriter& json, const PatternConfig& c, std::optional<size_t> index);
  static std::vector<std::pair<std::string, std::string>> keys_of(const PatternConfig& c);
  static PatternConfig read_entry(std::string_view json, std::vector<std::string>* problems);
  // Sets one key from JSON; "null" clears it.
  static void set_key(PatternConfig* c, std::string_view key, std::string_view json);
  static BackendConfig of_backend(const zp::Backend& backend);
};

}  // namespace zeropoint
