// The on-demand JSON parser behind functions that report the first problem instead of throwing. Only for .cpp
// files of this folder: the parser's header is long.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "support/arena.h"
#include "support/blob.h"
#include "support/result.h"

namespace zp::pt2 {

using JsonValue = simdjson::ondemand::value;
using JsonObject = simdjson::ondemand::object;
using JsonArray = simdjson::ondemand::array;

// A document and the state of reading it. After the first failure every read fails, so that callers check
// once.
class Json {
 public:
  // `text` must be padded (padded_text); `what` names the record in messages.
  Json(const Blob& text, Arena& arena, std::string_view what);
  Json(const Json&) = delete;

  bool root(JsonObject* object);
  bool failed() const { return failed_; }
  // The error; its text says where in the document reading stopped.
  Error error() const;
  bool fail(std::string_view why);        // returns false
  bool check(simdjson::error_code code);  // true if there is no error

  // Calls body(key, value) for each field; body returns false to stop. Keys are raw: escapes are not
  // resolved, which no key of the schema has.
  template <typename F>
  bool fields(JsonObject object, F body) {
    for (auto field : object) {
      simdjson::ondemand::field f;
      if (!check(std::move(field).get(f))) return false;
      const std::string_view key = raw_key(f);
      if (!body(key, f.value())) return fail("unreadable value");
    }
    return !failed_;
  }
  template <typename F>
  bool items(JsonValue value, F body) {
    JsonArray array;
    if (!check(value.get_array().get(array))) return false;
    for (auto item : array) {
      JsonValue v;
      if (!check(std::move(item).get(v))) return false;
      if (!body(v)) return fail("unreadable value");
    }
    return !failed_;
  }
  template <typename F>
  bool object_fields(JsonValue value, F body) {
    JsonObject object;
    if (!check(value.get_object().get(object))) return false;
    return fields(object, body);
  }

  // A string: a view into the document, or into the arena if it has escapes.
  bool text(JsonValue value, std::string_view* out);
  bool optional_text(JsonValue value, std::string_view* out);  // null leaves it empty
  bool integer(JsonValue value, int64_t* out);
  bool number(JsonValue value, double* out);  // also "Infinity", "NaN" as strings or bare words
  bool boolean(JsonValue value, bool* out);
  bool is_null(JsonValue value);
  // Text that is carried along unread must be JSON too: what is written again has to read.
  bool check_carried(std::string_view raw);
  bool raw(JsonValue value, std::string_view* out);  // the text of any value, without surrounding blanks
  // A key with its escapes resolved, for maps with foreign keys.
  bool key_text(std::string_view raw_key, std::string_view* out);

 private:
  static std::string_view raw_key(simdjson::ondemand::field& field);
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  Arena& arena_;
  Blob text_;
  std::string what_;
  bool opened_ = false;  // the document may be asked where it stands
  bool failed_ = false;
  std::string why_;
  uint64_t where_ = 0;
};

}  // namespace zp::pt2
