// What the compiler did and did not do, as data: each rewrite, and each candidate that stayed, with the
// clause that failed and the numbers wanted and found. Reports print them; tests read them.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace zp {

struct RewriteRecord {
  std::string pass;
  std::string pattern;             // derived name, e.g. conv2d_q8ta_q8csw_q8to; may be empty
  std::vector<std::string> nodes;  // names in the input model
  std::string into;                // name of the node that stands for them now
  std::string note;                // one sentence of numbers, e.g. "bias of 3 channels saturated"
  // What the rewrite promises of the real value of `into` when its inputs are what they were: the largest
  // change in each element. 0: every bit is kept.
  double max_abs_change = 0;
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
