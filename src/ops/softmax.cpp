// Cards and inference of softmax and its logarithm.
#include "ops/softmax.h"

#include <fmt/format.h>

#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/softmax_eval.h"

namespace zp::ops {

namespace {

Status infer_softmax(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& attrs = node.attrs<SoftmaxAttrs>();
  const Type& x = node.operand(0)->type();
  const DType dtype = attrs.dtype.value_or(x.real_dtype());
  if (!is_float(dtype))
    return failed(node, "c1", fmt::format("elements are {}, a float type is needed", dtype_name(dtype)));
  if (x.ranked) {
    ZP_TRY(const int64_t dim, normalize_dim(node, "c2", attrs.dim, x.rank()));
    static_cast<void>(dim);
  }
  return set_result_like(node, 0, dtype, x);
}

constexpr std::string_view kChecks[] = {"c1: the type of the result is a float type",
                                        "c2: dim is a dim of the tensor"};

}  // namespace

constinit const OpDef softmax = {
    .name = "softmax",
    .doc = "exp(x - m) / sum(exp(x - m)) along dim, m the largest x; NaN where all x are -inf",
    .operands = kSelfOperand,
    .results = kOneResult,
    .attrs = &attrs_of<SoftmaxAttrs>,
    .trait = Trait::FixedResult,
    .flags = kIntegerForm,
    .infer = infer_softmax,
    .eval = ZP_EVAL(softmax),
    .checks = kChecks};
constinit const OpDef safe_softmax = {.name = "safe_softmax",
                                      .doc = "softmax along dim, with 0 where all x are -inf",
                                      .operands = kSelfOperand,
                                      .results = kOneResult,
                                      .attrs = &attrs_of<SoftmaxAttrs>,
                                      .trait = Trait::FixedResult,
                                      .flags = kIntegerForm,
                                      .infer = infer_softmax,
                                      .eval = ZP_EVAL(safe_softmax),
                                      .checks = kChecks};
constinit const OpDef log_softmax = {.name = "log_softmax",
                                     .doc = "x - m - log(sum(exp(x - m))) along dim, m the largest x",
                                     .operands = kSelfOperand,
                                     .results = kOneResult,
                                     .attrs = &attrs_of<SoftmaxAttrs>,
                                     .trait = Trait::FloatOnly,
                                     .infer = infer_softmax,
                                     .eval = ZP_EVAL(log_softmax),
                                     .checks = kChecks};

}  // namespace zp::ops
