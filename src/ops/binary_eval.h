// Evaluators of the binary cards, in binary_eval.cpp and compare_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr
