// Evaluators of the softmax cards, in softmax_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr
