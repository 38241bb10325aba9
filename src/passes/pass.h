// A pass is a function with a card. Whether it changed anything is counted by the graph, not claimed by the
// pass; what it did and refused goes into the records.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ir/model.h"
#include "ir/record.h"
#include "ir/tensor.h"

namespace zp {

class Backend;

// One set of user inputs, in order.
using Sample = std::vector<Tensor>;

struct PassContext {
  Model& model;
  const Backend* backend;  // null: every representable type is accepted
  Records& records;
  std::span<const Sample> samples;  // may be empty; rules that depend on data refuse then
};

// What a pass promises about the values of the model; `--verify` holds it to that.
enum class Promise : uint8_t {
  Exact,    // every output keeps its bits
  Rounded,  // values change by roundings only: the record of each rewrite states the bound
};

struct PassCard {
  std::string_view name;   // a verb phrase, e.g. fold-qat-batch-norm
  std::string_view doc;    // one line
  std::string_view needs;  // what must have run before, in words; empty: nothing
  std::string_view gives;
  Promise promise = Promise::Exact;
  Status (*run)(PassContext& context) = nullptr;
};

// All passes, in the order of the default pipeline.
std::span<const PassCard> all_passes();
const PassCard* find_pass(std::string_view name);

}  // namespace zp
