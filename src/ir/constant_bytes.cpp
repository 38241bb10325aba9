// The bytes of a constant in C order. A dense constant's are a slice of its storage; a strided one's (a
// transposed weight, say) are copied once, when somebody needs them, and kept with the Context.
#include <mutex>

#include "ir/graph.h"
#include "ir/move_data.h"
#include "ir/tensor.h"
#include "support/mapped_file.h"
#include "support/strided_copy.h"

namespace zp {

namespace {

// Types of 2 bits, and nibbles in orders that have no faster way.
void copy_packed(const Constant& constant, int bits, std::span<const int64_t> strides, std::byte* out) {
  const int per_byte = 8 / bits;
  const auto mask = static_cast<uint8_t>((1 << bits) - 1);
  std::vector<int64_t> index(constant.shape.size(), 0);
  const std::byte* in = constant.storage.data();
  int64_t at = constant.offset;
  for (int64_t i = 0; i < constant.elements(); ++i) {
    const auto v =
        static_cast<uint8_t>((static_cast<uint8_t>(in[at / per_byte]) >> (at % per_byte * bits)) & mask);
    out[i / per_byte] |= static_cast<std::byte>(v << (i % per_byte * bits));
    for (size_t d = index.size(); d-- > 0;) {
      at += strides[d];
      if (++index[d] < constant.shape[d]) break;
      at -= strides[d] * constant.shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Result<Blob> Context::dense_bytes(const Constant& constant) {
  if (constant.stripped) {
    return Error("constant.stripped",
                 "the weights of '" + std::string(constant.name) + "' are not in the file");
  }
  if (constant.storage.file() != nullptr)
    ZP_CHECK(constant.storage.file()->check_range(constant.storage.offset()));
  const int64_t count = constant.elements();
  const int bits = bits_of(constant.dtype);
  if (constant.dense() && (bits >= 8 || constant.offset % (8 / bits) == 0)) {
    const auto begin = static_cast<size_t>(storage_bytes(constant.dtype, constant.offset));
    return constant.storage.slice(begin, static_cast<size_t>(storage_bytes(constant.dtype, count)));
  }
  // Runs of one model may ask at the same time.
  static std::mutex lock;
  const std::lock_guard guard(lock);
  if (auto found = dense_.find(&constant); found != dense_.end()) return found->second;
  if (count > max_tensor_bytes() / byte_size(constant.dtype)) {
    return Error("constant.size", "'" + std::string(constant.name) + "' has " + std::to_string(count) +
                                      " elements, more than fit in memory");
  }
  std::byte* out = nullptr;
  Blob blob = Blob::allocate(static_cast<size_t>(storage_bytes(constant.dtype, count)), &out);
  const IntShape shape = constant.shape.vec();
  const std::vector<int64_t> strides =
      constant.strides.empty() ? dense_strides(shape) : constant.strides.vec();
  const StridedSource from{constant.storage.bytes(), constant.offset, strides};
  if (bits >= 8) {
    copy_elements(from, byte_size(constant.dtype), shape, out, dense_strides(shape));
  } else if (bits != 4 || !copy_nibbles(from, shape, out)) {
    std::fill_n(out, blob.size(), std::byte{0});
    copy_packed(constant, bits, strides, out);
  }
  dense_.emplace(&constant, blob);
  return blob;
}

}  // namespace zp
