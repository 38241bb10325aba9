// Graphs for a pattern of a backend, made from the pattern itself: every operator has a place it may stand in
// (shapes and attributes, below), every slot a value of the kind its dtype configuration asks for, or of a
// kind just beside it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace zp::test {

// Where an operator may stand: shapes of its operands by number (variadic ones repeat the last), attributes
// as text.
struct Site {
  std::vector<std::vector<int>> shapes;
  std::string attrs;
  int channels = 0;  // of the result, for a batch norm behind it
};
// Several, so that conditions on shapes and attributes are met and missed; empty: nobody wrote one yet.
std::vector<Site> sites_of(const OpDef& op);

// What stands at a slot.
struct SlotValue {
  enum Kind : uint8_t { Absent, Float, Integer } kind = Float;
  bool constant = false;
  bool dynamic = false;
  DType storage = DType::I8;
  int64_t low = -128, high = 127;
  enum Grid : uint8_t { Tensor, Axis, Group, Token } grid = Tensor;
  int axis = 0;  // of Axis; of Group: along which the groups run
  int group = 8;
  double scale = 0.0125;
  int zero_point = 0;
  double derived = 0;  // not 0: a bias with the product of the scales of input and weight, times this
  std::string label;   // which constraint it keeps or breaks
};
// The value an element asks for, and one just outside each of its constraints.
struct ElemValues {
  SlotValue inside;
  std::vector<SlotValue> outside;
};
std::optional<ElemValues> values_for(const backend::Elem& elem, const rewrite::SlotName& slot, int rank,
                                     const rewrite::WeightAxes& axes);

// One graph: the steps of `variant`, its root being `root`, each slot of the variant holding its value.
// `alternative`: which of its ops each further step takes. `reader`: the step whose result has another
// reader.
struct Drawing {
  const rewrite::Variant* variant = nullptr;
  const OpDef* root = nullptr;
  Site site;
  std::vector<SlotValue> values;  // by slot
  size_t alternative = 0;
  std::optional<size_t> reader;
};
std::string draw(const Drawing& drawing);

}  // namespace zp::test
