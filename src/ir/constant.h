// Constants: immutable bytes with a dtype and a shape, shared by all their readers (tied weights stay
// tied). A rewrite never edits one, it makes a new one. Storage may be a slice of a mapped file, and may
// be strided: several constants may view one storage.
#pragma once

#include <cstdint>
#include <string_view>

#include "ir/dtype.h"
#include "support/blob.h"
#include "support/list.h"

namespace zp {

enum class ConstantKind : uint8_t {
  Parameter,  // trained; requires_grad may be set
  Buffer,     // persistent state of a module
  NonPersistentBuffer,
  Tensor,   // lifted from the program, or made by a pass
  Literal,  // a number written in the program (0-d); printed and exported in place
};

struct Constant {
  std::string_view name;  // unique in the Context; the fully qualified name in the source
  ConstantKind kind = ConstantKind::Tensor;
  DType dtype = DType::Unknown;
  List<int64_t> shape;
  List<int64_t> strides;  // in elements; empty: dense C order
  int64_t offset = 0;     // in elements, into `storage`
  Blob storage;           // the whole storage, dtype sub-byte: packed
  bool requires_grad = false;
  bool stripped = false;  // the file holds no bytes for it (weights removed): may be inspected, not read

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  bool dense() const { return strides.empty(); }
  int64_t bytes() const { return storage_bytes(dtype, elements()); }
};

}  // namespace zp
