// Synthetic models for the benchmarks, built through the API and written as archives.
#pragma once

#include <cstdint>
#include <memory>

#include "ir/model.h"

namespace zp::bench {

// x -> (quantize -> dequantize -> relu) ... : about `nodes` nodes, per-tensor parameters that change along
// the chain so that nothing cancels.
std::unique_ptr<Model> qdq_chain(int64_t nodes);
// x -> quantize -> (dequantize -> linear -> relu -> quantize) ...: six nodes a layer with the weight's two,
// each layer with a weight, scales a channel and parameters of its own.
std::unique_ptr<Model> qdq_layers(int64_t nodes);
// Blocks of conv -> quantize -> dequantize -> div -> add -> batch_norm -> quantize -> dequantize, as
// quantization-aware training leaves them; 8 channels, 1x1 kernels.
std::unique_ptr<Model> conv_bn_blocks(int64_t blocks);

}  // namespace zp::bench
