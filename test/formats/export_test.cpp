// Archives that are written: what stands in them, and that they read back as the model they were made from.
#include "formats/pt2/export.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "formats/pt2/export_names.h"
#include "formats/pt2/import.h"
#include "formats/pt2/integer_form.h"
#include "formats/pt2/zip.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ops/ops.h"
#include "support/mapped_file.h"

namespace zp {
namespace {

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::unique_ptr<Model> model_of(std::string_view text) {
  auto model = parse_model(text, ops::table());
  EXPECT_TRUE(model.ok()) << model.error().str();
  return model.ok() ? std::move(*model) : nullptr;
}

class ExportPt2 : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/zp_export_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  std::string write(const Model& model, const std::string& name) const {
    const Status status = export_pt2(model, path(name));
    EXPECT_TRUE(status.ok()) << status.error().str();
    return path(name);
  }
  std::unique_ptr<Model> read(const std::string& file) const {
    auto model = import_pt2(file);
    EXPECT_TRUE(model.ok()) << model.error().str();
    return model.ok() ? std::move(*model) : nullptr;
  }
  static std::string record(const std::string& file, const std::string& name) {
    auto mapped = MappedFile::open(file);
    EXPECT_TRUE(mapped.ok());
    auto zip = pt2::Zip::open(Blob::from_file(*mapped, 0, static_cast<size_t>((*mapped)->size())));
    EXPECT_TRUE(zip.ok()) << zip.error().str();
    const pt2::ZipEntry* entry = zip->find(name);
    if (entry == nullptr) return "(no record " + name + ")";
    EXPECT_TRUE(zip->verify(*entry).ok()) << name;
    const Blob blob = *zip->payload(*entry);
    return {reinterpret_cast<const char*>(blob.data()), blob.size()};
  }
  static std::string program(const std::string& file) { return record(file, "model/models/model.json"); }

  // Writes, reads, writes and reads again: both models print alike and both archives are equal.
  void expect_stable(const Model& model) {
    const auto first = read(write(model, "first.pt2"));
    ASSERT_NE(first, nullptr);
    const auto second = read(write(*first, "second.pt2"));
    ASSERT_NE(second, nullptr);
    EXPECT_EQ(print(*first), print(*second));
    write(*second, "third.pt2");
    EXPECT_TRUE(file_bytes(path("second.pt2")) == file_bytes(path("third.pt2")));
  }
  void expect_targets(std::string_view text, std::initializer_list<std::string_view> parts) {
    const auto model = model_of(text);
    ASSERT_NE(model, nullptr);
    const std::string json = program(write(*model, "a.pt2"));
    for (std::string_view part : parts) EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
    expect_stable(*model);
  }

  std::string folder_;
};

constexpr std::string_view kSmall = R"(zp 1
@w = param f32[2,3] [1,2,3,4,5,6]
@b = param f32[2] [0.5,-0.5]
graph main(%x: f32[4,3]) -> (%y) {
  %w = const @w
  %b = const @b
  %l = linear(%x, %w, %b)
  %y = relu(%l)
}
)";

TEST_F(ExportPt2, EveryRecordThatTorchAsksFor) {
  const std::string file = write(*model_of(kSmall), "a.pt2");
  EXPECT_EQ(record(file, "model/archive_format"), "pt2");
  EXPECT_EQ(record(file, "model/archive_version"), "0");
  EXPECT_EQ(record(file, "model/.data/version"), "6\n");
  EXPECT_EQ(record(file, "model/byteorder"), "little");
  EXPECT_EQ(record(file, "model/data/sample_inputs/model.pt"), "");
  EXPECT_EQ(record(file, "model/data/constants/model_constants_config.json"), "{\"config\": {}}");
  EXPECT_EQ(record(file, "model/data/weights/weight_0").size(), 24u);
  const std::string config = record(file, "model/data/weights/model_weights_config.json");
  EXPECT_NE(
      config.find(
          R"("w": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}])"),
      std::string::npos)
      << config;
  const std::string json = program(file);
  EXPECT_NE(json.find(R"({"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}})"), std::string::npos)
      << json;
  EXPECT_NE(json.find(R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}})"), std::string::npos);
  EXPECT_NE(json.find(R"({"user_output": {"arg": {"as_tensor": {"name": "y"}}}})"), std::string::npos);
  EXPECT_NE(json.find(R"("forward_arg_names": ["x"])"), std::string::npos);
}

