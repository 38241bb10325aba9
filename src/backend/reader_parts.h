// The reader of .zpb files, by subject: reader.cpp (the grammar and the items), read_elements.cpp (types with
// their ranges, grids and bounds), read_patterns.cpp (patterns and their clauses).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backend/reader.h"
#include "support/text_cursor.h"
#include "support/text_format.h"

namespace zp::backend {

// A word that opens an item: what may follow a clause.
bool is_item(std::string_view word);

struct Rational {
  double value = 0;
  std::string text;
};

class FileReader {
 public:
  FileReader(std::string_view text, std::string_view file, std::vector<Diagnostic>* problems)
      : cursor_(text, file), problems_(problems) {
    file_.path = file;
  }
  File read();

 private:
  void report(Diagnostic d);
  void keep(const Status& status);
  // To the next line that begins with the keyword of an item.
  void recover(size_t before);
  void next_line();
  Error unknown(const TextCursor::Place& at, std::string_view what, std::string_view word,
                std::span<const std::string_view> known);
  Result<std::string> name(std::string_view what);
  Result<std::vector<std::string>> names(std::string_view what);
  // A number, a power (2^-12) or a ratio (1/256); the text keeps the form.
  Result<Rational> rational();
  Status header();
  Status item();
  Status extends();
  Status class_item(Place at);
  Status type_item(Place at);
  Result<std::vector<SlotTypes>> slot_block();
  Status types_item(Place at);
  Status kernel_item(Place at);
  Status predicate_item(Place at);
  Status settings(std::vector<Setting>* out, std::vector<SlotTypes>* wishes = nullptr);
  Status config_item(Place at);
  Result<std::vector<Elem>> elems();
  Result<Elem> elem();
  Status range(Elem* e);
  // One word of an element; false (and nothing consumed) if what comes is no such word.
  Result<bool> elem_word(Elem* e);
  Status axis(Granularity* g);
  Status group(Granularity* g);
  Status block(Granularity* g);
  Status fixed(Elem* e);
  Status derived(Elem* e);
  Status bound(Elem* e, bool eps);
  Status pattern_item(Place at);
  // A `types` or `kernel` with a block in braces is an item, not a clause.
  bool opens_block();
  Result<bool> clause(PatternDef* def);
  Status named_list(std::vector<std::pair<std::string, Place>>* out);
  Status alias(PatternDef* def);
  Result<std::string> slot_name();
  Status observe(PatternDef* def, Place at);
  Status root(PatternDef* def, Place at);
  Status extra(PatternDef* def);
  Status where(PatternDef* def, Place at);
  Status otherwise(PatternDef* def);
  Status becomes(PatternDef* def, Place at);
  Result<Becomes::Attr> becomes_attr();
  TextCursor cursor_;
  std::vector<Diagnostic>* problems_;
  File file_;
};

}  // namespace zp::backend
