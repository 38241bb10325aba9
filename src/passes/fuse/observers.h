// What a backend wants to see at every value: the `observe` rules and dtype configurations of the patterns it
// would fuse, against the quantizers that stand in the graph. It pays on a float model (what must be
// observed), on a prepared or quantized one (where its parameters are not those the target takes, before a
// fusion refuses them). It changes nothing and decides nothing: legality is the judge's.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/model.h"

namespace zp::fuse {

struct ObserverRow {
  std::string value;  // as the source names it
  std::string node;   // the root of the match that reads or gives it
  std::string pattern, types;
  std::string slot;
  std::string wants;     // the elements that fit, or what a configuration's wish came to
  std::string rule;      // own, none, or "like NAME": the value whose parameters it shares
  std::string observer;  // how the configuration observes ranges; empty without one
  std::string trains_as;
  std::string has;  // the quantizer that stands there; empty: none
  enum State : uint8_t { Missing, Agrees, Differs } state = Missing;
  std::string why;  // where it differs
};

// One row for each value that some chosen match wants quantized, or that is quantized where none is wanted.
std::vector<ObserverRow> observers_of(const Model& model, const Backend& backend,
                                      const backend::ConfigDef* config = nullptr);

}  // namespace zp::fuse