TEST_F(ExportPt2, EqualModelsGiveEqualBytes) {
  write(*model_of(kSmall), "a.pt2");
  write(*model_of(kSmall), "other_name.pt2");
  EXPECT_TRUE(file_bytes(path("a.pt2")) == file_bytes(path("other_name.pt2")));
}

TEST_F(ExportPt2, AFailedWriteLeavesTheOldFile) {
  std::ofstream(path("a.pt2")) << "old";
  // A clamp in a float operator is nothing that torch's own could say.
  const auto model = model_of(R"(zp 1
@w = param f32[2,3] zeros
graph main(%x: f32[4,3]) -> (%y) {
  %w = const @w
  %y = linear(%x, %w) {act_min: 0.0}
}
)");
  ASSERT_NE(model, nullptr);
  const Status status = export_pt2(*model, path("a.pt2"));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().first().id, "export.op");
  EXPECT_NE(status.error().str().find("node 'y'"), std::string::npos) << status.error().str();
  EXPECT_NE(status.error().str().find("act_min"), std::string::npos) << status.error().str();
  EXPECT_EQ(file_bytes(path("a.pt2")), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
  EXPECT_FALSE(export_pt2(*model_of(kSmall), path("none/a.pt2")).ok());
}

TEST_F(ExportPt2, FloatModelIsStable) { expect_stable(*model_of(kSmall)); }

TEST_F(ExportPt2, QuantizersPerTensorAndPerChannel) {
  expect_targets(
      R"(zp 1
@w.scale = buffer f32[2] [0.5,0.25]
@w.zero = buffer i64[2] [1,0]
@w = buffer i8[2,3] [1,2,3,-127,0,127]
@h.scale = buffer f32[3] [1,2,4]
graph main(%x: f32[4,3]) -> (%y, %z) {
  %w = const @w : i8<-127:127>(axis 0: @w.scale, @w.zero)
  %wf = dequantize(%w)
  %q = quantize(%x) {type: u8(0.05, 128)}
  %d = dequantize(%q)
  %l = linear(%d, %wf)
  %p = quantize(%x) {type: i8(axis 1: @h.scale)}
  %z = dequantize(%p)
  %y = relu(%l)
}
)",
      {R"("torch.ops.quantized_decomposed.dequantize_per_channel.default", "inputs": [{"name": "input", "arg": {"as_tensor": {"name": "b_w"}})",
       R"({"name": "zero_points", "arg": {"as_tensor": {"name": "b_w_zero"}}, "kind": 1}, {"name": "axis", "arg": {"as_int": 0})",
       R"({"name": "quant_min", "arg": {"as_int": -127}, "kind": 1}, {"name": "quant_max", "arg": {"as_int": 127}, "kind": 1}, {"name": "dtype", "arg": {"as_scalar_type": 2})",
       R"("torch.ops.quantized_decomposed.quantize_per_tensor.default", "inputs": [{"name": "input", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}, {"name": "scale", "arg": {"as_float": 0.05}, "kind": 1}, {"name": "zero_point", "arg": {"as_int": 128})",
       "quantize_per_channel.default", "b__zeros_i64_3"});
}

