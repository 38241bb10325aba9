// Evaluators of the norm cards, in norm_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr
