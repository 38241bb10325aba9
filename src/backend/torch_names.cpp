// Names of PyTorch. Functions need no table where their name is the canonical one:
// `torch.nn.functional.conv2d`, `torch.relu`, `method:relu_` and `torch.ops.aten.relu_.default` all lose
// their ends and are looked up among the operators. What is left is listed here: modules, other words for one
// operator, and what is no operator at all.
#include "backend/torch_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "ops/ops.h"
#include "support/text_format.h"

namespace zp::backend {

using zeropoint::PatternConfig;
using zeropoint::PatternTree;

namespace {

struct Pair {
  std::string_view from, to;
};

constexpr Pair kShort[] = {
    {"torch.nn.modules.", "nn."},
    {"torch.nn.functional.", "F."},
    {"torch.ao.nn.intrinsic.modules.fused.", "nni."},
    {"torch.ao.nn.intrinsic.qat.modules.", "nniqat."},
    {"torch.ao.nn.qat.modules.", "nnqat."},
    {"torch.ao.nn.quantized.reference.modules.", "nnqr."},
    {"torch.ao.quantization.", "aoq."},
};

constexpr Pair kTypes[] = {
    {"quint8", "u8"},
    {"qint8", "i8"},
    {"quint4x2", "u4"},
    {"quint2x4", "u2"},
    {"qint32", "i32"},
    {"float32", "f32"},
    {"float16", "f16"},
    {"bfloat16", "bf16"},
    {"float64", "f64"},
    {"float", "f32"},
    {"half", "f16"},
    {"double", "f64"},
    {"uint8", "u8"},
    {"int8", "i8"},
    {"int16", "i16"},
    {"uint16", "u16"},
    {"int32", "i32"},
    {"int64", "i64"},
    {"int4", "i4"},
    {"uint4", "u4"},
    {"int2", "i2"},
    {"uint2", "u2"},
    {"float8_e4m3fn", "f8e4m3"},
    {"float8_e5m2", "f8e5m2"},
};

// Module classes by their last word; | is "or", a comma the next step, {} attributes, @ a condition.
constexpr Pair kModules[] = {
    {"ReLU6", "hardtanh {min_val: 0, max_val: 6}"},
    {"BatchNorm1d", "batch_norm @ x.rank in [2, 3]"},
    {"BatchNorm2d", "batch_norm @ x.rank == 4"},
    {"BatchNorm3d", "batch_norm @ x.rank == 5"},
    {"SyncBatchNorm", "batch_norm"},
    {"InstanceNorm1d", "instance_norm @ x.rank in [2, 3]"},
    {"InstanceNorm2d", "instance_norm @ x.rank in [3, 4]"},
    {"InstanceNorm3d", "instance_norm @ x.rank in [4, 5]"},
    {"Softmax2d", "softmax"},
    {"ConstantPad1d", "pad"},
    {"ConstantPad2d", "pad"},
    {"ConstantPad3d", "pad"},
    {"ZeroPad1d", "pad"},
    {"ZeroPad2d", "pad"},
    {"ZeroPad3d", "pad"},
    {"ReflectionPad1d", "pad {mode: \"reflect\"}"},
    {"ReflectionPad2d", "pad {mode: \"reflect\"}"},
    {"ReflectionPad3d", "pad {mode: \"reflect\"}"},
    {"ReplicationPad1d", "pad {mode: \"replicate\"}"},
    {"ReplicationPad2d", "pad {mode: \"replicate\"}"},
    {"ReplicationPad3d", "pad {mode: \"replicate\"}"},
    {"Identity", "identity"},
    {"Dropout", "identity"},
    {"Dropout1d", "identity"},
    {"Dropout2d", "identity"},
    {"Dropout3d", "identity"},
    {"AlphaDropout", "identity"},
    {"FeatureAlphaDropout", "identity"},
    {"Flatten", "reshape"},
    {"Unflatten", "reshape"},
    {"Upsample", "interpolate"},
    {"UpsamplingNearest2d", "upsample_nearest2d"},
    {"UpsamplingBilinear2d", "upsample_bilinear2d"},
    {"Fold", "col2im"},
    {"Unfold", "im2col"},
    {"RNN", "rnn_tanh"},
    {"NonDynamicallyQuantizableLinear", "linear"},
    {"BNReLU2d", "batch_norm, relu"},
    {"BNReLU3d", "batch_norm, relu"},
    {"LinearReLU", "linear, relu"},
    {"LinearBn1d", "linear, batch_norm"},
    {"LinearLeakyReLU", "linear, leaky_relu"},
    {"LinearTanh", "linear, tanh"},
    {"ConvReLU1d", "conv1d, relu"},
    {"ConvReLU2d", "conv2d, relu"},
    {"ConvReLU3d", "conv3d, relu"},
    {"ConvBn1d", "conv1d, batch_norm"},
    {"ConvBn2d", "conv2d, batch_norm"},
    {"ConvBn3d", "conv3d, batch_norm"},
    {"ConvBnReLU1d", "conv1d, batch_norm, relu"},
    {"ConvBnReLU2d", "conv2d, batch_norm, relu"},
    {"ConvBnReLU3d", "conv3d, batch_norm, relu"},
    {"ConvAdd2d", "conv2d, add"},
    {"ConvAddReLU2d", "conv2d, add, relu"},
};

// Other words of functions and methods.
constexpr Pair kFunctions[] = {
    {"concat", "cat"},
    {"concatenate", "cat"},
    {"view", "reshape"},
    {"view_as", "reshape"},
    {"reshape_as", "reshape"},
    {"flatten", "reshape"},
    {"ravel", "reshape"},
    {"unflatten", "reshape"},
    {"resize", "reshape"},
    {"view_copy", "reshape"},
    {"transpose", "permute"},
    {"swapaxes", "permute"},
    {"swapdims", "permute"},
    {"movedim", "permute"},
    {"moveaxis", "permute"},
    {"permute_copy", "permute"},
    {"transpose_copy", "permute"},
    {"t", "permute"},
    {"adjoint", "permute"},
    {"narrow", "slice"},
    {"chunk", "split"},
    {"tensor_split", "split"},
    {"split_with_sizes", "split"},
    {"tile", "repeat"},
    {"expand_as", "expand"},
    {"broadcast_to", "expand"},
    {"hstack", "cat"},
    {"vstack", "cat"},
    {"contiguous", "identity"},
    {"detach", "identity"},
    {"clone", "identity"},
    {"alias", "identity"},
    {"dropout", "identity"},
    {"dropout1d", "identity"},
    {"dropout2d", "identity"},
    {"dropout3d", "identity"},
    {"alpha_dropout", "identity"},
    {"feature_dropout", "identity"},
    {"feature_alpha_dropout", "identity"},
    {"relu6", "hardtanh {min_val: 0, max_val: 6}"},
    {"clip", "clamp"},
    {"floordiv", "floor_divide"},
    {"truediv", "div"},
    {"divide", "div"},
    {"true_divide", "div"},
    {"multiply", "mul"},
    {"subtract", "sub"},
    {"iadd", "add"},
    {"imul", "mul"},
    {"isub", "sub"},
    {"itruediv", "div"},
    {"ifloordiv", "floor_divide"},
    {"negative", "neg"},
    {"absolute", "abs"},
    {"mm", "matmul"},
    {"bmm", "matmul"},
    {"linalg.matmul", "matmul"},
    {"imatmul", "matmul"},
    {"special.expit", "sigmoid"},
    {"logsigmoid", "log_sigmoid"},
    {"max_pool1d_with_indices", "max_pool1d_with_indices"},
    {"interpolate",
     "upsample_nearest1d | upsample_nearest2d | upsample_nearest3d | upsample_nearest_exact1d | "
     "upsample_nearest_exact2d | upsample_nearest_exact3d | upsample_linear1d | upsample_bilinear2d | "
     "upsample_trilinear3d | upsample_bicubic2d"},
    {"upsample", "interpolate"},
    {"upsample_nearest", "upsample_nearest1d | upsample_nearest2d | upsample_nearest3d"},
    {"upsample_bilinear", "upsample_bilinear2d"},
    {"convolution", "conv1d | conv2d | conv3d | conv_transpose1d | conv_transpose2d | conv_transpose3d"},
    {"_softmax", "softmax"},
    {"_log_softmax", "log_softmax"},
    {"_native_batch_norm_legit_no_training", "batch_norm"},
    {"_adaptive_avg_pool2d", "adaptive_avg_pool2d"},
    {"_adaptive_avg_pool3d", "adaptive_avg_pool3d"},
    {"_unsafe_view", "reshape"},
    {"native_dropout", "identity"},
};

constexpr Pair kUnsaid[] = {
    {"size", "sizes are part of types here, no operator gives them"},
    {"shape", "sizes are part of types here, no operator gives them"},
    {"getattr", "attributes of tensors are part of types here, no operator gives them"},
    {"GRUCell",
     "a cell is linear, split, sigmoid, tanh, mul and add in an exported graph: no operator of its own"},
    {"LSTMCell",
     "a cell is linear, split, sigmoid, tanh, mul and add in an exported graph: no operator of its own"},
    {"RNNCell", "a cell is linear, add and tanh in an exported graph: no operator of its own"},
    {"MultiheadAttention",
     "attention is linear, matmul and softmax in an exported graph: no operator of its own"},
    {"EmbeddingBag", "there is no operator embedding_bag"},
    {"getitem", "one of several results needs no operator"},
};

template <size_t N>
const Pair* find(const Pair (&table)[N], std::string_view name) {
  const auto at =
      std::find_if(std::begin(table), std::end(table), [&](const Pair& p) { return p.from == name; });
  return at == std::end(table) ? nullptr : at;
}

std::string_view last_word(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// ConvTranspose2d is conv_transpose2d, LeakyReLU leaky_relu: the operator of the same letters; empty if there
// is none.
std::string same_letters(std::string_view name) {
  static const std::unordered_map<std::string, std::string_view> map = [] {
    std::unordered_map<std::string, std::string_view> m;
    for (const OpDef* op : ops::table().all()) {
      std::string letters(op->name);
      letters.erase(std::remove(letters.begin(), letters.end(), '_'), letters.end());
      m.emplace(std::move(letters), op->name);
    }
    return m;
  }();
  std::string letters(name);
  for (char& c : letters)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto at = map.find(letters);
  return at == map.end() ? std::string() : std::string(at->second);
}

// "conv2d, batch_norm, hardtanh {min_val: 0} @ x.rank == 4"
std::vector<NamedStep> parse_steps(std::string_view text) {
  std::vector<NamedStep> steps(1);
  auto trim = [](std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return s;
  };
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    steps.back().condition = trim(text.substr(at + 1));
    text = text.substr(0, at);
  }
  if (const size_t at = text.find('{'); at != std::string_view::npos) {
    steps.back().attrs = trim(text.substr(at));
    text = text.substr(0, at);
  }
  for (text = trim(text); !text.empty();) {
    const size_t end = std::min(text.find_first_of("|,"), text.size());
    steps.back().ops.emplace_back(trim(text.substr(0, end)));
    if (end < text.size() && text[end] == ',') steps.emplace_back();
    text = trim(text.substr(std::min(end + 1, text.size())));
  }
  return steps;
}

bool known_op(std::string_view name) { return ops::table().find(name) != nullptr; }

// The word that says which function it is: without package, overload and the mark of in-place forms.
std::string function_word(std::string_view name) {
  if (name.starts_with("method:")) {
    name.remove_prefix(7);
  } else if (name.starts_with("torch.ops.")) {
    name.remove_prefix(10);
    name.remove_prefix(std::min(name.find('.') + 1, name.size()));  // the namespace
    name = name.substr(0, name.find('.'));                          // the overload
  } else if (name.starts_with("torch.special.") || name.starts_with("torch.linalg.")) {
    name.remove_prefix(6);
  } else {
    name = last_word(name);
  }
  if (name.size() > 1 && name.ends_with('_') && !name.starts_with("__")) name.remove_suffix(1);
  return std::string(name);
}

bool is_module(std::string_view name) {
  const std::string_view word = last_word(name);
  return !name.starts_with("method:") && !word.empty() && word[0] >= 'A' && word[0] <= 'Z';
}

struct Entry {
  std::string_view spelling, keys;
};
constexpr Entry kEntries[] = {
#include "backend/torch_entries.inc"
};

const Entry* find_entry(std::string_view spelled) {
  static const std::unordered_map<std::string_view, const Entry*> map = [] {
    std::unordered_map<std::string_view, const Entry*> m;
    for (const Entry& e : kEntries) m.emplace(e.spelling, &e);
    return m;
  }();
  const auto at = map.find(spelled);
  return at == map.end() ? nullptr : at->second;
}

std::string spell_tree(const PatternTree& tree) {
  if (tree.kind == PatternTree::Any) return "_";
  if (tree.kind == PatternTree::Op) return shorten(tree.name);
  if (tree.kind == PatternTree::Literal)
    return tree.integer ? std::to_string(static_cast<int64_t>(tree.literal)) : shortest(tree.literal, true);
  std::string text = "(";
  for (const PatternTree& part : tree.parts) text += (text.size() > 1 ? ", " : "") + spell_tree(part);
  return text + ")";
}

// Reads what spell_tree writes; `at` moves on. False: no spelling.
bool read_tree(std::string_view text, size_t* at, PatternTree* tree, int depth) {
  while (*at < text.size() && text[*at] == ' ') ++*at;
  if (*at >= text.size() || depth > 32) return false;
  if (text[*at] == '(') {
    tree->kind = PatternTree::Tuple;
    do {
      ++*at;
      tree->parts.emplace_back();
      if (!read_tree(text, at, &tree->parts.back(), depth + 1)) return false;
    } while (*at < text.size() && text[*at] == ',');
    return *at < text.size() && text[(*at)++] == ')';
  }
  const size_t end = std::min(text.find_first_of(",)", *at), text.size());
  const std::string_view word = text.substr(*at, end - *at);
  *at = end;
  if (word.empty()) return false;
  int64_t whole = 0;
  if (word == "_") tree->kind = PatternTree::Any;
  else if (read_number(word, &whole)) *tree = PatternTree::number(static_cast<double>(whole));
  else if (double real = 0; read_number(word, &real)) *tree = PatternTree::number(real, false);
  else tree->name = lengthen(word);
  return true;
}

}  // namespace

std::optional<DType> torch_dtype(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  if (const Pair* pair = find(kTypes, name)) return dtype_from_name(pair->to);
  return dtype_from_name(name);
}

std::string torch_dtype_name(DType dtype) {
  const std::string_view name = dtype_name(dtype);
  for (const Pair& pair : kTypes)
    if (pair.to == name) return fmt::format("torch.{}", pair.from);
  return {};
}

bool is_torch_name(std::string_view name) {
  return name.starts_with("torch.") || name.starts_with("operator.") || name.starts_with("builtins.") ||
         name.starts_with("method:") || name.starts_with("_operator.") || known_op(name);
}

std::vector<NamedStep> named_steps(std::string_view spelled) {
  if (known_op(spelled)) return parse_steps(spelled);
  if (!is_torch_name(spelled)) return {};
  std::string word;
  const Pair* pair = nullptr;
  if (is_module(spelled)) {
    pair = find(kModules, last_word(spelled));
    word = same_letters(last_word(spelled));
  } else {
    word = function_word(spelled);
  }
  for (int hops = 0; hops < 3; ++hops) {
    if (pair != nullptr) word = pair->to;
    if (word.empty()) return {};
    pair = find(kFunctions, word);
    if (pair == nullptr || pair->to == word) break;
  }
  std::vector<NamedStep> steps = parse_steps(word);
  for (const NamedStep& step : steps) {
    if (step.ops.empty() || !std::all_of(step.ops.begin(), step.ops.end(), known_op)) return {};
  }
  return steps;
}

std::string_view why_unsaid(std::string_view spelled) {
  if (!is_torch_name(spelled)) return {};
  const std::string word = is_module(spelled) ? std::string(last_word(spelled)) : function_word(spelled);
  const Pair* pair = find(kUnsaid, word);
  return pair != nullptr ? pair->to : "there is no operator of this name";
}

std::string shorten(std::string_view name) {
  for (const Pair& pair : kShort)
    if (name.starts_with(pair.from)) return fmt::format("{}{}", pair.to, name.substr(pair.from.size()));
  for (const Pair& pair : kShort)
    if (name.starts_with(pair.to)) return fmt::format("={}", name);  // a name that looks shortened
  return std::string(name);
}

std::string lengthen(std::string_view name) {
  if (name.starts_with('=')) return std::string(name.substr(1));
  for (const Pair& pair : kShort)
    if (name.starts_with(pair.to)) return fmt::format("{}{}", pair.from, name.substr(pair.to.size()));
  return std::string(name);
}

std::string spell(const PatternConfig& config) {
  if (config.complex_format) {
    const std::string text = spell_tree(*config.complex_format);
    return config.complex_format->kind == PatternTree::Tuple ? text : "(" + text + ")";
  }
  std::string text;
  for (const std::string& name : config.pattern) text += (text.empty() ? "" : ", ") + shorten(name);
  return text;
}

std::optional<PatternConfig> unspell(std::string_view text) {
  PatternConfig config;
  if (text.starts_with('(')) {
    PatternTree tree;
    size_t at = 0;
    if (!read_tree(text, &at, &tree, 0) || at != text.size()) return std::nullopt;
    if (tree.parts.size() == 1) tree = PatternTree(tree.parts.front());
    config.set_pattern_complex_format(std::move(tree));
    return config;
  }
  std::vector<std::string> names;
  while (!text.empty()) {
    const size_t end = std::min(text.find(", "), text.size());
    names.push_back(lengthen(text.substr(0, end)));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  if (names.empty()) return std::nullopt;
  if (names.size() == 1) config.set_pattern(std::move(names.front()));
  else config.set_pattern(std::move(names));
  return config;
}

std::string pattern_label(const PatternConfig& config) {
  const std::string text = spell(config);
  return text.empty() ? "a pattern without operators" : fmt::format("pattern \"{}\"", text);
}

void fill_from_table(std::string_view spelled, PatternConfig* config) {
  const Entry* entry = find_entry(spelled);
  if (entry == nullptr) return;
  for (std::string_view rest = entry->keys; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = item.find('=');
    const std::string_view key = item.substr(0, equals);
    std::string_view value = item.substr(equals + 1);
    if (key == "root") config->root_module = lengthen(value);
    else if (key == "qat") config->qat_module = lengthen(value);
    else if (key == "ref") config->reference_quantized_module = lengthen(value);
    else if (key == "fused") config->fused_module = lengthen(value);
    else if (key == "fuser") config->fuser_method = lengthen(value);
    else if (key == "class") config->fuser_method_class = lengthen(value);
    else if (key == "rootget") config->root_node_getter = lengthen(value);
    else if (key == "extraget") config->extra_inputs_getter = lengthen(value);
    else if (key == "index") {
      while (!value.empty()) {
        const size_t stop = std::min(value.find(','), value.size());
        const size_t colon = value.find(':');
        config->input_type_to_index.emplace_back(value.substr(0, colon),
                                                 value[std::min(colon + 1, value.size() - 1)] - '0');
        value.remove_prefix(std::min(stop + 1, value.size()));
      }
    }
  }
}

std::vector<std::string_view> table_spellings() {
  std::vector<std::string_view> out;
  for (const Entry& e : kEntries) out.push_back(e.spelling);
  return out;
}

bool known_getter(std::string_view name) { return name.starts_with("torch.ao.quantization.backend_config."); }

std::optional<std::string> known_fuser(std::string_view name) {
  if (!name.starts_with("torch.ao.quantization.")) return std::nullopt;
  return name.find("bn") != std::string_view::npos ? "fold-batch-norm" : "";
}

}  // namespace zp::backend
