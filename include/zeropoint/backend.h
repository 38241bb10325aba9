// PyTorch's BackendConfig in C++: what a target can do, as a list of pattern configurations in order. It is
// built here with the setters known from there, read from a dictionary's JSON form, merged, and turned into
// the text of a .zpb file, which is what the compiler reads: builder, dictionary and text give one tree.
// Includes nothing of src/.
//
//     zeropoint::BackendConfig config("my_chip");
//     config.set_backend_pattern_config(
//         zeropoint::PatternConfig({"torch.nn.modules.conv.Conv2d", "torch.nn.modules.activation.ReLU"})
//             .add_dtype_config(zeropoint::DTypeConfig().set_input_dtype("quint8").set_output_dtype("quint8")
//                                   .set_weight_dtype("qint8").set_bias_dtype("float32")));
//     const zeropoint::BackendText text = config.to_zpb();
//
// Names of operators are those of PyTorch (a module class, a function, `method:relu`, `torch.ops.aten...`) or
// Zeropoint's own (`conv2d`). A mistake is never thrown: it is a message in `problems()` or in the result.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GNUC__)
#define ZEROPOINT_API __attribute__((visibility("default")))
#else
#define ZEROPOINT_API
#endif

namespace zeropoint {

enum class ObservationType : uint8_t { DifferentObserver, ShareWithInput, NotObserved };

// What one slot may be. Every bound that is given holds, alone or not, for modules and functions alike.
struct ZEROPOINT_API DTypeWithConstraints {
  std::optional<std::string> dtype;  // "quint8", "torch.qint8", "float32", "i8"
  std::optional<double> quant_min_lower_bound, quant_max_upper_bound;
  std::optional<double> scale_min_lower_bound, scale_max_upper_bound;
  std::optional<double> scale_exact_match, zero_point_exact_match;

  DTypeWithConstraints() = default;
  DTypeWithConstraints(std::string name) : dtype(std::move(name)) {}
  DTypeWithConstraints(const char* name) : dtype(name) {}
  bool operator==(const DTypeWithConstraints&) const = default;
};

// One combination of types; slots of different combinations are never mixed.
struct ZEROPOINT_API DTypeConfig {
  std::optional<DTypeWithConstraints> input_dtype, output_dtype, weight_dtype;
  std::optional<std::string> bias_dtype;
  std::optional<bool> is_dynamic;

  DTypeConfig& set_input_dtype(DTypeWithConstraints d) { return input_dtype = std::move(d), *this; }
  DTypeConfig& set_output_dtype(DTypeWithConstraints d) { return output_dtype = std::move(d), *this; }
  DTypeConfig& set_weight_dtype(DTypeWithConstraints d) { return weight_dtype = std::move(d), *this; }
  DTypeConfig& set_bias_dtype(std::string name) { return bias_dtype = std::move(name), *this; }
  DTypeConfig& set_is_dynamic(bool dynamic) { return is_dynamic = dynamic, *this; }
  bool operator==(const DTypeConfig&) const = default;
};

// A pattern in the reversed nested form: the head of a tuple is the last operator, then one part an argument.
struct ZEROPOINT_API PatternTree {
  enum Kind : uint8_t { Op, Tuple, Any, Literal } kind = Op;
  std::string name;                // Op
  double literal = 0;              // Literal
  bool integer = false;            // Literal
  std::vector<PatternTree> parts;  // Tuple

  static PatternTree op(std::string name) { return {Op, std::move(name), 0, false, {}}; }
  static PatternTree any() { return {Any, {}, 0, false, {}}; }
  static PatternTree number(double value, bool integer = true) { return {Literal, {}, value, integer, {}}; }
  static PatternTree tuple(std::vector<PatternTree> parts) { return {Tuple, {}, 0, false, std::move(parts)}; }
  // The image of a forward chain: (A, B, C) is (C, (B, A)).
  static PatternTree of_chain(const std::vector<std::string>& forward);
  bool operator==(const PatternTree&) const = default;
};

// What a pattern becomes, as a fuser says it.
struct FusedOp {
  std::string op;        // an operator, or "root" for the root of the pattern
  std::string clamp_of;  // the step whose bounds become those of the operator; empty: none
  std::string action;    // a registered rewrite of weights: fold-batch-norm, transpose-weight; empty: none
};
// A user's fuser as an action. It is asked when the text is made, once with is_qat false (what the pattern
// becomes) and once with true (the operator of training). `Fuser` gets the operators in forward order, by
// canonical name; `LegacyFuser` gets them reversed and nested, as the pattern was written. Nothing: there is
// no fused form.
using Fuser = std::function<std::optional<FusedOp>(bool is_qat, const std::vector<std::string>& ops)>;
using LegacyFuser = std::function<std::optional<FusedOp>(bool is_qat, const PatternTree& ops)>;

class ZEROPOINT_API PatternConfig {
 public:
  PatternConfig() = default;
  explicit PatternConfig(std::string op) { set_pattern(std::move(op)); }
  explicit PatternConfig(std::vector<std::string> forward) { set_pattern(std::move(forward)); }
  explicit PatternConfig(std::initializer_list<std::string> forward) {
    set_pattern(std::vector<std::string>(forward));
  }