TEST_F(ExportPt2, NarrowZeroPointsAreWidenedWhereTorchWouldWrap) {
  const auto model = model_of(R"(zp 1
@s = buffer f32[2] [0.5,0.25]
@z = buffer i8[2] [100,-100]
@w = buffer i8[2,2] [127,-128,127,-128]
graph main() -> (%y) {
  %w = const @w : i8(axis 0: @s, @z)
  %y = dequantize(%w)
}
)");
  ASSERT_NE(model, nullptr);
  const std::string json = program(write(*model, "a.pt2"));
  EXPECT_NE(json.find(R"({"name": "zero_points", "arg": {"as_tensor": {"name": "b_z_i64"}})"),
            std::string::npos)
      << json;
  EXPECT_EQ(json.find("\"b_z\""), std::string::npos);
}

TEST_F(ExportPt2, BlocksAreGroupsOrAffine) {
  constexpr std::string_view kGroups = R"(zp 1
@s = buffer f32[2,2] [0.5,0.25,1,2]
@w = buffer i4[2,4] [1,-8,7,-1,0,2,3,4]
graph main(%x: f32[1,4]) -> (%y) {
  %w = const @w : i4(block [1,2]: @s)
  %f = dequantize(%w)
  %y = linear(%x, %f)
}
)";
  const auto model = model_of(kGroups);
  const std::string file = write(*model, "a.pt2");
  EXPECT_NE(program(file).find("torch.ops.quantized_decomposed.dequantize_per_channel_group.default"),
            std::string::npos);
  // Four bits become eight: archives have no narrower type.
  EXPECT_EQ(record(file, "model/data/weights/weight_0"), std::string("\x01\xf8\x07\xff\x00\x02\x03\x04", 8));
  expect_stable(*model);
  expect_targets(R"(zp 1
@s = buffer f32[1,2] [0.5,0.25]
@w = buffer i8[2,4] [1,-8,7,-1,0,2,3,4]
graph main(%x: f32[1,4]) -> (%y) {
  %w = const @w : i8(block [2,2]: @s)
  %f = dequantize(%w)
  %y = linear(%x, %f)
}
)",
                 {R"("torch.ops.torchao.dequantize_affine.default")",
                  R"({"name": "block_size", "arg": {"as_ints": [2, 2]})"});
}

TEST_F(ExportPt2, LibrariesThatMustBeImported) {
  EXPECT_TRUE(needs_import(*model_of(kSmall)).empty());
  const auto model = model_of(R"(zp 1
graph main(%x: f32[4]) -> (%y) {
  %q = quantize(%x) {type: u8(0.05, 128)}
  %d = dequantize(%q)
  %y = opaque "mylib.twist.default"(%d) {payload: "[{\"name\": \"x\", \"arg\": {\"as_tensor\": {\"name\": \"d\"}}, \"kind\": 1}]"} : f32[4]
}
)");
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(needs_import(*model),
            (std::vector<std::string>{"mylib", "torch.ao.quantization.fx._decomposed"}));
}

TEST_F(ExportPt2, AttributesChooseTheOverload) {
  expect_targets(
      R"(zp 1
@w = param f32[2,2,3,3] zeros
graph main(%x: f32[1,2,8,8]) -> (%a, %b, %c, %d) {
  %w = const @w
  %a = conv2d(%x, %w) {stride: [1,1], padding: [1,0], dilation: [1,1]}
  %b = conv2d(%x, %w) {stride: [1,1], dilation: [1,1], pad_mode: "same"}
  %m = mean(%x) {dims: [2,3], keepdim: true}
  %c = add(%m, %m) {alpha: 2}
  %d = div(%x, %x) {rounding_mode: "floor"}
}
)",
      {"aten.conv2d.default", R"({"name": "padding", "arg": {"as_ints": [1, 0]}, "kind": 1}])",
       "aten.conv2d.padding", R"({"name": "padding", "arg": {"as_string": "same"}, "kind": 1}])",
       "aten.mean.dim", R"({"name": "alpha", "arg": {"as_int": 2}, "kind": 2})", "aten.div.Tensor_mode"});
}

