// Reads the structure of a Python pickle without running anything: calls and classes stay descriptions, only
// torch's own tensor builders are then understood by name. What a hostile pickle can do here is fail. Source:
// the opcode list of CPython's pickletools; torch/_utils.py for the builders.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/pt2/zip.h"
#include "ir/dtype.h"
#include "support/result.h"

namespace zp::pt2 {

struct PickleValue {
  enum Kind : uint8_t {
    None,
    Bool,
    Int,
    Float,
    String,
    Tuple,
    List,
    Dict,
    Global,
    Call,
    Persistent
  } kind = None;
  bool b = false;
  int64_t i = 0;
  double f = 0;
  std::string_view text;  // String; Global: `module name`
  std::vector<uint32_t>
      items;  // Dict: key, value, key, value ...; Call: callee, arguments [, state]; Persistent: id
};

class Pickle {
 public:
  static Result<Pickle> parse(std::span<const std::byte> bytes, std::string_view what);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& at(uint32_t index) const { return values_[index]; }
  // Item k of a tuple, list, dict or call; null if there are fewer.
  const PickleValue* item(const PickleValue& of, size_t k) const {
    return k < of.items.size() ? &values_[of.items[k]] : nullptr;
  }
  // True if `value` calls that global; `arguments` is then its tuple.
  bool is_call(const PickleValue& value, std::string_view global, const PickleValue** arguments) const;

 private:
  std::vector<PickleValue> values_;
  uint32_t root_ = 0;
};

// A tensor inside of a torch.save file, as a view of one of its storages.
struct PickledTensor {
  DType dtype = DType::Unknown;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
  bool requires_grad = false;
  Blob storage;
};

// A torch.save file: its pickle and its storages.
class TorchFile {
 public:
  static Result<TorchFile> open(Blob bytes, std::string_view what);
  const Pickle& pickle() const { return pickle_; }

  // A plain tensor or parameter; Refused for anything else.
  Result<PickledTensor> tensor(const PickleValue& value) const;
  struct Named {
    std::string_view name;
    PickledTensor tensor;
  };
  // The inner tensors of a tensor subclass made by _rebuild_wrapper_subclass; empty if `value` is none.
  Result<std::vector<Named>> subclass_parts(const PickleValue& value) const;
  // Name of the subclass, e.g. torchao.quantization IntxUnpackedToInt8Tensor; empty if `value` is none.
  std::string_view subclass_name(const PickleValue& value) const;

 private:
  const PickleValue* subclass_state(const PickleValue& value, std::string_view* name) const;
  Zip zip_;
  std::string folder_;
  std::string what_;
  Pickle pickle_;
};

}  // namespace zp::pt2
