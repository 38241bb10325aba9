// Evaluators of the pool cards, in pool_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr
