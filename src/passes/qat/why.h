// Why a rewrite was refused, and where: becomes a KeptRecord. An answer type for rules that may decline.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "ir/graph.h"
#include "ir/record.h"

namespace zp::qat {

struct Why {
  const Node* place = nullptr;  // the node that is in the way
  std::string clause;           // the condition that failed, e.g. one-use, channel-axis
  std::string wanted;
  std::string found;
  std::string text;  // one sentence
};

// A T, or the reason why there is none.
template <typename T>
class Answer {
 public:
  Answer(T value) : value_(std::move(value)) {}
  Answer(Why why) : why_(std::move(why)) {}
  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Why& why() const { return why_; }

 private:
  std::optional<T> value_;
  Why why_;
};

// The record of `node`, which stays as it is because of `why`.
KeptRecord kept_record(std::string_view pass, const Node& node, const Why& why);
// The name of a node in the input model.
std::string source_name(const Node& node);

}  // namespace zp::qat
