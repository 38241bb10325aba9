// Evaluators of convolutions, linear and matrix products.
#pragma once

#include "ir/tensor.h"

namespace zp::ops {

Status eval_conv(EvalArgs& args);
Status eval_conv_transpose(EvalArgs& args);
Status eval_linear(EvalArgs& args);
Status eval_matmul(EvalArgs& args);
Status eval_addmm(EvalArgs& args);  // baddbmm too
Status eval_int_mm(EvalArgs& args);

}  // namespace zp::ops
