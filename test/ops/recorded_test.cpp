// Compares every operator with recorded results of the source framework: see README.md for the format of the
// data.
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "ir/model.h"
#include "ir/tensor.h"
#include "ops/ops.h"

namespace zp {
namespace {

struct RecordedTensor {
  DType dtype = DType::Unknown;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  Tensor tensor() const {
    Tensor t = std::move(*Tensor::make(dtype, shape));
    EXPECT_EQ(static_cast<size_t>(t.bytes()), bytes.size());
    if (!bytes.empty())
      std::memcpy(t.mutable_data<std::byte>(), bytes.data(),
                  std::min(bytes.size(), static_cast<size_t>(t.bytes())));
    return t;
  }
};

struct RecordedOperand {
  enum Kind { Input, Literal, None } kind = Input;
  RecordedTensor value;
  std::string quant = {};  // the quantization of its type
};

struct RecordedResult {
  std::string tolerance = "exact";
  RecordedTensor value;
};

struct RecordedCase {
  std::string name;
  size_t line = 0;
  std::vector<std::pair<std::string, std::string>> attrs;
  std::vector<RecordedOperand> operands;
  std::vector<RecordedResult> results;
  std::string error;
  bool open = false;  // extents of results depend on values
};

// All cases of one operator in one file.
struct RecordedOp {
  std::string file, op;
  bool dynamic = false;
  std::vector<RecordedCase> cases;
};

void PrintTo(const RecordedOp& op, std::ostream* out) { *out << op.file << " " << op.op; }

std::vector<std::string> split_list(std::string text) {
  if (!text.empty() && text.front() == '[') text = text.substr(1, text.size() - 2);
  std::vector<std::string> items;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ',');) items.push_back(item);
  return items;
}

std::vector<std::byte> from_hex(const std::string& digits) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(digit(digits[i]) * 16 + digit(digits[i + 1])));
  return bytes;
}

RecordedTensor parse_tensor(const std::string& type, const std::string& digits) {
  RecordedTensor t;
  const size_t open = type.find('[');
  t.dtype = dtype_from_name(type.substr(0, open)).value_or(DType::Unknown);
  for (const std::string& dim : split_list(type.substr(open))) t.shape.push_back(std::stoll(dim));
  t.bytes = from_hex(digits);
  return t;
}

RecordedTensor parse_literal(const std::string& type, const std::string& value) {
  RecordedTensor t;
  t.dtype = dtype_from_name(type).value_or(DType::Unknown);
  Tensor number = std::move(*Tensor::make(t.dtype, {}));
  if (t.dtype == DType::Bool) {
    number.set_int(0, value == "true");
  } else if (is_float(t.dtype)) {
    number.set_double(0, std::strtod(value.c_str(), nullptr));
  } else {
    number.set_int(0, std::stoll(value));
  }
  t.bytes.assign(number.data<std::byte>(), number.data<std::byte>() + number.bytes());
  return t;
}

std::vector<RecordedOp> read_file(const std::filesystem::path& path) {
  std::vector<RecordedOp> ops;
  std::ifstream in(path);
  std::string line, tolerance;
  bool dynamic = false;
  RecordedCase now;
  for (size_t number = 1; std::getline(in, line); ++number) {
    std::istringstream words(line);
    std::string word, first, second;
    if (!(words >> word) || word[0] == '#') continue;
    words >> first;
    std::getline(words >> std::ws, second);
    if (word == "dynamic") dynamic = true;
    if (word == "op") {
      const auto same =
          std::find_if(ops.begin(), ops.end(), [&](const RecordedOp& op) { return op.op == first; });
      if (same != ops.end()) std::rotate(same, same + 1, ops.end());
      if (same == ops.end()) ops.push_back({path.stem().string(), first, dynamic, {}});
    }
    if (word == "case") {
      now = RecordedCase();
      now.name = first;
      now.line = number;
      tolerance = "exact";
    }
    if (word == "attr") now.attrs.emplace_back(first, second);
    if (word == "in") now.operands.push_back({RecordedOperand::Input, parse_tensor(first, second)});
    if (word == "as") now.operands.back().quant = first + " " + second;
    if (word == "lit") now.operands.push_back({RecordedOperand::Literal, parse_literal(first, second)});
    if (word == "none") now.operands.push_back({RecordedOperand::None, {}});
    if (word == "tol") tolerance = first + (second.empty() ? "" : " " + second);
    if (word == "out") now.results.push_back({tolerance, parse_tensor(first, second)});
    if (word == "error") now.error = first;
    if (word == "open") now.open = true;
    if (word == "end") ops.back().cases.push_back(now);
  }
  return ops;
}