TEST_F(ExportPt2, ReshapeNeedsNoStrides) {
  // aten.view fails at run time on what a permute leaves behind; the archive must not have it.
  const auto model = model_of(R"(zp 1
graph main(%x: f32[2,3]) -> (%y) {
  %p = permute(%x) {dims: [1,0]}
  %y = reshape(%p) {shape: [6]}
}
)");
  const std::string json = program(write(*model, "a.pt2"));
  EXPECT_NE(json.find("torch.ops.aten.reshape.default"), std::string::npos);
  EXPECT_EQ(json.find("aten.view"), std::string::npos);
}

TEST_F(ExportPt2, SymbolicSizesAreComputed) {
  expect_targets(
      R"(zp 1
sym n in 2..64
graph main(%x: f32[2*n,4]) -> (%y, %z) {
  %y = reshape(%x) {shape: [n,8]}
  %z = zeros() {size: [n+1,2]}
}
)",
      {R"j("expr_str": "Mul(Integer(2), Symbol('s0', positive=True, integer=True))")j",
       R"("target": "torch.ops.aten.sym_size.int")", R"("target": "_operator.floordiv")",
       R"("target": "_operator.add")", R"("range_constraints": {"s0": {"min_val": 2, "max_val": 64}})"});
}

TEST_F(ExportPt2, StatesAreWrittenBack) {
  const auto model = model_of(R"(zp 1
@count = buffer f32[2] [1,2]
graph main(%x: f32[2], state %count = @count: f32[2]) -> (%old, %y, update %count: %next) {
  %next = add(%count, %x)
  %old = reshape(%count) {shape: [1,2]}
  %y = mul(%next, %x)
}
)");
  ASSERT_NE(model, nullptr);
  const std::string json = program(write(*model, "a.pt2"));
  EXPECT_NE(json.find(R"({"buffer_mutation": {"arg": {"name": "next"}, "buffer_name": "count"}})"),
            std::string::npos)
      << json;
  // The old value leaves as a copy: a view of the buffer would show the new one.
  EXPECT_NE(
      json.find(
          R"("outputs": [{"as_tensor": {"name": "next"}}, {"as_tensor": {"name": "clone"}}, {"as_tensor": {"name": "y"}}])"),
      std::string::npos)
      << json;
  expect_stable(*model);
}

TEST_F(ExportPt2, TwoStatesOfOneValueHaveNamesOfTheirOwn) {
  const auto model = model_of(R"(zp 1
@a = buffer f32[2] [1,2]
@b = buffer f32[2] [3,4]
graph main(%x: f32[2], state %a = @a: f32[2], state %b = @b: f32[2]) -> (%x2, update %a: %s, update %b: %s) {
  %s = add(%a, %x)
  %x2 = mul(%x, %b)
}
)");
  ASSERT_NE(model, nullptr);
  const std::string json = program(write(*model, "a.pt2"));
  EXPECT_NE(json.find(R"({"buffer_mutation": {"arg": {"name": "s"}, "buffer_name": "a"}})"),
            std::string::npos);
  EXPECT_NE(json.find(R"({"buffer_mutation": {"arg": {"name": "clone"}, "buffer_name": "b"}})"),
            std::string::npos)
      << json;
}

TEST_F(ExportPt2, NumbersStayNumbersWhereTorchTakesThem) {
  const auto model = read(write(*model_of(R"(zp 1
@two = literal f32[] 2
@three = literal i64[] 3
graph main(%x: f32[2]) -> (%y, %z) {
  %two = const @two
  %three = const @three
  %y = mul(%x, %two)
  %z = remainder(%x, %three)
}
)"),
                                "a.pt2"));
  ASSERT_NE(model, nullptr);
  const std::string json = program(path("a.pt2"));
  EXPECT_NE(json.find(R"({"name": "other", "arg": {"as_float": 2.0}, "kind": 1})"), std::string::npos)
      << json;
  // aten.remainder.Tensor takes none: the number becomes a buffer.
  EXPECT_NE(json.find("torch.ops.aten.remainder.Tensor"), std::string::npos) << json;
}

