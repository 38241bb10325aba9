// Inside of serial.h: the reader of a program's text, one method for each structure of the schema. The graph
// and what is in it is in serial.cpp, all around it (signature, ranges, versions) in serial_program.cpp. Only
// for these two files: the parser's header is long.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pt2/json.h"
#include "formats/pt2/serial.h"

namespace zp::pt2 {

// Comparison with a literal, its length known to the compiler: keys are compared by the hundred thousand.
template <size_t N>
bool is(std::string_view key, const char (&literal)[N]) {
  return key.size() == N - 1 && std::memcmp(key.data(), literal, N - 1) == 0;
}

// An object without fields cannot be entered a second time, as those can whose text was taken before.
inline bool is_empty_object(std::string_view raw) {
  const size_t first = raw.find_first_not_of(" \n\r\t", 1);
  return first == std::string_view::npos || raw[first] == '}';
}

// Stack for the items of lists under construction: one vector for all depths.
template <typename T>
class Pending {
 public:
  class Frame {
   public:
    explicit Frame(Pending& all) : all_(all), begin_(all.items_.size()) {}
    ~Frame() { all_.items_.resize(begin_); }
    void push(const T& item) { all_.items_.push_back(item); }
    List<T> finish(Arena& arena) const { return arena.copy(std::span<const T>(all_.items_).subspan(begin_)); }

   private:
    Pending& all_;
    size_t begin_;
  };
  Frame frame() { return Frame(*this); }

 private:
  std::vector<T> items_;
};

// A number for a text of which equal texts get the same one: cheap, for small tables where a miss does no
// harm.
inline size_t short_hash(std::string_view text) {
  uint64_t last = 0;
  const size_t bytes = text.size() < sizeof(last) ? text.size() : sizeof(last);
  if (bytes > 0) std::memcpy(&last, text.data() + (text.size() - bytes), bytes);
  return static_cast<size_t>(((last ^ text.size()) * 0x9E3779B97F4A7C15u) >> 54);  // ten bits
}

// Equal texts that come again soon share one place: whoever reads them later finds it in the caches, while
// each place in the document would have to come from memory.
class RecentTexts {
 public:
  std::string_view shared(std::string_view text) {
    std::string_view& recent = texts_[short_hash(text)];
    if (recent != text) recent = text;
    return recent;
  }

 private:
  std::vector<std::string_view> texts_ = std::vector<std::string_view>(1024);
};

class ProgramReader {
 public:
  ProgramReader(ProgramData& program, Json& json, Arena& arena, SymbolReader& symbols)
      : program_(program), json_(json), arena_(arena), symbols_(symbols) {}

  bool read();
  bool read_versions();
  const std::string& semantic_error() const { return problem_; }

 private:
  bool problem(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
    return false;
  }
  // Keys of newer schemas are passed over, as torch does; true, so that reading goes on.
  bool pass_over(std::string_view key);
  bool read_version(JsonValue value);
  bool read_ranges(JsonValue value);
  bool read_module(JsonValue value);
  bool read_raw(std::string_view key, JsonValue value, char open, std::string_view* out);
  bool read_signature(JsonValue value);
  bool read_input_spec(JsonValue value, SourceInput* out);
  bool read_output_spec(JsonValue value, SourceOutput* out);
  bool read_graph(JsonValue value, GraphData& graph, int depth);
  bool read_tensor_values(JsonValue value, GraphData& graph);
  bool read_sym_values(JsonValue value, GraphData& graph, ValueData::Kind kind);
  bool read_sym_int(JsonValue value, Dim* out);
  bool read_node(JsonValue value, GraphData& graph, NodeData& node, int depth);
  bool check_definitions(const GraphData& graph);
  bool read_argument(JsonValue value, GraphData& graph, Arg* out, int depth, int nesting);
  bool read_payload(ArgTag tag, JsonValue value, GraphData& graph, Arg* out, int depth, int nesting);
  bool read_name(JsonValue value, GraphData& graph, Arg* out, ValueData::Kind kind);
  bool read_symbol_or_literal(JsonValue value, GraphData& graph, Arg* out, ArgTag named);
  bool read_list(ArgTag item_tag, JsonValue value, GraphData& graph, Arg* out, int depth, int nesting);
  uint32_t name_index(GraphData& graph, std::string_view name, ValueData::Kind kind);
  std::string_view module_path(std::string_view stack);

  ProgramData& program_;
  Json& json_;
  Arena& arena_;
  SymbolReader& symbols_;
  Pending<Arg> args_;
  Pending<NamedArg> named_;
  Pending<std::string_view> texts_;
  RecentTexts recent_texts_;  // targets and names of arguments
  // Most names were met a moment ago, or come in the order they first came in: both spare a look in the
  // table.
  std::vector<uint32_t> recent_names_ = std::vector<uint32_t>(1024);
  uint32_t next_name_ = 0;
  std::vector<Dim> dims_;
  std::unordered_map<std::string_view, std::string_view> modules_;  // by nn_module_stack
  std::string_view last_stack_, last_path_;                         // neighbours usually share their module
  std::string problem_;
};

}  // namespace zp::pt2