// ---------------------------------------------------------------- attributes

int64_t to_int(const std::string& text) { return std::stoll(text); }
double to_double(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

Number to_number(const std::string& text) {
  if (text == "true" || text == "false") return Number::of_bool(text == "true");
  return text.find_first_of(".einfa") == std::string::npos ? Number::of_int(to_int(text))
                                                           : Number::of_float(to_double(text));
}

template <typename T, typename F>
List<T> list_of(Context& context, const std::string& text, F one) {
  std::vector<T> items;
  for (const std::string& item : split_list(text)) items.push_back(one(item));
  return context.arena().copy(items);
}

// key=value words, see README.md.
const QuantType* to_quant(Context& context, const std::string& text) {
  QuantType q;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equal = word.find('=');
    const std::string key = word.substr(0, equal),
                      value = equal == std::string::npos ? "" : word.substr(equal + 1);
    const auto ints = [&] { return list_of<int64_t>(context, value, to_int); };
    const auto constant = [&](DType dtype, bool floats) {
      const std::vector<std::string> items = split_list(value);
      Tensor t = std::move(*Tensor::make(dtype, {static_cast<int64_t>(items.size())}));
      for (size_t i = 0; i < items.size(); ++i) {
        if (floats) t.set_double(static_cast<int64_t>(i), to_double(items[i]));
        else t.set_int(static_cast<int64_t>(i), to_int(items[i]));
      }
      return context.make_constant(key, dtype, t.shape(), t.blob());
    };
    if (key == "storage") {
      q.storage = *dtype_from_name(value);
      if (is_integer(q.storage)) q.qmin = int_min(q.storage), q.qmax = int_max(q.storage);
    } else if (key == "expressed") q.expressed = *dtype_from_name(value);
    else if (key == "scale_dtype") q.scale_dtype = *dtype_from_name(value);
    else if (key == "qmin") q.qmin = to_int(value);
    else if (key == "qmax") q.qmax = to_int(value);
    else if (key == "axis") q.axis = static_cast<int32_t>(to_int(value));
    else if (key == "block") q.block = ints();
    else if (key == "dynamic") q.dynamic = true;
    else if (key == "float") q.domain = ZeroPointDomain::Float;
    else if (key == "scale") q.scale = to_double(value);
    else if (key == "zero_point") q.zero_point = to_double(value);
    else if (key == "scales") q.scales = constant(q.scale_dtype, true);
    else if (key == "zero_points")
      q.zero_points = constant(q.domain == ZeroPointDomain::Float ? DType::F32 : DType::I64,
                               q.domain == ZeroPointDomain::Float);
    else ADD_FAILURE() << "no key " << key << " of a quantization";
  }
  return context.quant(q);
}

void set_attr(Context& context, void* attrs, const AttrField& field, const std::string& text) {
  const auto dims = [&] {
    return list_of<Dim>(context, text, [](const std::string& s) { return Dim(to_int(s)); });
  };
  const auto floats = [&] { return list_of<double>(context, text, to_double); };
  switch (field.kind) {
    case AttrKind::Int: attr_ref<int64_t>(attrs, field) = to_int(text); break;
    case AttrKind::Float: attr_ref<double>(attrs, field) = to_double(text); break;
    case AttrKind::Bool: attr_ref<bool>(attrs, field) = text == "true"; break;
    case AttrKind::String: attr_ref<std::string_view>(attrs, field) = context.text(text); break;
    case AttrKind::DType: attr_ref<DType>(attrs, field) = *dtype_from_name(text); break;
    case AttrKind::Number: attr_ref<Number>(attrs, field) = to_number(text); break;
    case AttrKind::Dim: attr_ref<Dim>(attrs, field) = Dim(to_int(text)); break;
    case AttrKind::Ints:
      attr_ref<List<int64_t>>(attrs, field) = list_of<int64_t>(context, text, to_int);
      break;
    case AttrKind::Floats: attr_ref<List<double>>(attrs, field) = floats(); break;
    case AttrKind::Dims: attr_ref<List<Dim>>(attrs, field) = dims(); break;
    case AttrKind::Strings:
      attr_ref<List<std::string_view>>(attrs, field) =
          list_of<std::string_view>(context, text, [&](const std::string& s) { return context.text(s); });
      break;
    case AttrKind::OptInt: attr_ref<std::optional<int64_t>>(attrs, field) = to_int(text); break;
    case AttrKind::OptFloat: attr_ref<std::optional<double>>(attrs, field) = to_double(text); break;
    case AttrKind::OptBool: attr_ref<std::optional<bool>>(attrs, field) = text == "true"; break;
    case AttrKind::OptDType: attr_ref<std::optional<DType>>(attrs, field) = *dtype_from_name(text); break;
    case AttrKind::OptNumber: attr_ref<std::optional<Number>>(attrs, field) = to_number(text); break;
    case AttrKind::OptDim: attr_ref<std::optional<Dim>>(attrs, field) = Dim(to_int(text)); break;
    case AttrKind::OptDims: attr_ref<std::optional<List<Dim>>>(attrs, field) = dims(); break;
    case AttrKind::OptFloats: attr_ref<std::optional<List<double>>>(attrs, field) = floats(); break;
    case AttrKind::Quant: attr_ref<const QuantType*>(attrs, field) = to_quant(context, text); break;
  }
}