TEST_F(ExportPt2, StoragesAreWrittenOnce) {
  auto model = std::make_unique<Model>();
  Context& context = *model->context;
  const std::vector<float> numbers{0, 1, 2, 3, 4, 5, 6, 7};
  const Blob storage = Blob::copy_of(std::as_bytes(std::span<const float>(numbers)));
  Constant tied;
  tied.kind = ConstantKind::Parameter;
  tied.dtype = DType::F32;
  tied.shape = context.ints({2, 2});
  tied.storage = storage;
  Constant view = tied;
  view.kind = ConstantKind::Buffer;
  view.strides = context.ints({1, 2});
  view.offset = 4;
  tied.name = "embed";
  Value* a = model->graph->add_const(*context.add_constant(tied), "a");
  tied.name = "head";
  Value* b = model->graph->add_const(*context.add_constant(tied), "b");
  view.name = "view";
  Value* c = model->graph->add_const(*context.add_constant(view), "c");
  Value* outputs[] = {a, b, c};
  model->graph->set_outputs(outputs);
  model->outputs.resize(3);
  const std::string file = write(*model, "a.pt2");
  EXPECT_EQ(record(file, "model/data/weights/weight_0").size(), 32u);
  EXPECT_EQ(record(file, "model/data/weights/weight_1"), "(no record model/data/weights/weight_1)");
  const std::string config = record(file, "model/data/weights/model_weights_config.json");
  EXPECT_NE(config.find(R"("head": {"path_name": "weight_0")"), std::string::npos);
  EXPECT_NE(config.find(R"("strides": [{"as_int": 1}, {"as_int": 2}], "storage_offset": {"as_int": 4})"),
            std::string::npos)
      << config;
  expect_stable(*model);
}

TEST_F(ExportPt2, CarriedPayloadsAreNotRead) {
  // A parameter large enough to be worth it; one byte of it is then spoiled on disk.
  auto model = std::make_unique<Model>();
  const std::vector<float> numbers(50000, 1.0f);
  const int64_t shape[] = {50000};
  Value* w = model->graph->add_const(
      *model->context->make_constant("w", DType::F32, shape, numbers, ConstantKind::Parameter));
  model->graph->set_outputs(std::span<Value* const>(&w, 1));
  model->outputs.resize(1);
  write(*model, "a.pt2");
  std::string bytes = file_bytes(path("a.pt2"));
  const size_t at = bytes.find(std::string("\x00\x00\x80\x3f\x00\x00\x80\x3f", 8)) + 1000;
  bytes[at] ^= 1;
  std::ofstream(path("spoiled.pt2"), std::ios::binary) << bytes;
  const auto again = read(path("spoiled.pt2"));
  ASSERT_NE(again, nullptr);
  write(*again, "b.pt2");
  auto mapped = MappedFile::open(path("b.pt2"));
  auto zip = pt2::Zip::open(Blob::from_file(*mapped, 0, static_cast<size_t>((*mapped)->size())));
  ASSERT_TRUE(zip.ok());
  const pt2::ZipEntry* entry = zip->find("model/data/weights/weight_0");
  ASSERT_NE(entry, nullptr);
  EXPECT_FALSE(
      zip->verify(*entry).ok());  // the CRC is the one of the source: the spoiled byte can still be found out
}

TEST_F(ExportPt2, ControlFlowKeepsItsRegions) {
  expect_targets(
      R"(zp 1
@k = buffer f32[2] [1,2]
graph main(%p: bool[], %x: f32[2]) -> (%y) {
  %y = cond(%p, %x) : f32[2]
  region (%a: f32[2]) -> (%r) {
    %k = const @k
    %r = add(%a, %k)
  }
  region (%a: f32[2]) -> (%r) {
    %r = relu(%a)
  }
}
)",
      {R"("target": "torch.ops.higher_order.cond")",
       R"({"name": "", "arg": {"as_graph": {"name": "true_graph_0", "graph": {"inputs": [{"as_tensor": {"name": "a"}}, {"as_tensor": {"name": "c_k"}}])",
       R"({"name": "", "arg": {"as_tensors": [{"name": "x"}, {"name": "b_k"}]}, "kind": 1})",
       R"("is_hop_single_tensor_return": false)"});
}

