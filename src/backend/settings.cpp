// The words that numerics and configurations know.
#include "backend/validate.h"

namespace zp::backend {

std::span<const SettingDef> numerics_defs() {
  static constexpr SettingDef kDefs[] = {
      {"requantize", "f32-nearest-even f32-nearest-away f32-any q31-nearest-away q31-nearest-even",
       "how an accumulator becomes an output"},
      {"accumulate", "i32 i64 f32 f16", "type of the sums of integer products"},
      {"pair-saturation", "none i16", "whether pairs of 8-bit products are added in 16 bits"},
      {"float", "f32 f16 bf16", "type of float computation"},
      {"rounding", "nearest-even nearest-away any", "of quantize"},
      {"weight_bits", "declared by-value",
       "whether a weight declared wider counts as 4-bit where all its values fit"},
      {"weight_scales", "declared per-axis", "whether one scale of a weight is repeated for its channels"},
      {"qat_output_quantizer", "after before", "which quantizer a folded batch norm keeps"},
      {"moves", "integers dequantized",
       "whether archives move integers, or real values between dequantize and quantize"},
      {"origin", "torch", "whose table this is: reasons then say where that system would not look"},
  };
  return kDefs;
}

std::span<const SettingDef> config_defs() {
  static constexpr SettingDef kDefs[] = {
      {"types", "", "the dtype configurations that are wished for, in order"},
      {"activation", "minmax moving-average histogram mse fixed placeholder", "observer of activations"},
      {"weight", "minmax moving-average histogram mse", "observer of weights"},
      {"qat-activation", "fused-moving-average minmax moving-average",
       "fake quantizer of activations in training"},
      {"qat-weight", "fused-moving-average minmax moving-average", "fake quantizer of weights in training"},
      {"eps", "", "smallest scale an observer gives"},
      {"reduce-range", "yes no", "use half the range of activations"},
      {"skip", "", "ops and classes that stay float"},
  };
  return kDefs;
}

}  // namespace zp::backend