// ---------------------------------------------------------------- comparison

// Distance in representable values of the type; NaN only equals NaN.
double ulp_distance(DType dtype, double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : INFINITY;
  if (a == b) return 0;
  if (std::isinf(a) || std::isinf(b)) return INFINITY;
  int digits = 24, least = -149;
  if (dtype == DType::F64) digits = 53, least = -1074;
  if (dtype == DType::F16) digits = 11, least = -24;
  if (dtype == DType::BF16) digits = 8, least = -133;
  const int exponent = std::max(std::ilogb(std::max(std::fabs(a), std::fabs(b))) - digits + 1, least);
  return std::ldexp(std::fabs(a - b), -exponent);
}

bool close_enough(const std::string& tolerance, const Tensor& got, const Tensor& want, int64_t i) {
  if (tolerance == "skip") return true;
  if (!is_float(want.dtype())) return got.get_int(i) == want.get_int(i);
  const double a = got.get_double(i), b = want.get_double(i);
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (tolerance == "exact") return a == b && std::signbit(a) == std::signbit(b);
  if (tolerance == "value") return a == b;
  std::istringstream words(tolerance);
  std::string kind;
  double first = 0, second = 0;
  words >> kind >> first;
  if (kind == "ulp") return ulp_distance(want.dtype(), a, b) <= first;
  words >> kind >> second;
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::fabs(a - b) <= first + second * std::fabs(b);
}

void compare(const RecordedResult& recorded, const Tensor& got, size_t index) {
  const Tensor want = recorded.value.tensor();
  ASSERT_EQ(dtype_name(got.dtype()), dtype_name(want.dtype())) << "result " << index;
  ASSERT_EQ(got.shape(), want.shape()) << "result " << index;
  int shown = 0;
  for (int64_t i = 0; i < want.elements() && shown < 5; ++i) {
    if (close_enough(recorded.tolerance, got, want, i)) continue;
    ++shown;
    ADD_FAILURE() << "result " << index << " element " << i << ": got " << got.get_double(i) << ", want "
                  << want.get_double(i) << " (" << recorded.tolerance << ", "
                  << ulp_distance(want.dtype(), got.get_double(i), want.get_double(i)) << " ulp)";
  }
}

// ---------------------------------------------------------------- one case

struct BuiltCase {
  Model model;
  Node* node = nullptr;
  std::vector<Tensor> tensors;
  std::vector<const Tensor*> in;
};

void build(const OpDef& op, const RecordedCase& recorded, bool unknown_extents, BuiltCase& built) {
  Context& context = *built.model.context;
  Graph& graph = *built.model.graph;
  std::vector<Value*> operands;
  built.tensors.reserve(recorded.operands.size());
  for (const RecordedOperand& operand : recorded.operands) {
    if (operand.kind == RecordedOperand::None) {
      operands.push_back(nullptr);
      built.in.push_back(nullptr);
      continue;
    }
    built.tensors.push_back(operand.value.tensor());
    built.in.push_back(&built.tensors.back());
    if (operand.kind == RecordedOperand::Literal) {
      const Constant* constant = context.make_constant(
          "literal", operand.value.dtype, {}, Blob::copy_of(operand.value.bytes), ConstantKind::Literal);
      operands.push_back(graph.add_const(*constant));
    } else {
      std::vector<Dim> shape(operand.value.shape.begin(), operand.value.shape.end());
      if (unknown_extents) std::fill(shape.begin(), shape.end(), Dim::unknown());
      const Type* type = context.tensor(operand.value.dtype, shape);
      if (!operand.quant.empty()) type = context.quantized(*to_quant(context, operand.quant), shape);
      operands.push_back(graph.add_input("x", type));
    }
  }
  NodeSpec spec;
  spec.op = &op;
  spec.operands = operands;
  spec.results = std::max<size_t>(recorded.results.size(), 1);
  if (!recorded.error.empty() && !op.has(kVariadicResults))
    spec.results = std::max<size_t>(op.results.size(), 1);
  built.node = graph.create(spec);
  for (const auto& [name, value] : recorded.attrs) {
    const AttrField* field = op.attrs != nullptr ? op.attrs->find(name) : nullptr;
    ASSERT_NE(field, nullptr) << "no attribute " << name;
    set_attr(context, built.node->attrs_data(), *field, value);
  }
}

