// Constant subgraphs in double arithmetic, as one number a channel. Folding asks for sqrt(var + eps),
// reshapes of it and the like; computing them in double keeps gamma / sigma * sigma / gamma equal to 1, and
// infinitesimal zeros keep a gamma of 0 apart from a real division by zero. Operators without a rule here are
// computed by the interpreter.
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "passes/constant_eval.h"
#include "passes/qat/affine_map.h"
#include "passes/qat/why.h"

namespace zp::qat {

// How zeros in constants are read: as factors they stand for something infinitely small, as addends they are
// zero.
enum class Zeros : uint8_t { Small, Exact };

class ChannelConstants {
 public:
  ConstantValues& values() { return values_; }

  // The numbers of `constant` along dim `axis` of a tensor of type `data` with `channels` channels, provided
  // that it has extent 1 in every other dim: equal sizes of another dim do not make it per channel.
  Answer<std::vector<Scaled>> per_channel(const Node& place, const Value& constant, const Type& data,
                                          int axis, int64_t channels, Zeros zeros);
  // A constant of rank 1 (or 0, or one element) with one entry a channel: parameters of a batch norm, a bias.
  Answer<std::vector<Scaled>> vector(const Node& place, const Value& constant, int64_t channels, Zeros zeros);
  // Forgets evaluated subgraphs when they become many; between two chains.
  void trim();

 private:
  struct Array {
    std::vector<int64_t> shape;
    std::vector<Scaled> data;
  };
  // The array, or one made in `own` where keeping it does not pay.
  Result<const Array*> evaluate(const Value& value, Zeros zeros, Array* own);
  Result<Array> compute(const Node& node, Zeros zeros);
  Result<Array> by_interpreter(const Value& value, Zeros zeros);
  const Array* operand(const Node& node, size_t i, Zeros zeros) const;

  ConstantValues values_{4096, int64_t{1} << 24};
  std::unordered_map<const Value*, Array> known_[2];
};

}  // namespace zp::qat
