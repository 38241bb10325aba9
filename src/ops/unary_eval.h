// Evaluators of the unary cards, in unary_eval.cpp and activation_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr
