// The builder of backend configurations: setters, mistakes, merging, fusers as actions; the dictionary's JSON
// with every mistake named; the text that comes of both.
#include "zeropoint/backend.h"

#include <gtest/gtest.h>

#include "backend/backend.h"
#include "backend/torch_names.h"

namespace zp::backend {
namespace {

using zeropoint::BackendConfig;
using zeropoint::BackendText;
using zeropoint::DTypeConfig;
using zeropoint::FusedOp;
using zeropoint::ObservationType;
using zeropoint::PatternConfig;
using zeropoint::PatternTree;

const char* const kConv = "torch.nn.modules.conv.Conv2d";
const char* const kRelu = "torch.nn.modules.activation.ReLU";
const char* const kNorm = "torch.nn.modules.batchnorm.BatchNorm2d";

DTypeConfig weighted() {
  return DTypeConfig()
      .set_input_dtype("quint8")
      .set_output_dtype("quint8")
      .set_weight_dtype("qint8")
      .set_bias_dtype("float32");
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::unique_ptr<Backend> parse(const std::string& text) {
  auto backend = Backend::parse(text, "test.zpb");
  EXPECT_TRUE(backend.ok()) << (backend.ok() ? "" : backend.error().str()) << text;
  return backend.ok() ? std::move(*backend) : nullptr;
}

std::string patterns_of(const std::string& text) {
  const auto b = parse(text);
  return b == nullptr ? "" : b->print();
}

TEST(Config, BuilderAndTextAreOneTree) {
  BackendConfig config("chip");
  config.set_backend_pattern_config(PatternConfig({kConv, kRelu}).add_dtype_config(weighted()));
  const BackendText text = config.to_zpb();
  ASSERT_TRUE(text.ok()) << joined(text.errors);
  const auto built = parse(text.text);
  const auto written = parse(R"(
backend chip version 1
  numerics { origin: torch }
  types weighted-int8-xwby { x: u8  w: i8  b: f32  y: u8 }
  pattern conv2d-relu : conv2d, relu
    types weighted-int8-xwby
    becomes root {clamp: of relu}
    alias "nn.conv.Conv2d, nn.activation.ReLU" {fused_module: "null", fuser_method: "null"}
)");
  ASSERT_TRUE(built && written);
  EXPECT_EQ(built->print(), written->print());
  EXPECT_EQ(built->json(), written->json());
}

TEST(Config, EverySetterIsRead) {
  PatternConfig c(std::vector<std::string>{kConv, kRelu});
  c.set_observation_type(ObservationType::ShareWithInput).set_root_module("r").set_qat_module("q");
  c.set_reference_quantized_module("ref").set_fused_module("f").set_fuser_method(std::string("fu"));
  c.set_root_node_getter("g").set_extra_inputs_getter("e").set_dtype_configs({weighted()});
  c.set_num_tensor_args_to_observation_type({{1, ObservationType::NotObserved}})
      .set_input_type_to_index({{"weight", 1}});
  BackendConfig config("x");
  config.set_backend_pattern_config(c);
  const BackendConfig back = BackendConfig::from_json(config.to_json());
  ASSERT_EQ(back.configs().size(), 1u) << joined(back.problems());
  const PatternConfig& d = back.configs().front();
  EXPECT_EQ(d.pattern, c.pattern);
  EXPECT_EQ(d.observation_type, c.observation_type);
  ASSERT_EQ(d.dtype_configs.size(), 1u);
  EXPECT_EQ(d.dtype_configs[0].weight_dtype->dtype, "torch.qint8");
  EXPECT_EQ(d.root_module + d.qat_module + d.reference_quantized_module + d.fused_module + d.fuser_method +
                d.root_node_getter + d.extra_inputs_getter,
            "rqrefffuge");
  EXPECT_EQ(d.num_tensor_args_to_observation_type, c.num_tensor_args_to_observation_type);
  EXPECT_EQ(d.input_type_to_index, c.input_type_to_index);
}

TEST(Config, ConfigsAreAListAndALaterOneReplacesInPlace) {
  BackendConfig config("x");
  config.set_backend_pattern_configs({PatternConfig("torch.relu"), PatternConfig(kConv)});
  config.set_backend_pattern_config(
      PatternConfig("torch.relu").set_observation_type(ObservationType::ShareWithInput));
  ASSERT_EQ(config.configs().size(), 2u);
  EXPECT_EQ(config.configs()[0].pattern.front(), "torch.relu");
  EXPECT_EQ(config.configs()[0].observation_type, ObservationType::ShareWithInput);
  ASSERT_EQ(config.notes().size(), 1u);
  EXPECT_NE(config.notes()[0].find("given twice"), std::string::npos);
  // A forward pair and its nested image are one pattern.
  config.set_backend_pattern_config(PatternConfig({kConv, kRelu}));
  PatternConfig nested;
  nested.set_pattern_complex_format(PatternTree::tuple({PatternTree::op(kRelu), PatternTree::op(kConv)}));
  config.set_backend_pattern_config(nested);
  EXPECT_EQ(config.configs().size(), 3u);
  EXPECT_TRUE(config.remove(*nested.key()));
  EXPECT_FALSE(config.remove(*nested.key()));
  EXPECT_EQ(config.configs().size(), 2u);
}

TEST(Config, MergeHasAStatedPrecedence) {
  BackendConfig mine("mine"), theirs("theirs");
  mine.set_backend_pattern_config(PatternConfig("torch.relu"));
  theirs.set_backend_pattern_config(
      PatternConfig("torch.relu").set_observation_type(ObservationType::ShareWithInput));
  theirs.set_backend_pattern_config(PatternConfig(kConv));
  for (const auto precedence : {BackendConfig::Precedence::Theirs, BackendConfig::Precedence::Mine,
                                BackendConfig::Precedence::Error}) {
    BackendConfig both = mine;
    both.merge(theirs, precedence);
    ASSERT_EQ(both.configs().size(), 2u);
    EXPECT_EQ(both.configs()[1].pattern.front(), kConv);
    EXPECT_EQ(both.configs()[0].observation_type == ObservationType::ShareWithInput,
              precedence == BackendConfig::Precedence::Theirs);
    EXPECT_EQ(both.problems().size(), precedence == BackendConfig::Precedence::Error ? 1u : 0u);
  }
}

TEST(Config, FusersAreActions) {
  std::vector<std::string> seen;
  PatternTree nested_seen;
  BackendConfig config("x");
  config.set_backend_pattern_config(
      PatternConfig({kConv, kNorm, kRelu})
          .add_dtype_config(weighted())
          .set_fuser_method([&](bool is_qat, const std::vector<std::string>& ops) {
            seen = ops;
            return std::optional<FusedOp>(is_qat ? FusedOp{"conv2d", "", ""}
                                                 : FusedOp{"conv2d", "relu", "fold-batch-norm"});
          }));
  BackendText text = config.to_zpb();
  ASSERT_TRUE(text.ok()) << joined(text.errors);
  EXPECT_EQ(seen, (std::vector<std::string>{"conv2d", "batch_norm", "relu"}));
  EXPECT_NE(text.text.find("becomes conv2d {clamp: of relu} with fold-batch-norm"), std::string::npos)
      << text.text;
  EXPECT_NE(text.text.find("train conv2d"), std::string::npos);

  BackendConfig legacy("x");
  PatternConfig c;
  c.set_pattern_complex_format(PatternTree::tuple({PatternTree::op(kRelu), PatternTree::op(kConv)}));
  c.add_dtype_config(weighted()).set_fuser_method([&](bool, const PatternTree& ops) {
    nested_seen = ops;
    return std::optional<FusedOp>(FusedOp{"root", "relu", ""});
  });
  legacy.set_backend_pattern_config(c);
  text = legacy.to_zpb();
  ASSERT_TRUE(text.ok()) << joined(text.errors);
  EXPECT_EQ(nested_seen, *c.key());
  EXPECT_NE(text.text.find("becomes root {clamp: of relu}"), std::string::npos);
  // An action that nobody registered is an error of the file, with its name.
  BackendConfig wrong("x");
  wrong.set_backend_pattern_config(
      PatternConfig({kConv, kRelu}).set_fuser_method([](bool, const std::vector<std::string>&) {
        return std::optional<FusedOp>(FusedOp{"root", "", "fold-nothing"});
      }));
  EXPECT_NE(joined(wrong.to_zpb().unsaid).find("unknown action \"fold-nothing\""), std::string::npos);
}

struct Mistake {
  const char* json;
  const char* wanted;
};

// Each message of PyTorch's own validation has its equivalent, and so has what it takes in silence.
TEST(Config, MistakesOfADictionaryAreNamed) {
  const Mistake cases[] = {
      {"[]", "expected a dictionary"},
      {"{", "no JSON"},
      {R"({"configs": "x"})", "expected backend_config_dict['configs'] to be a list"},
      {R"({"configs": ["x"]})", "expected backend_config_dict['configs'] to hold dictionaries"},
      {R"({"configs": [{}]})", "either 'pattern' or 'pattern_complex_format' must be specified"},
      {R"({"configs": [{"pattern": "torch.relu", "pattern_complex_format": ["torch.relu", "torch.nn.modules.conv.Conv2d"]}]})",
       "only one of 'pattern' and 'pattern_complex_format' can be set"},
      {R"({"configs": [{"pattern": ["torch.relu"]}]})", "expected a tuple with 2 or 3 elements, got 1"},
      {R"({"configs": [{"pattern": ["a", "b", "c", "d"]}]})",
       "expected a tuple with 2 or 3 elements, got 4: (a, b, c, d)"},
      {R"({"configs": [{"pattern": "torch.relu", "fuser_method": "torch.ao.quantization.f"}]})",
       "expected pattern to be a tuple for a fuser, got one operator"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": "x"}]})",
       "expected a list of dtype configs"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": ["x"]}]})",
       "expected a list of dtype configs"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"input_dtype": "flat"}]}]})",
       "expected input_dtype to be a dtype or a dtype with constraints, got \"flat\""},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"output_dtype": 3}]}]})",
       "expected output_dtype to be a dtype or a dtype with constraints"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"weight_dtype": {"dtype": "qint9"}}]}]})",
       "expected weight_dtype to be a dtype or a dtype with constraints, got \"qint9\""},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"bias_dtype": "flat"}]}]})",
       "expected bias_dtype to be a dtype"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"is_dynamic": "no"}]}]})",
       "expected is_dynamic to be true or false"},
      {R"({"configs": [{"pattern": "torch.relu", "dtype_configs": [{"bias_type": "float32"}]}]})",
       "unknown key \"bias_type\" of a dtype config, did you mean \"bias_dtype\""},
      {R"({"configs": [{"pattern": "torch.relu", "reference_quantized_module": "x"}]})",
       "did you mean \"reference_quantized_module_for_root\""},
      {R"({"configs": [{"pattern": "torch.relu", "observation_type": "SOMETIMES"}]})",
       "unknown value of observation_type"},
      {R"({"configs": [{"pattern": "torch.relu", "observation_type": 7}]})",
       "unknown value of observation_type"},
      {R"({"configs": [{"pattern": "torch.sigmoid", "dtype_configs": [{"output_dtype": {"dtype": "quint8", "scale_exact_match": 0.1, "scale_min_lower_bound": 0.1}}]}]})",
       "scale_min_lower_bound is invalid for fixed parameters"},
      {R"({"configs": [{"pattern": "torch.sigmoid", "dtype_configs": [{"output_dtype": {"dtype": "quint8", "zero_point_exact_match": 0, "scale_max_upper_bound": 0.1}}]}]})",
       "scale_max_upper_bound is invalid for fixed parameters"},
      {R"({"configs": [{"pattern_complex_format": ["torch.relu"]}]})",
       "a nested pattern has an operator and at least one argument"},
      {R"({"configs": [{"pattern_complex_format": ["torch.relu", {"literal": "x"}]}]})",
       "a literal of a nested pattern is no number"},
      {R"({"configs": [{"pattern": "torch.add", "num_tensor_args_to_observation_type": {"two": 1}}]})",
       "\"two\" is no number of tensors"},
      {R"({"configs": [{"pattern": "torch.add", "input_type_to_index": {"weight": "one"}}]})",
       "\"weight\" has no index"},
  };
  for (const Mistake& m : cases) {
    const BackendConfig config = BackendConfig::from_json(m.json);
    EXPECT_NE(joined(config.problems()).find(m.wanted), std::string::npos)
        << m.json << "\n  wanted: " << m.wanted << "\n  found: " << joined(config.problems());
    EXPECT_FALSE(config.to_zpb().ok());
  }
}

TEST(Config, NoTextMakesReadingFail) {
  BackendConfig config("x");
  config.set_backend_pattern_config(PatternConfig({kConv, kRelu}).add_dtype_config(weighted()));
  const std::string json = config.to_json();
  for (size_t n = 0; n < json.size(); ++n) (void)BackendConfig::from_json(json.substr(0, n));
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "[\"torch.relu\", ";
  EXPECT_FALSE(
      BackendConfig::from_json("{\"configs\": [{\"pattern_complex_format\": " + deep).problems().empty());
}

std::string import(const std::string& entries, bool partial = false, BackendText* out = nullptr) {
  const BackendText text = BackendConfig::from_json("{\"name\": \"t\", \"configs\": [" + entries + "]}")
                               .to_zpb({.partial = partial});
  if (out != nullptr) *out = text;
  return text.ok() ? patterns_of(text.text) : joined(text.errors);
}

const char* const kWeighted =
    R"("dtype_configs": [{"input_dtype": {"dtype": "torch.quint8"}, "output_dtype": {"dtype": "torch.quint8"}, "weight_dtype": {"dtype": "torch.qint8"}, "bias_dtype": "torch.float32"}])";

TEST(Import, PatternFormats) {
  auto entry = [](const std::string& pattern, const std::string& more = "") {
    return "{" + pattern + ", " + kWeighted + more + "}";
  };
  EXPECT_NE(import(entry(R"("pattern": "torch.nn.functional.conv2d")")).find("pattern conv2d : conv2d\n"),
            std::string::npos);
  EXPECT_NE(
      import(entry(R"("pattern": ["torch.nn.modules.conv.Conv2d", "torch.relu"])")).find(": conv2d, relu\n"),
      std::string::npos);
  EXPECT_NE(
      import(
          entry(
              R"("pattern_complex_format": ["method:relu_", ["torch.nn.modules.batchnorm.BatchNorm2d", "torch.nn.modules.conv.Conv2d"]])"))
          .find(": conv2d, batch_norm, relu\n"),
      std::string::npos);
  // A wildcard is nobody's; with a getter of extra inputs it is a value of its own.
  const std::string sum =
      R"("pattern_complex_format": ["torch.relu", ["operator.add", "torch.nn.modules.conv.Conv2d", "MatchAllNode"]])";
  EXPECT_NE(import(entry(sum)).find(": conv2d, add(_), relu\n"), std::string::npos) << import(entry(sum));
  const std::string extra =
      import(entry(sum, R"(, "extra_inputs_getter": "torch.ao.quantization.backend_config.onednn._x")"));
  EXPECT_NE(extra.find(": conv2d, add(%r), relu\n"), std::string::npos) << extra;
  EXPECT_NE(extra.find("extra %r"), std::string::npos);
  // The second operand of a difference is no chain.
  const std::string sub = import(
      entry(R"("pattern_complex_format": ["operator.sub", "MatchAllNode", "torch.nn.modules.conv.Conv2d"])"));
  EXPECT_NE(sub.find("%y = sub(_, %v1)"), std::string::npos) << sub;
  // Literals: an operand is compared, what is an attribute here is said to be left out.
  const std::string literal = import(
      entry(R"("pattern_complex_format": ["torch.add", "torch.nn.modules.conv.Conv2d", {"literal": 3}])"));
  EXPECT_NE(literal.find(": conv2d, add(3)\n"), std::string::npos) << literal;
  BackendText text;
  import(
      entry(R"("pattern_complex_format": ["torch.flatten", "torch.nn.modules.conv.Conv2d", {"literal": 1}])"),
      false, &text);
  EXPECT_NE(joined(text.notes).find("argument 2 of torch.flatten is not compared"), std::string::npos)
      << joined(text.notes);
  // A fused class is its chain, relu6 a clamp with its bounds, one result of several nothing.
  EXPECT_NE(import(entry(R"("pattern": "torch.ao.nn.intrinsic.modules.fused.ConvBnReLU2d")"))
                .find(": conv2d, batch_norm, relu\n"),
            std::string::npos);
  EXPECT_NE(import(R"({"pattern": "torch.nn.functional.relu6"})").find("hardtanh {min_val: 0, max_val: 6}"),
            std::string::npos);
  EXPECT_NE(
      import(
          R"({"pattern_complex_format": ["operator.getitem", "torch.ops.aten.max_pool2d_with_indices.default", {"literal": 0}]})")
          .find(": max_pool2d_with_indices"),
      std::string::npos);
}

TEST(Import, ObservationTypes) {
  EXPECT_NE(import(R"({"pattern": "torch.cat", "observation_type": "OUTPUT_SHARE_OBSERVER_WITH_INPUT"})")
                .find("observe y like x"),
            std::string::npos);
  EXPECT_NE(import(R"({"pattern": "torch.relu", "observation_type": "INPUT_OUTPUT_NOT_OBSERVED"})")
                .find("observe y none"),
            std::string::npos);
  EXPECT_EQ(import(R"({"pattern": "torch.relu", "observation_type": 0})").find("observe"), std::string::npos);
  const std::string both = import(R"({"pattern": "torch.add", "observation_type": 1})");
  EXPECT_NE(both.find("observe b like a"), std::string::npos) << both;
  const std::string counted =
      import(R"({"pattern": "torch.add", "num_tensor_args_to_observation_type": {"1": 1, "2": 0}})");
  EXPECT_NE(counted.find("observe y like a when tensors == 1"), std::string::npos) << counted;
  EXPECT_NE(counted.find("observe y own when tensors == 2"), std::string::npos);
}

TEST(Import, ConstraintsOfDTypes) {
  auto with = [](const std::string& slot) {
    return import("{\"pattern\": \"torch.nn.functional.linear\", \"dtype_configs\": [{\"weight_dtype\": " +
                  slot + "}]}");
  };
  EXPECT_NE(with(R"({"dtype": "torch.qint8", "quant_min_lower_bound": -127, "quant_max_upper_bound": 127})")
                .find("w: i8[-127:127]\n"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype": "qint8", "quant_min_lower_bound": -127})").find("w: i8[-127:127]\n"),
            std::string::npos);
  EXPECT_NE(
      with(R"({"dtype": "qint8", "scale_min_lower_bound": 0.000244140625})").find("w: i8 scale >= 1/4096\n"),
      std::string::npos);
  EXPECT_NE(with(R"({"dtype": "qint8", "scale_max_upper_bound": 0.5})").find("w: i8 scale <= 1/2\n"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype": "quint8", "scale_exact_match": 0.00390625, "zero_point_exact_match": 0})")
                .find("w: u8 fixed(1/256, 0)\n"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype": "quint8", "scale_exact_match": 0.00390625})").find("w: u8 fixed(1/256, any)\n"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype": "quint8", "zero_point_exact_match": 128})").find("w: u8 fixed(any, 128)\n"),
            std::string::npos);
  EXPECT_NE(with(R"("torch.quint4x2")").find("w: u4\n"), std::string::npos);
}

TEST(Import, CodeOfTheAuthorIsNamed) {
  const std::string fuser =
      std::string(
          R"({"pattern": ["torch.nn.modules.conv.Conv2d", "torch.relu"], "fuser_method": "user.fuse", )") +
      kWeighted + "}";
  BackendText text;
  import(fuser, false, &text);
  EXPECT_FALSE(text.ok());
  EXPECT_NE(joined(text.errors).find("fuser_method user.fuse is code of its author"), std::string::npos);
  import(fuser, true, &text);
  EXPECT_TRUE(text.ok());
  EXPECT_EQ(text.unsaid.size(), 1u);
  import(R"({"pattern": "user.MyConv"})", false, &text);
  EXPECT_NE(joined(text.errors).find("user.MyConv is a class or function of its author"), std::string::npos);
  import(R"({"pattern": "user.MyConv"})", true, &text);
  EXPECT_TRUE(text.ok());
  EXPECT_NE(text.text.find("foreign"), std::string::npos);
}

TEST(Import, ModuleAndFunctionOfOneOperatorAreOnePattern) {
  BackendText text;
  const std::string printed = import(
      std::string(R"({"pattern": "torch.nn.modules.linear.Linear", )") + kWeighted +
          R"(}, {"pattern": "torch.nn.functional.linear", "dtype_configs": [{"input_dtype": "qint8", "output_dtype": "qint8"}]})",
      false, &text);
  EXPECT_NE(printed.find("types weighted-int8-xwby, default-signed-xwby\n"), std::string::npos) << printed;
  EXPECT_NE(joined(text.notes).find("other dtypes than nn.linear.Linear"), std::string::npos)
      << joined(text.notes);
}

TEST(Import, FoldedOperatorsBeginWhatTheyBegan) {
  const std::string printed = import(
      std::string(
          R"({"pattern": ["torch.nn.modules.linear.Linear", "torch.nn.modules.batchnorm.BatchNorm1d"], "fuser_method": "torch.ao.quantization.fuser_method_mappings.fuse_linear_bn", )") +
      kWeighted + R"(}, {"pattern": ["torch.nn.modules.linear.Linear", "torch.nn.functional.relu"], )" +
      kWeighted + "}");
  EXPECT_NE(printed.find(": linear, batch_norm, relu\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("alias none"), std::string::npos);
}

TEST(TorchNames, WordsOfOneOperator) {
  for (const char* name :
       {"torch.nn.functional.relu", "torch.relu", "method:relu", "method:relu_", "torch.relu_", kRelu,
        "torch.ops.aten.relu.default", "torch.ops.aten.relu_.default", "relu"}) {
    const auto steps = named_steps(name);
    ASSERT_EQ(steps.size(), 1u) << name;
    EXPECT_EQ(steps[0].ops, std::vector<std::string>{"relu"}) << name;
  }
  EXPECT_EQ(named_steps("torch.nn.modules.conv.ConvTranspose3d").at(0).ops.at(0), "conv_transpose3d");
  EXPECT_EQ(named_steps("torch.nn.modules.activation.PReLU").at(0).ops.at(0), "prelu");
  EXPECT_EQ(named_steps("torch.nn.modules.pooling.AdaptiveAvgPool1d").at(0).ops.at(0), "adaptive_avg_pool1d");
  EXPECT_EQ(named_steps("torch._C._nn.avg_pool2d").at(0).ops.at(0), "avg_pool2d");
  EXPECT_EQ(named_steps("torch.nn.functional.interpolate").at(0).ops.size(), 10u);
  EXPECT_TRUE(named_steps("torch.nn.modules.rnn.LSTMCell").empty());
  EXPECT_TRUE(named_steps("user.relu").empty());
  EXPECT_NE(why_unsaid("method:size").find("types"), std::string_view::npos);
  for (std::string_view spelled : table_spellings()) {
    const auto config = unspell(spelled);
    ASSERT_TRUE(config) << spelled;
    EXPECT_EQ(spell(*config), spelled);
  }
}

}  // namespace
}  // namespace zp::backend
