// What the compiler did and did not do, as data: each rewrite, and each candidate that stayed, with the
// clause that failed and the numbers wanted and found. Reports print them; tests read them.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace zp {

// Signal to noise of a fold in dB. Nothing: equal.
struct FoldNoise {
  std::optional<double> before;  // of the input model, against the fold in exact arithmetic
  std::optional<double> after;   // of the result, against the same
  std::optional<double> change;  // of the result against the input model
};

// What a fold did to the numbers of one value: what was expected, and what samples showed.
struct FoldFacts {
  struct Parameter {
    std::string what, was, is;
  };
  int64_t channels = 0;
  int64_t saturated_bias = 0;         // channels whose bias int32 could not hold
  int64_t coarser_weights = 0;        // channels whose weights were rounded so that it could
  std::vector<Parameter> parameters;  // what was changed
  std::optional<FoldNoise> predicted, measured;
  std::optional<double> saturated_before, saturated_after;  // measured shares that its quantizer cuts off

  // The fold in exact arithmetic, for measuring: value `source` of the model before times a plus b, one pair
  // a channel along `axis`, then clamped and quantized as the result is (step 0: not at all). Empty: not
  // kept.
  std::string source;
  int axis = 0;
  std::vector<double> a, b;
  double low = -INFINITY, high = INFINITY;
  double step = 0, zero_point = 0, qmin = 0, qmax = 0;
};

struct RewriteRecord {
  std::string pass;
  std::string pattern;             // derived name, e.g. conv2d_q8ta_q8csw_q8to; may be empty
  std::vector<std::string> nodes;  // names in the input model
  std::string into;                // name of the node that stands for them now
  std::string note;                // one sentence of numbers, e.g. "bias of 3 channels saturated"
  // What the rewrite promises of the real value of `into` when its inputs are what they were: the largest
  // change in each element. 0: every bit is kept.
  double max_abs_change = 0;
  std::shared_ptr<FoldFacts> fold;  // of folds; null elsewhere
};

struct KeptRecord {
  std::string node;  // name in the input model
  std::string op;    // canonical
  std::string pass;
  std::string pattern;  // what was tried
  std::string clause;   // the condition that failed, e.g. types.x, one-use, channel-axis
  std::string wanted;
  std::string found;
  std::string text;  // one sentence for a person
};

struct Records {
  std::vector<RewriteRecord> rewrites;
  std::vector<KeptRecord> kept;
  std::vector<std::string> warnings;
};

// Names of the source nodes behind a node (its own name where it has no origin).
std::vector<std::string> source_names(const Node& node);

}  // namespace zp
