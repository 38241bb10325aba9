// Rows of creation, casts, quantization, symbolic numbers and assertions.
// The schemas are those of torch 2.13 (its operator registry), the map column is explained in schema.h.
#include "formats/pt2/schema_tables.h"

namespace zp::pt2 {

constexpr Row kCreateRows[] = {
    // Creation and casts.
    {"aten.arange.default",
     "Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "arange", ".start=0 .step=1 .start_dim=None .step_dim=None"},
    {"aten.arange.start",
     "Scalar start, Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "arange", ".step=1 .step_dim=None"},
    {"aten.arange.start_step",
     "Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None",
     "arange", ""},
    {"aten.linspace.default",
     "Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None",
     "linspace", ""},
    {"aten.logspace.default",
     "Scalar start, Scalar end, int steps, float base=10., *, ScalarType? dtype=None, "
     "Layout? layout=None, Device? device=None, bool? pin_memory=None",
     "logspace", ""},
    {"aten.full.default",
     "SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None",
     "full", ""},
    {"aten.full_like.default",
     "Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None",
     "full_like", ""},
    {"aten.fill.Scalar", "Tensor self, Scalar value", "full_like", "value>fill_value .dtype=None <"},
    {"aten.fill.Tensor", "Tensor self, Tensor value", "fill", ""},
    {"aten.zero.default", "Tensor self", "zeros_like", ".dtype=None <"},
    {"aten.zeros.default",
     "SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "zeros", ""},
    {"aten.ones.default",
     "SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "ones", ""},
    {"aten.zeros_like.default",
     "Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, MemoryFormat? memory_format=None",
     "zeros_like", ""},
    {"aten.ones_like.default",
     "Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, MemoryFormat? memory_format=None",
     "ones_like", ""},
    {"aten.empty_like.default",
     "Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, MemoryFormat? memory_format=None",
     "empty_like", ""},
    {"aten.empty.memory_format",
     "SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, MemoryFormat? memory_format=None",
     "empty", ""},
    {"aten.empty_permuted.default",
     "SymInt[] size, int[] physical_layout, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None",
     "empty", "-physical_layout <"},
    {"aten.new_zeros.default",
     "Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "new_zeros", ""},
    {"aten.new_ones.default",
     "Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "new_ones", ""},
    {"aten.new_empty.default",
     "Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "new_empty", ""},
    {"aten.new_full.default",
     "Tensor self, SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, "
     "Device? device=None, bool? pin_memory=None",
     "new_full", ""},
    {"aten.scalar_tensor.default",
     "Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "scalar_tensor", ""},
    {"aten.eye.default",
     "SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "eye", ""},
    {"aten.eye.m",
     "SymInt n, SymInt m, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None",
     "eye", ""},
    {"aten.to.dtype",
     "Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, "
     "MemoryFormat? memory_format=None",
     "cast", "-copy"},
    {"aten.to.device",
     "Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, "
     "MemoryFormat? memory_format=None",
     "cast", "-copy <"},
    {"aten.to.dtype_layout",
     "Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None",
     "cast", "@to -copy <"},
    {"aten.to.other",
     "Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, "
     "MemoryFormat? memory_format=None",
     "cast", "@type_as -copy <"},
    {"aten.to.prim_Device",
     "Tensor(a) self, Device? device, int? dtype=None, bool non_blocking=False, "
     "bool copy=False -> Tensor(b|a)",
     "cast", "@to -copy <"},
    {"aten._to_copy.default",
     "Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
     "bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None",
     "cast", "@to"},
    {"aten._cast_Float.default", "Tensor self, bool non_blocking=False", "cast", ".dtype=f32 <"},
    {"aten._cast_Long.default", "Tensor self, bool non_blocking=False", "cast", ".dtype=i64 <"},
    {"aten.type_as.default", "Tensor self, Tensor other", "cast", "@type_as <"},
    {"aten.copy.default", "Tensor self, Tensor src, bool non_blocking=False", "copy", ""},
    {"prims.convert_element_type.default", "Tensor a, ScalarType dtype", "cast", "<"},
    {"prims.scalar_tensor.default", "Scalar s, *, ScalarType? dtype=None, Device? device=None",
     "scalar_tensor", "<"},

    // Quantization.
    {"aten.fake_quantize_per_tensor_affine.default",
     "Tensor self, float scale, int zero_point, int quant_min, int quant_max", "fake_quantize",
     "@fake_quantize"},
    {"aten.fake_quantize_per_tensor_affine.tensor_qparams",
     "Tensor self, Tensor scale, Tensor zero_point, int quant_min, int quant_max", "fake_quantize",
     "@fake_quantize"},
    {"aten.fake_quantize_per_channel_affine.default",
     "Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max", "fake_quantize",
     "@fake_quantize"},
    {"aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default",
     "Tensor self, Tensor scale, Tensor zero_point, Tensor fake_quant_enabled, int quant_min, "
     "int quant_max -> (Tensor output, Tensor mask)",
     "fake_quantize", "@fake_quantize <"},
    {"aten.fake_quantize_per_tensor_affine_cachemask.default",
     "Tensor self, float scale, int zero_point, int quant_min, "
     "int quant_max -> (Tensor output, Tensor mask)",
     "fake_quantize", "@fake_quantize <"},
    {"aten.fake_quantize_per_channel_affine_cachemask.default",
     "Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, "
     "int quant_max -> (Tensor output, Tensor mask)",
     "fake_quantize", "@fake_quantize <"},
    {"aten.fused_moving_avg_obs_fake_quant.default",
     "Tensor self, Tensor observer_on, Tensor fake_quant_on, Tensor(a!) running_min, "
     "Tensor(b!) running_max, Tensor(c!) scale, Tensor(d!) zero_point, float averaging_const, "
     "int quant_min, int quant_max, int ch_axis, bool per_row_fake_quant=False, "
     "bool symmetric_quant=False",
     "fake_quantize", "@fused_fake_quantize <"},
    {"aten._fused_moving_avg_obs_fq_helper.default",
     "Tensor self, Tensor observer_on, Tensor fake_quant_on, Tensor(a!) running_min, "
     "Tensor(b!) running_max, Tensor(c!) scale, Tensor(d!) zero_point, float averaging_const, "
     "int quant_min, int quant_max, int ch_axis, bool per_row_fake_quant=False, "
     "bool symmetric_quant=False -> (Tensor output, Tensor mask)",
     "fake_quantize", "@fused_fake_quantize <"},
    {"aten._fused_moving_avg_obs_fq_helper_functional.default",
     "Tensor self, Tensor observer_on, Tensor fake_quant_on, Tensor running_min, Tensor running_max, "
     "Tensor scale, Tensor zero_point, float averaging_const, int quant_min, int quant_max, int ch_axis, "
     "bool per_row_fake_quant=False, bool symmetric_quant=False -> (Tensor output, Tensor mask, "
     "Tensor running_min_out, Tensor running_max_out, Tensor scale_out, Tensor zero_point_out)",
     "fake_quantize", "@fused_fake_quantize <"},
    {"quantized_decomposed.quantize_per_tensor.default",
     "Tensor input, float scale, int zero_point, int quant_min, int quant_max, ScalarType dtype", "quantize",
     "@quantize"},
    {"quantized_decomposed.quantize_per_tensor.tensor",
     "Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max, ScalarType dtype",
     "quantize", "@quantize"},
    {"quantized_decomposed.quantize_per_tensor.tensor2",
     "Tensor input, Tensor scale, Tensor zero_point, Tensor quant_min, Tensor quant_max, "
     "ScalarType dtype",
     "quantize", "@quantize <"},
    {"quantized_decomposed.quantize_per_channel.default",
     "Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int quant_max, "
     "ScalarType dtype",
     "quantize", "@quantize"},
    {"quantized_decomposed.quantize_per_token.default",
     "Tensor input, Tensor scales, Tensor zero_points, int quant_min, int quant_max, ScalarType dtype",
     "quantize", "@quantize"},
    {"quantized_decomposed.quantize_per_channel_group.default",
     "Tensor input, Tensor scales, Tensor zero_points, int quant_min, int quant_max, ScalarType dtype, "
     "int group_size",
     "quantize", "@quantize"},
    {"quantized_decomposed.dequantize_per_tensor.default",
     "Tensor input, float scale, int zero_point, int quant_min, int quant_max, ScalarType dtype, *, "
     "ScalarType? out_dtype=None",
     "dequantize", "@dequantize"},
    {"quantized_decomposed.dequantize_per_tensor.tensor",
     "Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max, ScalarType dtype, *, "
     "ScalarType? out_dtype=None",
     "dequantize", "@dequantize"},
    {"quantized_decomposed.dequantize_per_tensor.tensor2",
     "Tensor input, Tensor scale, Tensor zero_point, Tensor quant_min, Tensor quant_max, "
     "ScalarType dtype, *, ScalarType? out_dtype=None",
     "dequantize", "@dequantize <"},
    {"quantized_decomposed.dequantize_per_channel.default",
     "Tensor input, Tensor scales, Tensor? zero_points, int axis, int quant_min, int quant_max, "
     "ScalarType dtype, *, ScalarType? out_dtype=None",
     "dequantize", "@dequantize"},
    {"quantized_decomposed.dequantize_per_token.default",
     "Tensor input, Tensor scales, Tensor zero_points, int quant_min, int quant_max, ScalarType dtype, "
     "ScalarType output_dtype",
     "dequantize", "@dequantize"},
    {"quantized_decomposed.dequantize_per_channel_group.default",
     "Tensor input, Tensor scales, Tensor? zero_points, int quant_min, int quant_max, ScalarType dtype, "
     "int group_size, ScalarType output_dtype",
     "dequantize", "@dequantize"},
    {"quantized_decomposed.embedding_byte.default",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.embedding_byte.dtype",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices, *, ScalarType? dtype=None",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.embedding_2bit.default",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.embedding_2bit.dtype",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices, *, ScalarType? dtype=None",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.embedding_4bit.default",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.embedding_4bit.dtype",
     "Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, "
     "int weight_quant_max, Tensor indices, *, ScalarType? dtype=None",
     "embedding", "@packed_embedding <"},
    {"quantized_decomposed.choose_qparams.tensor",
     "Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype -> (Tensor, Tensor)",
     "choose_qparams", "@choose_qparams"},
    {"quantized_decomposed.choose_qparams_symmetric.tensor",
     "Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype -> (Tensor, Tensor)",
     "choose_qparams", "@choose_qparams"},
    {"quantized_decomposed.choose_qparams_per_token.default",
     "Tensor input, ScalarType dtype -> (Tensor, Tensor)", "choose_qparams", "@choose_qparams"},
    {"quantized_decomposed.choose_qparams_per_token_asymmetric.default",
     "Tensor input, ScalarType dtype -> (Tensor, Tensor)", "choose_qparams", "@choose_qparams"},
    {"quantized_decomposed._choose_qparams_per_token_asymmetric_impl.default",
     "Tensor input, ScalarType dtype -> (Tensor, Tensor)", "choose_qparams", "@choose_qparams <"},
    {"quantized_decomposed.fake_quant_per_channel.default",
     "Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int quant_max",
     "fake_quantize", "@fake_quantize"},
    {"quantized_decomposed.convert_element_type.no_fuse", "Tensor input, ScalarType dtype", "cast", ""},
    {"torchao.quantize_affine.default",
     "Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType output_dtype, "
     "Scalar? quant_min=None, Scalar? quant_max=None",
     "quantize", "@quantize_affine"},
    {"torchao.dequantize_affine.default",
     "Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType input_dtype, "
     "Scalar? quant_min=None, Scalar? quant_max=None, ScalarType output_dtype=6",
     "dequantize", "@quantize_affine"},
    {"torchao.choose_qparams_affine.default",
     "Tensor? input, str mapping_type, SymInt[] block_size, ScalarType target_dtype, "
     "Scalar? quant_min=None, Scalar? quant_max=None, float? eps=None, ScalarType? scale_dtype=None, "
     "ScalarType? zero_point_dtype=None, bool keepdim=False -> (Tensor, Tensor)",
     "choose_qparams", "@choose_qparams_affine"},

    // Symbolic numbers, assertions and subclasses.
    {"aten.sym_size.int", "Tensor self, int dim -> SymInt", "", "@sym"},
    {"aten.sym_stride.int", "Tensor self, int dim -> SymInt", "", "@sym"},
    {"aten.sym_numel.default", "Tensor self -> SymInt", "", "@sym"},
    {"aten.sym_storage_offset.default", "Tensor self -> SymInt", "", "@sym"},
    {"aten._assert_scalar.default", "Scalar self, str assert_msg -> ()", "", "@assert"},
    {"aten._assert_tensor_metadata.default",
     "Tensor a, SymInt[]? size=None, SymInt[]? stride=None, ScalarType? dtype=None, *, "
     "Device? device=None, Layout? layout=None -> ()",
     "", "@assert"},
    {"aten._assert_async.msg", "Tensor self, str assert_msg -> ()", "", "@assert"},
    {"aten._assert_async.default", "Tensor self -> ()", "", "@assert"},
    {"aten.sym_constrain_range.default", "Scalar size, *, int? min=None, int? max=None -> ()", "", "@assert"},
    {"aten.sym_constrain_range_for_size.default", "Scalar size, *, int? min=None, int? max=None -> ()", "",
     "@assert"},
    {"aten.item.default", "Tensor self -> Scalar", "", "@item"},
    {"aten._local_scalar_dense.default", "Tensor self -> Scalar", "", "@item"},
    {"export.access_subclass_inner_tensor.default", "Tensor src_subclass_tensor, str attr", "",
     "@subclass_part"},
};
List<Row> create_rows() { return kCreateRows; }

}  // namespace zp::pt2
