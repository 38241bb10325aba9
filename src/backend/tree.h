// What a backend file says, as data: the tree that the reader makes, the checks judge, the printer writes and
// the passes ask. The same tree comes from a text file, from the builtin table and from the C++ builder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/lowering.h"
#include "ir/dtype.h"
#include "rewrite/pattern.h"

namespace zp::backend {

using rewrite::ExprPtr;
using rewrite::Place;

enum class Scheme : uint8_t { Any, Symmetric, Affine, FloatZero };

struct Granularity {
  enum Kind : uint8_t { Any, PerTensor, PerAxis, PerGroup, PerToken, Block } kind = Any;
  enum Axis : uint8_t { Number, Out, In, Every } axis_kind = Every;  // PerAxis
  int64_t axis = 0;
  int64_t group = 0;           // PerGroup: elements along the reduced axis; 0: any number
  std::vector<int64_t> block;  // Block: extents; 0: the full extent, -1: any
};

// `scale >= 2^-12`; `eps` bounds the smallest scale an observer may give, which for a fixed scale is the
// same.
struct Bound {
  bool eps = false;
  bool at_least = true;
  double value = 0;
  std::string text;  // as written
};

// One acceptable element of a slot.
struct Elem {
  std::string type_name;  // a reference to a named type; all else is then empty
  bool any = false;       // every type, quantized or not
  bool none = false;      // the operand must be absent
  DType dtype = DType::Unknown;
  bool constant = false;  // the value must be a constant
  std::optional<std::pair<int64_t, int64_t>> range;
  Scheme scheme = Scheme::Any;
  Granularity granularity;
  bool dynamic = false;
  struct Fixed {  // an empty text: that parameter is free (`fixed(1/256, any)`)
    double scale = 1, zero_point = 0;
    std::string scale_text, zero_text;
    bool has_scale() const { return !scale_text.empty(); }
    bool has_zero() const { return !zero_text.empty(); }
  };
  std::optional<Fixed> fixed;
  struct Derived {
    ExprPtr scale, zero_point;
  };
  std::optional<Derived> derived;
  std::vector<Bound> bounds;
  Place at;
};

struct TypeDef {
  std::string name;
  std::vector<Elem> elems;
  Place at;
};

struct SlotTypes {
  std::string slot;
  std::vector<Elem> elems;     // as written
  std::vector<Elem> accepted;  // with named types replaced by what they stand for
  Place at;
};

// One dtype configuration: what each slot may be, together.
struct TypesDef {
  std::string name;
  std::vector<SlotTypes> slots;
  Place at;
  const SlotTypes* find(std::string_view slot) const {
    for (const SlotTypes& s : slots)
      if (s.slot == slot) return &s;
    return nullptr;
  }
};

struct ClassDef {
  std::string name;
  std::vector<std::string> ops;
  Place at;
};

struct PredicateDef {
  std::string name;
  ExprPtr expr;
  Place at;
};

// A line of numerics or of a configuration: a key and its words.
struct Setting {
  std::string key;
  std::vector<std::string> values;
  Place at;
  std::string_view value() const {
    return values.empty() ? std::string_view() : std::string_view(values.front());
  }
};

// A named quantizer configuration: which `types` are wished for, and how ranges are observed.
struct ConfigDef {
  std::string name;
  std::vector<Setting> settings;
  // `activation-type: u8 affine per-tensor`: what is wished for the slots of a kind (kWishKeys).
  std::vector<SlotTypes> wishes;
  Place at;
  const Setting* find(std::string_view key) const {
    for (const Setting& s : settings)
      if (s.key == key) return &s;
    return nullptr;
  }
};

// What a kernel takes; once a file declares kernels, every pattern's kernel must be declared and agree.
struct KernelDef {
  std::string name;
  std::vector<SlotTypes> slots;
  Place at;
};

struct ObserveRule {
  enum Kind : uint8_t { Own, Like, None } kind = Own;
  std::string slot;
  std::string like;
  std::optional<int64_t> tensors;  // only when the root has that many tensor operands
  Place at;
};

// `becomes conv2d {clamp: of relu} with fold-batch-norm`
struct Becomes {
  struct Attr {
    std::string name;        // an attribute of the op, or `clamp`
    std::string of;          // clamp: the step (op or class) whose bounds are taken, if it is there
    std::string activation;  // clamp: bounds of this activation, always
    Number number;
    std::string text;
    enum Kind : uint8_t { Of, Activation, Num, Text } kind = Num;
    Place at;
  };
  std::string op;
  std::vector<Attr> attrs;
  std::string action;
  Place at;
};

// A spelling that a pattern stands for in PyTorch's dictionaries, in forward order
// ("torch.nn.modules.conv.Conv2d, torch.nn.functional.relu"), and the keys of its entry that do not follow
// from the pattern, as JSON. It changes no match; `zp backend export` writes dictionaries from it. An empty
// pattern: no entry is to be written.
struct Alias {
  std::string pattern;
  std::vector<std::pair<std::string, std::string>> keys;
  Place at;
};

enum class Otherwise : uint8_t { Float, Warn, Error };

struct PatternDef {
  rewrite::Pattern pattern;
  std::vector<std::pair<std::string, Place>> types;
  std::vector<ObserveRule> observe;
  std::string root;
  std::vector<std::string> extra;
  std::optional<Becomes> becomes;
  std::string train;
  std::string kernel;
  std::optional<double> cost;
  std::string cost_text;
  std::vector<std::pair<std::string, Place>> before;
  std::vector<ExprPtr> where;
  std::vector<Place> where_at;
  std::optional<Otherwise> otherwise;
  std::vector<Alias> aliases;
  std::vector<Lowering> lowers;
  Place root_at, becomes_at, kernel_at;
  std::string from;  // the backend this pattern was inherited from
};

struct File {
  std::string name;
  int64_t version = 1;
  std::string extends;
  std::vector<std::string> except;
  std::vector<ClassDef> classes;
  std::vector<TypeDef> types;
  std::vector<TypesDef> typesets;
  std::vector<PredicateDef> predicates;
  std::vector<Setting> numerics;
  std::vector<ConfigDef> configs;
  std::vector<KernelDef> kernels;
  std::vector<PatternDef> patterns;
  std::vector<std::string>
      foreign;       // entries of a dictionary that no pattern can say, as JSON: kept for export
  std::string path;  // for messages
};

inline constexpr std::string_view kWishKeys[] = {"activation-type", "output-type", "weight-type",
                                                 "bias-type"};

std::string print_elem(const Elem& elem);
std::string print_elems(std::span<const Elem> elems);

}  // namespace zp::backend