  // One operator, or two or three in forward order.
  PatternConfig& set_pattern(std::string op);
  PatternConfig& set_pattern(std::vector<std::string> forward);
  // The reversed nested form of old tools: wildcards, literals, any number of operators.
  PatternConfig& set_pattern_complex_format(PatternTree nested);
  PatternConfig& set_observation_type(ObservationType type) { return observation_type = type, *this; }
  PatternConfig& set_dtype_configs(std::vector<DTypeConfig> c) { return dtype_configs = std::move(c), *this; }
  PatternConfig& add_dtype_config(DTypeConfig c) { return dtype_configs.push_back(std::move(c)), *this; }
  PatternConfig& set_root_module(std::string name) { return root_module = std::move(name), *this; }
  PatternConfig& set_qat_module(std::string name) { return qat_module = std::move(name), *this; }
  PatternConfig& set_reference_quantized_module(std::string name) {
    return reference_quantized_module = std::move(name), *this;
  }
  PatternConfig& set_fused_module(std::string name) { return fused_module = std::move(name), *this; }
  PatternConfig& set_fuser_method(std::string name) { return fuser_method = std::move(name), *this; }
  PatternConfig& set_fuser_method(Fuser fuser) { return action = std::move(fuser), *this; }
  PatternConfig& set_fuser_method(LegacyFuser fuser) { return action = std::move(fuser), *this; }
  PatternConfig& set_root_node_getter(std::string name) { return root_node_getter = std::move(name), *this; }
  PatternConfig& set_extra_inputs_getter(std::string n) { return extra_inputs_getter = std::move(n), *this; }
  PatternConfig& set_num_tensor_args_to_observation_type(std::vector<std::pair<int, ObservationType>> m) {
    return num_tensor_args_to_observation_type = std::move(m), *this;
  }
  PatternConfig& set_input_type_to_index(std::vector<std::pair<std::string, int>> m) {
    return input_type_to_index = std::move(m), *this;
  }

  // The pattern in the form it is known by: equal keys are one pattern. Empty if there is none.
  std::optional<PatternTree> key() const;

  std::vector<std::string> pattern;  // forward; one operator: not a tuple unless `is_tuple`
  bool is_tuple = false;
  std::optional<PatternTree> complex_format;
  ObservationType observation_type = ObservationType::DifferentObserver;
  std::vector<DTypeConfig> dtype_configs;
  std::string root_module, qat_module, reference_quantized_module, fused_module;
  std::string fuser_method;        // a name
  std::string fuser_method_class;  // the class that a fuser made by a factory builds
  std::variant<std::monostate, Fuser, LegacyFuser> action;
  std::string root_node_getter, extra_inputs_getter;
  std::vector<std::pair<int, ObservationType>> num_tensor_args_to_observation_type;
  std::vector<std::pair<std::string, int>> input_type_to_index;
  std::vector<std::string> problems;
};

struct BackendText {
  std::string text;                 // the .zpb file; empty if there are errors
  std::vector<std::string> notes;   // what was read otherwise than there, and what PyTorch would not enforce
  std::vector<std::string> unsaid;  // what no pattern can say, one line each; kept in the file as it was
  std::vector<std::string> errors;
  bool ok() const { return errors.empty(); }
};

struct TextOptions {
  // Without it, code that only its author knows (a fuser or getter by name, a class of one's own) is an error
  // that names it; with it, it is among `unsaid` and the pattern is written as it stands.
  bool partial = false;
};

class ZEROPOINT_API BackendConfig {
 public:
  explicit BackendConfig(std::string name = {}) : name_(std::move(name)) {}

  BackendConfig& set_name(std::string name) { return name_ = std::move(name), *this; }
  const std::string& name() const { return name_; }
  // The configurations in order. An equal pattern replaces the earlier one in its place, and is said in
  // `notes()`.
  BackendConfig& set_backend_pattern_config(PatternConfig config);
  BackendConfig& set_backend_pattern_configs(std::vector<PatternConfig> configs);
  const std::vector<PatternConfig>& configs() const { return configs_; }
  bool remove(const PatternTree& key);

  // Takes over the configurations of another backend. Patterns of both: `Theirs` replaces in place, `Mine`
  // stays, `Error` is a problem that names it. What is new comes after what is here, in its order.
  enum class Precedence : uint8_t { Theirs, Mine, Error };
  BackendConfig& merge(const BackendConfig& other, Precedence precedence);

  // Mistakes made so far, each one line.
  const std::vector<std::string>& problems() const { return problems_; }
  const std::vector<std::string>& notes() const { return notes_; }

  // The dictionary in its JSON form (`to_dict` with qualified names). Reading never fails as a whole:
  // problems() says what.
  static BackendConfig from_json(std::string_view json);
  std::string to_json() const;

  BackendText to_zpb(const TextOptions& options = {}) const;
  // The dictionary of a backend file (or of a built-in name); what it says beyond a dictionary is in
  // `notes()`.
  static BackendConfig from_zpb(const std::string& name_or_path);

 private:
  friend struct ConfigAccess;
  std::string name_;
  std::vector<PatternConfig> configs_;
  std::vector<std::string> keys_;  // of configs_, as text
  std::vector<std::string> problems_, notes_;
};

}  // namespace zeropoint
