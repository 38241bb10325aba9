// Turns small blocks of elements in registers: the inner loop of every transposed copy (strided_copy.h).
// There is one set of kernels for each width of vector registers, chosen when the program runs; all give the
// same bytes. A kernel of `line` bytes takes `line / width` source lines, so its results are written a whole
// register at a time: with 64 bytes, a cache line at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zp {

struct TurnKernels {
  int64_t line;  // bytes of a register

  // A chunk: 16 bytes of each of `line / width` source lines become 16 / width lines of `line` bytes, `pitch`
  // apart; chunks follow each other on both sides. In a chunk of the block, the 16 bytes of source line n
  // stand at 16 * place(n). One function for each width: 1, 2, 4, 8 and 16 bytes.
  void (*turn[5])(const std::byte* block, int64_t chunks, std::byte* to, int64_t pitch);
  int64_t place(int64_t n, int64_t width) const {
    const int64_t lanes = line / 16, square = 16 / width;
    return n % square * lanes + n / square;
  }
  // The same for source lines `step` apart, read where they are.
  void (*turn_near[5])(const std::byte* from, int64_t step, int64_t chunks, std::byte* to, int64_t pitch);
  // Four chunks of lines far apart, each of which is read once.
  void (*turn_far[5])(const std::byte* from, int64_t step, std::byte* to, int64_t pitch);
  // `rows` times `bytes` bytes, a number of whole cache lines, written past the cache.
  void (*stream)(const std::byte* from, int64_t pitch, std::byte* to, int64_t step, int64_t rows,
                 int64_t bytes);
  // Bytes of two nibbles each become, packed two a byte, a line of the lower ones and `pitch` behind it one
  // of the upper ones. Works in whole registers.
  void (*split_nibbles)(const std::byte* from, int64_t bytes, std::byte* to, int64_t pitch);
};

// Kernels for lines of `bytes`: those with the narrowest registers that hold one, else the widest.
const TurnKernels& turn_kernels(int64_t bytes);

// For tests: how many sets this machine has, and which of them is the widest in use.
int turn_isa_count();
void set_turn_isa(int index);

}  // namespace zp
