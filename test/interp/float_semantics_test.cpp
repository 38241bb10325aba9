// Corners of float and integer arithmetic in which operators of torch differ from what one might expect, one
// named test each: NaN, infinities, signed zeros, ties, rounding, integer division, type promotion, empty and
// fully masked reductions. Expected numbers are those of torch 2.13 on a CPU.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "interp/interp.h"
#include "ir/parser.h"
#include "ops/ops.h"

namespace zp {
namespace {

constexpr double kNaN = NAN, kInf = INFINITY;

// Runs nodes on constants: `consts` are lines `@x = f32[2] [1,nan]`, each read as %x; the last node is %y.
Tensor run_text(const std::vector<std::string>& consts, const std::string& nodes) {
  std::string text = "zp 1\n", reads;
  for (const std::string& line : consts) {
    text += line + "\n";
    const std::string name = line.substr(1, line.find(' ') - 1);
    reads += "  %" + name + " = const @" + name + "\n";
  }
  text += "graph main() -> (%y) {\n" + reads + "  " + nodes + "\n}\n";
  auto model = parse_model(text, ops::table());
  EXPECT_TRUE(model.ok()) << model.error().str() << "\n" << text;
  if (!model.ok()) return {};
  auto results = run(**model, {});
  EXPECT_TRUE(results.ok()) << results.error().str();
  return results.ok() ? (*results)[0] : Tensor();
}

void expect(const Tensor& got, DType dtype, const std::vector<double>& want, double allowed = 0) {
  EXPECT_EQ(dtype_name(got.dtype()), dtype_name(dtype));
  ASSERT_EQ(got.elements(), static_cast<int64_t>(want.size()));
  for (int64_t i = 0; i < got.elements(); ++i) {
    const double a = got.get_double(i), b = want[static_cast<size_t>(i)];
    if (std::isnan(b)) EXPECT_TRUE(std::isnan(a)) << i << ": " << a;
    else if (allowed > 0) EXPECT_NEAR(a, b, allowed) << i;
    else EXPECT_TRUE(a == b && std::signbit(a) == std::signbit(b)) << i << ": " << a << ", want " << b;
  }
}

TEST(FloatSemantics, relu_clamp_and_maximum_propagate_nan) {
  expect(run_text({"@x = f32[2] [nan,-1]"}, "%y = relu(%x)"), DType::F32, {kNaN, 0});
  expect(run_text({"@x = f32[3] [nan,-3,3]"}, "%y = clamp(%x) {min: -1.0, max: 1.0}"), DType::F32,
         {kNaN, -1, 1});
  expect(run_text({"@x = f32[2] [nan,1]", "@z = f32[2] [1,nan]"}, "%y = maximum(%x, %z)"), DType::F32,
         {kNaN, kNaN});
  expect(run_text({"@x = f32[2] [nan,1]", "@z = f32[2] [1,nan]"}, "%y = fmax(%x, %z)"), DType::F32, {1, 1});
  expect(run_text({"@x = f32[3] [1,nan,2]"}, "%y = amax(%x)"), DType::F32, {kNaN});
}

TEST(FloatSemantics, clamp_with_min_above_max_gives_max) {
  expect(run_text({"@x = f32[3] [-5,0,5]"}, "%y = clamp(%x) {min: 2.0, max: 1.0}"), DType::F32, {1, 1, 1});
}

TEST(FloatSemantics, relu_keeps_the_sign_of_zero) {
  expect(run_text({"@x = f32[2] [-0.0,0]"}, "%y = relu(%x)"), DType::F32, {-0.0, 0.0});
}

TEST(FloatSemantics, gelu_is_the_error_function_unless_tanh_is_said) {
  expect(run_text({"@x = f32[2] [1,-2]"}, "%y = gelu(%x)"), DType::F32, {0.84134471, -0.045500278}, 1e-6);
  expect(run_text({"@x = f32[2] [1,-2]"}, "%y = gelu(%x) {approximate: \"tanh\"}"), DType::F32,
         {0.84119201, -0.045402348}, 1e-6);
}

TEST(FloatSemantics, hard_activations_are_piecewise) {
  expect(run_text({"@x = f32[4] [-4,-1.5,1.5,4]"}, "%y = hardswish(%x)"), DType::F32,
         {-0.0, -0.375, 1.125, 4}, 1e-7);
  expect(run_text({"@x = f32[4] [-4,-1.5,1.5,4]"}, "%y = hardsigmoid(%x)"), DType::F32, {0, 0.25, 0.75, 1},
         1e-7);
  expect(run_text({"@x = f32[2] [-1,2]"}, "%y = elu(%x)"), DType::F32, {-0.63212056, 2}, 1e-7);
}

TEST(FloatSemantics, softplus_is_linear_above_its_threshold) {
  expect(run_text({"@x = f32[3] [0,20.5,1000]"}, "%y = softplus(%x)"), DType::F32, {0.69314718, 20.5, 1000},
         1e-6);
}

TEST(FloatSemantics, softmax_of_minus_infinities_is_nan) {
  expect(run_text({"@x = f32[2,2] [-inf,-inf,0,-inf]"}, "%y = softmax(%x) {dim: -1}"), DType::F32,
         {kNaN, kNaN, 1, 0});
}

TEST(FloatSemantics, softmax_with_a_dtype_computes_in_it) {
  expect(run_text({"@x = f16[2] [10,0]"}, "%y = softmax(%x) {dim: 0, dtype: f32}"), DType::F32,
         {0.9999546, 4.5397868e-05}, 1e-7);
}

const std::vector<std::string> kAttention = {"@q = f32[1,2,2] [1,0,0,1]", "@k = f32[1,2,2] [1,0,0,1]",
                                             "@v = f32[1,2,1] [2,4]"};

TEST(FloatSemantics, attention_of_a_masked_row_is_zero) {
  auto consts = kAttention;
  consts.push_back("@m = bool[2,2] [false,false,true,true]");
  expect(run_text(consts, "%y = scaled_dot_product_attention(%q, %k, %v, %m)"), DType::F32, {0, 3.3395279},
         1e-5);
}

TEST(FloatSemantics, attention_scales_by_the_root_of_its_width_and_true_keeps) {
  auto consts = kAttention;
  consts.push_back("@m = bool[2,2] [true,false,false,true]");
  expect(run_text(kAttention, "%y = scaled_dot_product_attention(%q, %k, %v)"), DType::F32,
         {2.6604769, 3.3395231}, 1e-5);
  expect(run_text(consts, "%y = scaled_dot_product_attention(%q, %k, %v, %m)"), DType::F32, {2, 4}, 1e-6);
}

TEST(FloatSemantics, causal_attention_is_aligned_at_the_top_left) {
  expect(run_text({"@q = f32[1,1,2] [1,0]", "@k = f32[1,2,2] [1,0,0,1]", "@v = f32[1,2,1] [2,4]"},
                  "%y = scaled_dot_product_attention(%q, %k, %v) {is_causal: true}"),
         DType::F32, {2}, 1e-6);
}

TEST(FloatSemantics, grouped_attention_repeats_each_head_in_place) {
  expect(run_text({"@q = f32[1,4,1,1] [0,0,0,0]", "@k = f32[1,2,1,1] [1,1]", "@v = f32[1,2,1,1] [5,7]"},
                  "%y = scaled_dot_product_attention(%q, %k, %v) {enable_gqa: true}"),
         DType::F32, {5, 5, 7, 7});
}

TEST(FloatSemantics, batch_norm_divides_by_the_root_of_variance_plus_eps) {
  expect(run_text({"@x = f32[1,2] [3,5]", "@w = f32[2] [2,1]", "@b = f32[2] [1,0]", "@m = f32[2] [1,1]",
                   "@v = f32[2] [0,3]"},
                  "%y = batch_norm(%x, %w, %b, %m, %v) {eps: 1.0}"),
         DType::F32, {5, 2}, 1e-6);
}

TEST(FloatSemantics, native_norms_return_mean_and_deviation) {
  expect(run_text({"@x = f32[2,2] [1,3,2,6]"},
                  "%a, %y, %r = native_layer_norm(%x) {normalized_shape: [2], eps: 0.0}"),
         DType::F32, {2, 4});
  expect(run_text({"@x = f32[1,2,2] [1,3,2,6]"},
                  "%a, %y, %r = native_group_norm(%x) {N: 1, C: 2, HxW: 2, group: 1, eps: 0.0}"),
         DType::F32, {3});
}

TEST(FloatSemantics, average_pooling_counts_padding_but_not_beyond_the_border) {
  const std::string pool =
      "%y = avg_pool1d(%x) {kernel_size: [3], stride: [2], padding: [1], ceil_mode: true";
  const std::vector<std::string> x = {"@x = f32[1,8] [0,1,2,3,4,5,6,7]"};
  expect(run_text(x, pool + "}"), DType::F32, {1.0 / 3, 2, 4, 6, 3.5}, 1e-6);
  expect(run_text(x, pool + ", count_include_pad: false}"), DType::F32, {0.5, 2, 4, 6, 7}, 1e-6);
}

TEST(FloatSemantics, resizing_uses_the_scale_that_is_given) {
  const std::vector<std::string> x = {"@x = f32[1,1,5] [0,1,2,3,4]"};
  expect(run_text(x, "%y = upsample_nearest1d(%x) {scale_factors: [2.5]}"), DType::F32,
         {0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4});
  expect(run_text(x, "%y = upsample_linear1d(%x) {scale_factors: [2.5]}"), DType::F32,
         {0, 0.1, 0.5, 0.9, 1.3, 1.7, 2.1, 2.5, 2.9, 3.3, 3.7, 4}, 1e-6);
  expect(run_text(x, "%y = upsample_linear1d(%x) {output_size: [12]}"), DType::F32,
         {0, 0.125, 0.5416667, 0.9583333, 1.375, 1.7916667, 2.2083333, 2.625, 3.0416667, 3.4583333, 3.875, 4},
         1e-6);
}

TEST(FloatSemantics, the_first_of_equal_values_wins) {
  const std::vector<std::string> x = {"@x = f32[5] [1,3,2,3,1]"};
  expect(run_text(x, "%y = argmax(%x)"), DType::I64, {1});
  expect(run_text(x, "%y = argmin(%x)"), DType::I64, {0});
  expect(run_text(x, "%v, %y = max(%x) {dim: 0}"), DType::I64, {1});
  expect(run_text(x, "%v, %y = topk(%x) {k: 2}"), DType::I64, {1, 3});
  expect(run_text({"@x = f32[3] [1,nan,nan]"}, "%y = argmax(%x)"), DType::I64, {1});
}

const std::vector<std::string> kIntegers = {"@x = i64[4] [-7,7,-7,7]", "@z = i64[4] [2,-2,-2,2]"};

TEST(FloatSemantics, division_of_integers_is_real_unless_a_mode_is_said) {
  expect(run_text(kIntegers, "%y = div(%x, %z)"), DType::F32, {-3.5, -3.5, 3.5, 3.5});
  expect(run_text(kIntegers, "%y = div(%x, %z) {rounding_mode: \"floor\"}"), DType::I64, {-4, -4, 3, 3});
  expect(run_text(kIntegers, "%y = div(%x, %z) {rounding_mode: \"trunc\"}"), DType::I64, {-3, -3, 3, 3});
  expect(run_text(kIntegers, "%y = floor_divide(%x, %z)"), DType::I64, {-4, -4, 3, 3});
}

TEST(FloatSemantics, remainder_has_the_sign_of_the_divisor_and_fmod_of_the_dividend) {
  expect(run_text(kIntegers, "%y = remainder(%x, %z)"), DType::I64, {1, -1, -1, 1});
  expect(run_text(kIntegers, "%y = fmod(%x, %z)"), DType::I64, {-1, 1, -1, 1});
  expect(run_text({"@x = f32[2] [-7,7]", "@z = f32[2] [3,-3]"}, "%y = remainder(%x, %z)"), DType::F32,
         {2, -2});
  expect(run_text({"@x = f32[2] [1,1]", "@z = f32[2] [0,inf]"}, "%y = remainder(%x, %z)"), DType::F32,
         {kNaN, 1});
}

TEST(FloatSemantics, numbers_and_scalars_do_not_widen_within_their_kind) {
  expect(run_text({"@x = i8[1] [1]", "@n = literal i64[] 1000"}, "%y = add(%x, %n)"), DType::I8, {-23});
  expect(run_text({"@x = f16[1] [2]", "@n = literal f32[] 1.5"}, "%y = mul(%x, %n)"), DType::F16, {3});
  expect(run_text({"@x = i32[1] [2]", "@n = literal f32[] 1.5"}, "%y = mul(%x, %n)"), DType::F32, {3});
  expect(run_text({"@x = i32[1] [2]", "@n = i64[] 5"}, "%y = mul(%x, %n)"), DType::I32, {10});
}

TEST(FloatSemantics, tensors_promote_to_what_holds_both) {
  expect(run_text({"@x = u8[1] [200]", "@z = i8[1] [-1]"}, "%y = add(%x, %z)"), DType::I16, {199});
  expect(run_text({"@x = bool[1] [true]", "@n = literal i64[] 1"}, "%y = add(%x, %n)"), DType::I64, {2});
  expect(run_text({"@x = f16[1] [1]", "@z = f32[1] [0.5]"}, "%y = add(%x, %z)"), DType::F32, {1.5});
}

TEST(FloatSemantics, sums_of_small_integers_are_wide) {
  expect(run_text({"@x = i8[3] [100,100,100]"}, "%y = sum(%x)"), DType::I64, {300});
  expect(run_text({"@x = bool[3] [true,true,true]"}, "%y = sum(%x)"), DType::I64, {3});
  expect(run_text({"@x = u8[2] [255,255]"}, "%y = cumsum(%x) {dim: 0}"), DType::I64, {255, 510});
}

TEST(FloatSemantics, addmm_without_beta_ignores_nan) {
  expect(run_text({"@b = f32[1] [nan]", "@x = f32[1,2] [1,2]", "@z = f32[2,1] [3,4]"},
                  "%y = addmm(%b, %x, %z) {beta: 0}"),
         DType::F32, {11});
}

TEST(FloatSemantics, half_precision_products_round_once_at_the_end) {
  // In f16 steps 2048 + 1 would stay 2048.
  expect(run_text({"@x = f16[1,4] [2048,1,1,1]", "@z = f16[4,1] [1,1,1,1]"}, "%y = matmul(%x, %z)"),
         DType::F16, {2052});
}

TEST(FloatSemantics, casts_to_narrow_integers_wrap_and_what_is_no_number_is_zero) {
  expect(run_text({"@x = f32[5] [300,nan,inf,1e10,-200]"}, "%y = cast(%x) {dtype: i8}"), DType::I8,
         {44, 0, 0, 0, 56});
}

TEST(FloatSemantics, casts_to_f8_saturate) {
  expect(run_text({"@x = f32[4] [500,-500,nan,464]"}, "%y = cast(%x) {dtype: f8e4m3}"), DType::F8E4M3,
         {448, -448, kNaN, 448});
}

TEST(FloatSemantics, padding_of_an_embedding_has_no_effect) {
  expect(run_text({"@w = f32[2,1] [3,4]", "@i = i64[2] [1,0]"}, "%y = embedding(%w, %i) {padding_idx: 1}"),
         DType::F32, {4, 3});
}

TEST(FloatSemantics, halves_round_to_even) {
  expect(run_text({"@x = f32[6] [0.5,1.5,2.5,-0.5,-1.5,-2.5]"}, "%y = round(%x)"), DType::F32,
         {0, 2, 2, -0.0, -2, -2});
  expect(run_text({"@x = f32[3] [0.5,1.5,-0.5]"}, "%y = quantize(%x) : i8(1, 1)"), DType::I8, {1, 3, 1});
}

TEST(FloatSemantics, floor_ceil_and_trunc_keep_the_sign_of_zero) {
  expect(run_text({"@x = f32[2] [-0.5,0.5]"}, "%y = ceil(%x)"), DType::F32, {-0.0, 1});
  expect(run_text({"@x = f32[2] [-0.5,0.5]"}, "%y = trunc(%x)"), DType::F32, {-0.0, 0});
  expect(run_text({"@x = f32[2] [-0.0,-inf]"}, "%y = floor(%x)"), DType::F32, {-0.0, -kInf});
}

TEST(FloatSemantics, products_of_bytes_are_exact) {
  expect(run_text({"@x = i8[1,2] [-128,-128]", "@z = i8[2,1] [-128,-128]"}, "%y = int_mm(%x, %z)"),
         DType::I32, {32768});
}

TEST(FloatSemantics, reductions_of_nothing_give_their_neutral_element) {
  const std::vector<std::string> x = {"@x = f32[0] []"};
  expect(run_text(x, "%y = sum(%x)"), DType::F32, {0});
  expect(run_text(x, "%y = prod(%x)"), DType::F32, {1});
  expect(run_text(x, "%y = mean(%x)"), DType::F32, {kNaN});
  expect(run_text(x, "%y = var(%x)"), DType::F32, {kNaN});
  expect(run_text(x, "%y = all(%x)"), DType::Bool, {1});
  expect(run_text(x, "%y = any(%x)"), DType::Bool, {0});
  expect(run_text({"@x = f32[2,0] []"}, "%y = logsumexp(%x) {dims: [1]}"), DType::F32, {-kInf, -kInf});
}

TEST(FloatSemantics, the_greatest_of_nothing_is_an_error) {
  auto model = parse_model(
      "zp 1\n@x = f32[0] []\ngraph main() -> (%y) {\n  %x = const @x\n  %y = amax(%x)\n}\n", ops::table());
  EXPECT_FALSE(model.ok() && run(**model, {}).ok());
}

TEST(FloatSemantics, comparisons_with_nan_are_false_but_for_ne) {
  const std::vector<std::string> x = {"@x = f32[2] [nan,1]", "@z = f32[2] [nan,nan]"};
  for (const std::string op : {"eq", "lt", "le", "gt", "ge"})
    expect(run_text(x, "%y = " + op + "(%x, %z)"), DType::Bool, {0, 0});
  expect(run_text(x, "%y = ne(%x, %z)"), DType::Bool, {1, 1});
}

// Symbolic numbers follow Python: floor division and remainders, true division, truth values.
TEST(FloatSemantics, symbolic_numbers_compute_as_python_does) {
  const auto of = [](const std::string& function, const std::string& a, const std::string& b) {
    const auto type = [](const std::string& v) {
      return v == "true" || v == "false" ? "bool" : v.find('.') == std::string::npos ? "i64" : "f64";
    };
    std::string nodes = "%p = item(%a)\n  ";
    if (!b.empty()) nodes += "%q = item(%b)\n  ";
    nodes +=
        "%n = number(%p" + std::string(b.empty() ? "" : ", %q") + ") {function: \"" + function + "\"}\n  ";
    std::vector<std::string> consts = {std::string("@a = ") + type(a) + "[] " + a};
    if (!b.empty()) consts.push_back(std::string("@b = ") + type(b) + "[] " + b);
    return run_text(consts, nodes + "%y = number_tensor(%n)");
  };
  expect(of("floordiv", "-7", "2"), DType::I64, {-4});
  expect(of("mod", "-7", "2"), DType::I64, {1});
  expect(of("mod", "7", "-2"), DType::I64, {-1});
  expect(of("floordiv", "-7.0", "2"), DType::F64, {-4});
  expect(of("truediv", "7", "2"), DType::F64, {3.5});
  expect(of("pow", "-3", "3"), DType::I64, {-27});
  expect(of("mul", "3", "0.5"), DType::F64, {1.5});
  expect(of("lshift", "3", "4"), DType::I64, {48});
  expect(of("rshift", "-5", "1"), DType::I64, {-3});
  expect(of("max", "3", "2.5"), DType::F64, {3});
  expect(of("ge", "3", "3.0"), DType::Bool, {1});
  expect(of("and_", "true", "false"), DType::Bool, {0});
  expect(of("or_", "6", "3"), DType::I64, {7});
  expect(of("not_", "0", ""), DType::Bool, {1});
  expect(of("trunc", "-2.5", ""), DType::I64, {-2});
  expect(of("floor", "-2.5", ""), DType::I64, {-3});
  expect(of("ceil", "-2.5", ""), DType::I64, {-2});
  expect(of("float", "2", ""), DType::F64, {2});
  expect(of("sqrt", "2.25", ""), DType::F64, {1.5});
  expect(of("neg", "true", ""), DType::I64, {-1});
}

TEST(FloatSemantics, symbolic_numbers_that_do_not_fit_are_errors) {
  for (const std::string node : {"{function: \"mul\"}", "{function: \"pow\"}"}) {
    auto model = parse_model(
        "zp 1\n@a = i64[] 9000000000000000000\ngraph main() -> (%y) {\n  %a = const @a\n"
        "  %p = item(%a)\n  %n = number(%p, %p) " +
            node + "\n  %y = number_tensor(%n)\n}\n",
        ops::table());
    ASSERT_TRUE(model.ok()) << model.error().str();
    const auto results = run(**model, {});
    ASSERT_FALSE(results.ok());
    EXPECT_EQ(results.error().first().id, "run.number");
  }
}

}  // namespace
}  // namespace zp
