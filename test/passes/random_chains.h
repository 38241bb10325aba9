// Random convolutions with random affine chains behind them, as quantization-aware training or a person might
// leave them, and what must hold of their fold. The tests run a thousand, the benchmark a hundred thousand.
#pragma once

#include <cstdint>
#include <string>

namespace zp::test {

// Folds the chains of this seed. Empty if every promise held: no value moves by more than its record says,
// the result is the graph without the quantizer in front of the batch norm, nothing legal is left, nothing
// illegal is folded, and a second run changes nothing. Else what did not hold, with the graph.
std::string check_random_chain(uint64_t seed);

// The graph of this seed as text.
std::string random_chain_text(uint64_t seed);

}  // namespace zp::test
