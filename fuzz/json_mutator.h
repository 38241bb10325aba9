// Changes of JSON text that keep its shape mostly right, so that a fuzzer gets past the parser: numbers
// become edges of their ranges, values and keys change places, elements go or come twice.
#pragma once

#include <random>
#include <string>

namespace zp::fuzz {

void mutate_json(std::string& text, std::mt19937& random);

}  // namespace zp::fuzz
