// Rows of products, convolutions, attention, recurrent layers, normalizations and softmax.
// The schemas are those of torch 2.13 (its operator registry), the map column is explained in schema.h.
#include "formats/pt2/schema_tables.h"

namespace zp::pt2 {

constexpr Row kMathRows[] = {
    // Products, convolutions, attention and recurrent layers.
    {"aten.linear.default", "Tensor input, Tensor weight, Tensor? bias=None", "linear", ""},
    {"aten.conv1d.default",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], "
     "SymInt[1] dilation=[1], SymInt groups=1",
     "conv1d", ".pad_mode=''"},
    {"aten.conv2d.default",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], "
     "SymInt[2] padding=[0, 0], SymInt[2] dilation=[1, 1], SymInt groups=1",
     "conv2d", ".pad_mode=''"},
    {"aten.conv3d.default",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], "
     "SymInt[3] padding=[0, 0, 0], SymInt[3] dilation=[1, 1, 1], SymInt groups=1",
     "conv3d", ".pad_mode=''"},
    {"aten.conv1d.padding",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], str padding=\"valid\", "
     "SymInt[1] dilation=[1], SymInt groups=1",
     "conv1d", "padding>pad_mode"},
    {"aten.conv2d.padding",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding=\"valid\", "
     "SymInt[2] dilation=[1, 1], SymInt groups=1",
     "conv2d", "padding>pad_mode"},
    {"aten.conv3d.padding",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], "
     "str padding=\"valid\", SymInt[3] dilation=[1, 1, 1], SymInt groups=1",
     "conv3d", "padding>pad_mode"},
    {"aten.conv_transpose1d.default",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], "
     "SymInt[1] output_padding=[0], SymInt groups=1, SymInt[1] dilation=[1]",
     "conv_transpose1d", ".pad_mode=''"},
    {"aten.conv_transpose2d.input",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], "
     "SymInt[2] padding=[0, 0], SymInt[2] output_padding=[0, 0], SymInt groups=1, "
     "SymInt[2] dilation=[1, 1]",
     "conv_transpose2d", ".pad_mode=''"},
    {"aten.conv_transpose3d.input",
     "Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], "
     "SymInt[3] padding=[0, 0, 0], SymInt[3] output_padding=[0, 0, 0], SymInt groups=1, "
     "SymInt[3] dilation=[1, 1, 1]",
     "conv_transpose3d", ".pad_mode=''"},
    {"aten.convolution.default",
     "Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, "
     "bool transposed, SymInt[] output_padding, SymInt groups",
     "", "@convolution"},
    {"aten._convolution.default",
     "Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, "
     "bool transposed, SymInt[] output_padding, SymInt groups, bool benchmark, bool deterministic, "
     "bool cudnn_enabled, bool allow_tf32",
     "", "@convolution <"},
    {"aten.matmul.default", "Tensor self, Tensor other", "matmul", ""},
    {"aten.mm.default", "Tensor self, Tensor mat2", "matmul", "<"},
    {"aten.bmm.default", "Tensor self, Tensor mat2", "matmul", "<"},
    {"aten.mv.default", "Tensor self, Tensor vec", "matmul", "<"},
    {"aten.dot.default", "Tensor self, Tensor tensor", "matmul", "<"},
    {"aten.vdot.default", "Tensor self, Tensor other", "matmul", "<"},
    {"aten.outer.default", "Tensor self, Tensor vec2", "mul", "@outer <"},
    {"aten.ger.default", "Tensor self, Tensor vec2", "mul", "@outer <"},
    {"aten.addmm.default", "Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1", "addmm",
     ""},
    {"aten.baddbmm.default", "Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1",
     "baddbmm", ""},
    {"aten.einsum.default", "str equation, Tensor[] tensors, *, int[]? path=None", "einsum",
     "tensors>0 -path"},
    {"aten._int_mm.default", "Tensor self, Tensor mat2", "int_mm", ""},
    {"aten.embedding.default",
     "Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, "
     "bool sparse=False",
     "embedding", ""},
    {"aten.scaled_dot_product_attention.default",
     "Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., "
     "bool is_causal=False, *, float? scale=None, bool enable_gqa=False",
     "scaled_dot_product_attention", ""},
    {"aten.lstm.input",
     "Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
     "bool train, bool bidirectional, bool batch_first -> (Tensor, Tensor, Tensor)",
     "lstm", "hx*2"},
    {"aten.gru.input",
     "Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
     "bool train, bool bidirectional, bool batch_first -> (Tensor, Tensor)",
     "gru", ""},
    {"aten.rnn_tanh.input",
     "Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
     "bool train, bool bidirectional, bool batch_first -> (Tensor, Tensor)",
     "rnn_tanh", ""},
    {"aten.rnn_relu.input",
     "Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
     "bool train, bool bidirectional, bool batch_first -> (Tensor, Tensor)",
     "rnn_relu", ""},

    {"aten.lstm_cell.default",
     "Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, "
     "Tensor? b_hh=None -> (Tensor, Tensor)",
     "lstm", "@recurrent_cell <"},
    {"aten.gru_cell.default",
     "Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None", "gru",
     "@recurrent_cell <"},
    {"aten.rnn_tanh_cell.default",
     "Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None", "rnn_tanh",
     "@recurrent_cell <"},
    {"aten.rnn_relu_cell.default",
     "Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None", "rnn_relu",
     "@recurrent_cell <"},
    {"aten.cosine_similarity.default", "Tensor x1, Tensor x2, int dim=1, float eps=1e-08", "sum",
     "@cosine_similarity <"},
    {"aten.pairwise_distance.default",
     "Tensor x1, Tensor x2, float p=2., float eps=9.9999999999999995e-07, bool keepdim=False",
     "linalg_vector_norm", "@pairwise_distance <"},
    {"aten.cdist.default", "Tensor x1, Tensor x2, float p=2., int? compute_mode=None", "linalg_vector_norm",
     "@cdist -compute_mode <"},
    {"aten._cdist_forward.default", "Tensor x1, Tensor x2, float p, int? compute_mode", "linalg_vector_norm",
     "@cdist -compute_mode <"},
    {"aten._weight_norm.default", "Tensor v, Tensor g, int dim=0", "mul", "@weight_norm <"},
    {"aten._weight_norm_interface.default", "Tensor v, Tensor g, int dim=0 -> (Tensor, Tensor)", "mul",
     "@weight_norm <"},

    // Normalizations, softmax and dropout.
    {"aten.batch_norm.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
     "bool training, float momentum, float eps, bool cudnn_enabled",
     "batch_norm", "-cudnn_enabled=false"},
    {"aten._native_batch_norm_legit_no_training.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, "
     "float momentum, float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", ".training=false"},
    {"aten._native_batch_norm_legit_no_training.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, "
     "float momentum, float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", "@batch_norm_statistics .training=false <"},
    {"aten.native_batch_norm.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
     "bool training, float momentum, float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", "@batch_norm_statistics training=false <"},
    {"aten._native_batch_norm_legit.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, "
     "bool training, float momentum, float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", "@batch_norm_statistics training=false <"},
    {"aten._batch_norm_no_update.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
     "float momentum, float eps -> (Tensor, Tensor, Tensor, Tensor)",
     "batch_norm", "@batch_norm_statistics .training=false <"},
    {"aten._native_batch_norm_legit_functional.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, "
     "bool training, float momentum, "
     "float eps -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)",
     "native_batch_norm", ""},
    {"aten._native_batch_norm_legit.no_stats",
     "Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, "
     "float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", "weight>1 bias>2 <"},
    {"aten._native_batch_norm_legit.no_stats",
     "Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, "
     "float eps -> (Tensor, Tensor, Tensor)",
     "batch_norm", "@batch_norm_statistics weight>1 bias>2 <"},
    {"aten.layer_norm.default",
     "Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, "
     "float eps=1.0000000000000001e-05, bool cudnn_enable=True",
     "layer_norm", "-cudnn_enable"},
    {"aten.native_layer_norm.default",
     "Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, "
     "float eps -> (Tensor, Tensor, Tensor)",
     "native_layer_norm", ""},
    {"aten.group_norm.default",
     "Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, "
     "float eps=1.0000000000000001e-05, bool cudnn_enabled=True",
     "group_norm", "-cudnn_enabled"},
    {"aten.native_group_norm.default",
     "Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, "
     "float eps -> (Tensor, Tensor, Tensor)",
     "native_group_norm", ""},
    {"aten.instance_norm.default",
     "Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
     "bool use_input_stats, float momentum, float eps, bool cudnn_enabled",
     "instance_norm", "-cudnn_enabled=false"},
    {"aten.rms_norm.default", "Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None",
     "rms_norm", ""},
    {"aten._fused_rms_norm.default",
     "Tensor input, int[] normalized_shape, Tensor? weight, float? eps -> (Tensor, Tensor)",
     "native_rms_norm", ""},
    {"aten.dropout.default", "Tensor input, float p, bool train", "identity", "-p train=false <"},
    {"aten.feature_dropout.default", "Tensor input, float p, bool train", "identity", "-p train=false <"},
    {"aten.alpha_dropout.default", "Tensor input, float p, bool train", "identity", "-p train=false <"},
    {"aten.softmax.int", "Tensor self, int dim, ScalarType? dtype=None", "softmax", ""},
    {"aten.log_softmax.int", "Tensor self, int dim, ScalarType? dtype=None", "log_softmax", ""},
    {"aten._softmax.default", "Tensor self, int dim, bool half_to_float", "softmax",
     "half_to_float=false .dtype=None"},
    {"aten._softmax.default", "Tensor self, int dim, bool half_to_float", "softmax",
     "half_to_float=true .dtype=f32"},
    {"aten._log_softmax.default", "Tensor self, int dim, bool half_to_float", "log_softmax",
     "half_to_float=false .dtype=None"},
    {"aten._log_softmax.default", "Tensor self, int dim, bool half_to_float", "log_softmax",
     "half_to_float=true .dtype=f32"},
    {"aten._safe_softmax.default", "Tensor self, int dim, ScalarType? dtype=None", "safe_softmax", ""},
};
List<Row> math_rows() { return kMathRows; }

}  // namespace zp::pt2