void run_case(const OpDef& op, const RecordedCase& recorded, bool unknown_extents) {
  SCOPED_TRACE(std::string(op.name) + " case " + recorded.name +
               (unknown_extents ? " with unknown extents" : "") + " (line " + std::to_string(recorded.line) +
               ")");
  BuiltCase built;
  build(op, recorded, unknown_extents, built);
  if (testing::Test::HasFatalFailure()) return;
  Status status = built.node->infer();
  std::vector<Tensor> out(built.node->result_count());
  if (status.ok()) {
    ASSERT_NE(op.eval, nullptr) << "the op has no evaluator";
    EvalArgs args{*built.node, built.in, out, nullptr, {}};
    status = op.eval(args);
  }
  if (!recorded.error.empty()) {
    ASSERT_FALSE(status.ok()) << "no error";
    const std::string id = status.error().first().id;
    EXPECT_TRUE(id == recorded.error || id == std::string(op.name) + "." + recorded.error)
        << "error " << id << " instead of " << recorded.error << ": " << status.error().str();
    return;
  }
  ASSERT_TRUE(status.ok()) << status.error().str();
  for (size_t i = 0; i < recorded.results.size(); ++i) {
    const Type& type = built.node->result(i)->type();
    EXPECT_EQ(dtype_name(type.dtype), dtype_name(recorded.results[i].value.dtype))
        << "inferred type of result " << i;
    if (!unknown_extents) {
      EXPECT_EQ(type.is_static(), !recorded.open) << "inferred type of result " << i << ": " << type.str();
      EXPECT_TRUE(std::equal(type.shape.begin(), type.shape.end(), recorded.results[i].value.shape.begin(),
                             recorded.results[i].value.shape.end(),
                             [](Dim a, int64_t b) { return a.is_unknown() || a.value() == b; }))
          << "inferred type of result " << i << ": " << type.str();
    }
    compare(recorded.results[i], out[i], i);
  }
}

class Recorded : public testing::TestWithParam<RecordedOp> {};

TEST_P(Recorded, matches) {
  const RecordedOp& recorded_op = GetParam();
  const OpDef* op = ops::table().find(recorded_op.op);
  ASSERT_NE(op, nullptr) << "no card " << recorded_op.op;
  for (const RecordedCase& c : recorded_op.cases) {
    run_case(*op, c, false);
    if (recorded_op.dynamic && c.error.empty()) run_case(*op, c, true);
  }
}

std::vector<RecordedOp> all_recorded() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(ZP_SOURCE_DIR) + "/test/ops/data"))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<RecordedOp> all;
  for (const auto& file : files)
    for (RecordedOp& op : read_file(file)) all.push_back(std::move(op));
  return all;
}

INSTANTIATE_TEST_SUITE_P(ops, Recorded, testing::ValuesIn(all_recorded()),
                         [](const testing::TestParamInfo<RecordedOp>& info) {
                           return info.param.file + "_" + info.param.op;
                         });

// The data is there and names each op once a file: an unreadable folder must not pass as success.
TEST(RecordedData, is_complete) {
  const std::vector<RecordedOp> all = all_recorded();
  EXPECT_GE(all.size(), 100u);
  for (const RecordedOp& op : all) EXPECT_FALSE(op.cases.empty()) << op.op;
}

// Every op has at least five recorded variants. Structural ones compute nothing that a recorded call could
// hold: what runs regions, symbolic numbers and assertions is compared with torch in test/compile, by
// archives.
TEST(RecordedData, has_five_variants_of_every_op) {
  std::map<std::string, size_t> variants;
  for (const RecordedOp& op : all_recorded())
    for (const RecordedCase& c : op.cases) variants[op.op] += c.error.empty() ? 1 : 0;
  for (const OpDef* op : ops::table().all())
    EXPECT_TRUE(op->trait == Trait::Structural || variants[std::string(op->name)] >= 5) << op->name;
}

}  // namespace
}  // namespace zp