TEST_F(ExportPt2, OpaqueNodesKeepTheirArguments) {
  expect_targets(
      R"(zp 1
graph main(%x: f32[4], %i: i64[2]) -> (%y) {
  %r = relu(%x)
  %y = opaque "aten.some_op.default"(%r, %i) {payload: "[{\"name\": \"self\", \"arg\": {\"as_tensor\": {\"name\": \"old\"}}, \"kind\": 1}, {\"name\": \"indices\", \"arg\": {\"as_optional_tensors\": [{\"as_none\": true}, {\"as_tensor\": {\"name\": \"index\"}}]}, \"kind\": 1}, {\"name\": \"weight\", \"arg\": {\"as_float\": 0.5}, \"kind\": 2}]"} : f32[2]
}
)",
      {R"({"target": "torch.ops.aten.some_op.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "r"}}, "kind": 1}, {"name": "indices", "arg": {"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "i"}}]}, "kind": 1}, {"name": "weight", "arg": {"as_float": 0.5}, "kind": 2}])"});
}

TEST_F(ExportPt2, RealArchivesAreStable) {
  size_t seen = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ZP_SOURCE_DIR "/models")) {
    if (entry.path().extension() != ".pt2") continue;
    SCOPED_TRACE(entry.path().string());
    const auto model = read(entry.path().string());
    ASSERT_NE(model, nullptr);
    expect_stable(*model);
    EXPECT_EQ(print(*model).substr(0, 5), print(*read(path("first.pt2"))).substr(0, 5));
    ++seen;
  }
  EXPECT_GT(seen, 0u);
}

TEST(ExportNames, PythonNames) {
  EXPECT_EQ(pt2::python_name("features.0.conv"), "features_0_conv");
  EXPECT_EQ(pt2::python_name("0x"), "_0x");
  EXPECT_EQ(pt2::python_name("lambda"), "lambda_");
  EXPECT_EQ(pt2::python_name(""), "_");
  pt2::NameScope names;
  EXPECT_EQ(names.unique("a"), "a");
  EXPECT_EQ(names.unique("a"), "a_1");
  EXPECT_FALSE(names.take("a_2").empty());
  EXPECT_EQ(names.unique("a"), "a_3");
}

TEST(ExportNames, PathsAreNoLeafAndFolderAtOnce) {
  pt2::PathScope paths;
  EXPECT_EQ(paths.unique("w"), "w");
  EXPECT_EQ(paths.unique("w.scale"), "w_scale");
  EXPECT_EQ(paths.unique("block.0.w"), "block.0.w");
  EXPECT_EQ(paths.unique("block.0"), "block_0");
  EXPECT_EQ(paths.unique("forward"), "forward_1");
  EXPECT_EQ(paths.unique("a..b"), "a__b");
  EXPECT_EQ(paths.unique("w"), "w_1");
}

// python/zeropoint_ops.py tells torch of the same operators.
TEST(IntegerForm, SchemasAreThoseOfThePythonModule) {
  std::ifstream in(std::string(ZP_SOURCE_DIR) + "/python/zeropoint_ops.py", std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  std::string wanted;
  for (const OpDef* op : ops::table().all())
    if (pt2::has_integer_form(*op)) wanted += pt2::integer_schema(*op) + "\n";
  const std::string file = text.str();
  const size_t begin = file.find("SCHEMAS = \"\"\"\n");
  ASSERT_NE(begin, std::string::npos);
  const size_t start = begin + 14;
  EXPECT_EQ(file.substr(start, file.find("\"\"\"", start) - start), wanted)
      << "replace the list by what `zp op --schemas` prints";
}

}  // namespace
}  // namespace zp
