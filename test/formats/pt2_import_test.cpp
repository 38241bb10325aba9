#include "formats/pt2/import.h"

#include <gtest/gtest.h>

#include <functional>

#include "formats/pt2/source.h"
#include "ir/printer.h"
#include "ir/tensor.h"
#include "pt2_builder.h"

namespace zp::pt2 {
namespace {

using test::Args;
using test::build_zip;
using test::dtype;
using test::integer;
using test::number;
using test::Program;
using test::raw;
using test::TemporaryFile;
using test::tensor;
using test::ZipItem;

constexpr const char* kQuantize = "torch.ops.quantized_decomposed.quantize_per_tensor.default";
constexpr const char* kDequantize = "torch.ops.quantized_decomposed.dequantize_per_tensor.default";
constexpr const char* kPerChannel = "torch.ops.quantized_decomposed.dequantize_per_channel.default";

Result<std::unique_ptr<Model>> import_items(const std::vector<ZipItem>& items) {
  const TemporaryFile file(build_zip(items));
  return import_pt2(file.path());
}
Result<std::unique_ptr<Model>> import_program(const Program& program) {
  return import_items(program.items());
}
Result<std::unique_ptr<Model>> import_data(const std::string& name) {
  return import_pt2(std::string(ZP_SOURCE_DIR) + "/test/formats/data/" + name + ".pt2");
}

Args q_args(const std::string& in, double scale, int zero, int lo = -128, int hi = 127, int type = 2) {
  return {{"input", tensor(in)},      {"scale", number(scale)},   {"zero_point", integer(zero)},
          {"quant_min", integer(lo)}, {"quant_max", integer(hi)}, {"dtype", dtype(type)}};
}

const Node* find_op(const Model& model, std::string_view op) {
  for (const Node* node : model.graph->nodes())
    if (op_label(*node) == op) return node;
  return nullptr;
}
size_t count_op(const Model& model, std::string_view op) {
  size_t count = 0;
  for (const Node* node : model.graph->nodes()) count += op_label(*node) == op;
  return count;
}

// --- real archives
// ------------------------------------------------------------------------------------------------

TEST(Pt2Import, EveryArchiveOfTheFolder) {
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(ZP_SOURCE_DIR) + "/test/formats/data")) {
    if (entry.path().extension() != ".pt2") continue;
    auto model = import_pt2(entry.path().string());
    ASSERT_TRUE(model.ok()) << model.error().str();
    EXPECT_TRUE((*model)->warnings.empty()) << entry.path() << ": " << (*model)->warnings.front().str();
    EXPECT_EQ((*model)->format, "pt2");
    EXPECT_NE((*model)->source, nullptr);
    for (const Node* node : (*model)->graph->nodes())
      EXPECT_FALSE(node->is(kOpaqueOp)) << entry.path() << ": " << op_label(*node);
  }
}

TEST(Pt2Import, GenerationsGiveTheSameGraph) {
  auto c = import_data("no_grad"), a = import_data("generation_a"), b = import_data("generation_b");
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  const PrintOptions options{.constants = true};
  EXPECT_EQ(print(**a, options), print(**c, options));
  EXPECT_EQ(print(**b, options), print(**c, options));
}

TEST(Pt2Import, WritesThroughViewsBecomeFunctional) {
  auto model = import_data("views");
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(count_op(**model, "slice_scatter"), 3u);
  EXPECT_EQ(count_op(**model, "select_scatter"), 1u);
  // The view that is a result is taken again from the last state of its base.
  const Node* result = (*model)->graph->output(1)->def();
  EXPECT_EQ(op_label(*result), "slice");
  EXPECT_EQ(result->operand(0), (*model)->graph->output(0));
}

TEST(Pt2Import, WrittenBuffersAreState) {
  for (const char* name : {"buffers", "buffers_functional"}) {
    auto model = import_data(name);
    ASSERT_TRUE(model.ok());
    size_t states = 0, updates = 0;
    for (const InputInfo& info : (*model)->inputs)
      states += info.kind == InputInfo::State && info.initial != nullptr;
    for (const OutputInfo& info : (*model)->outputs) {
      if (info.kind != OutputInfo::StateUpdate) continue;
      ++updates;
      ASSERT_GE(info.target, 0);
      EXPECT_EQ((*model)->inputs[static_cast<size_t>(info.target)].kind, InputInfo::State);
    }
    EXPECT_EQ(states, 2u) << name;
    EXPECT_EQ(updates, 2u) << name;
    EXPECT_EQ((*model)->user_outputs().size(), 1u) << name;
    EXPECT_EQ(static_cast<const Pt2Source&>(*(*model)->source).in_place_dialect,
              std::string(name) == "buffers");
  }
}

TEST(Pt2Import, StoragesKeepTheirStrides) {
  auto model = import_data("storages");
  ASSERT_TRUE(model.ok());
  Context& context = *(*model)->context;
  const Constant* transposed = context.find_constant("transposed");
  ASSERT_NE(transposed, nullptr);
  EXPECT_FALSE(transposed->dense());
  auto tensor = constant_tensor(context, *transposed);
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->get_double(0), 10);  // of arange(40)[10:22] as 3x4, transposed
  EXPECT_EQ(tensor->get_double(1), 14);
  EXPECT_EQ(context.find_constant("slice")->storage.data(), transposed->storage.data());
  EXPECT_EQ(context.find_constant("narrow")->dtype, DType::U16);
  EXPECT_EQ(context.find_constant("brain")->dtype, DType::BF16);
  EXPECT_EQ(context.find_constant("empty")->elements(), 0);
  EXPECT_EQ(context.find_constant("expanded")->storage.size(), 16u);
  EXPECT_NE(context.find_constant("weight")->storage.file(), nullptr);  // mapped, not copied
}

TEST(Pt2Import, ParametersOfQuantizersBecomeTypes) {
  auto model = import_data("quantized");
  ASSERT_TRUE(model.ok());
  const Node* first = find_op(**model, "dequantize");
  ASSERT_NE(first, nullptr);
  const QuantType& weight = *first->operand(0)->type().quant;
  EXPECT_EQ(weight.axis, 0);
  EXPECT_EQ(weight.qmin, -127);
  EXPECT_EQ(weight.scales->name, "scales");
  EXPECT_EQ(weight.zero_points->name, "zeros");
  EXPECT_NE(first->operand(0)->def()->constant(), nullptr);
  size_t statics = 0, dynamics = 0;
  for (const Node* node : (*model)->graph->nodes()) {
    if (op_label(*node) != "quantize") continue;
    const QuantType& type = *node->result()->type().quant;
    (type.dynamic ? dynamics : statics)++;
    EXPECT_TRUE(type.dynamic || type.storage != DType::U8 ||
                type.scale == 0.5);  // a constant tensor of one element
    EXPECT_EQ(node->operand_count(), type.dynamic ? 3u : 1u);
  }
  EXPECT_EQ(statics, 2u);
  EXPECT_EQ(dynamics, 1u);
  // A result of the program has the type of the file: plain integers.
  EXPECT_FALSE((*model)->graph->output(1)->type().is_quantized());
  EXPECT_EQ(count_op(**model, "storage_cast"), 1u);
}

TEST(Pt2Import, SymbolsHaveRanges) {
  auto model = import_data("dynamic");
  ASSERT_TRUE(model.ok());
  const Dim batch = (*model)->graph->inputs()[0]->type().shape[0];
  ASSERT_TRUE(batch.is_symbolic());
  EXPECT_EQ((*model)->context->dims().lower_bound(batch), 1);
  EXPECT_EQ((*model)->context->dims().upper_bound(batch), 64);
  EXPECT_EQ((*model)->graph->output(0)->type().shape[0], (*model)->context->dims().mul(2, batch));
  EXPECT_EQ(count_op(**model, "aten.sym_size.int"), 0u);
  auto derived = import_data("derived");
  ASSERT_TRUE(derived.ok());
  EXPECT_FALSE((*derived)->graph->inputs()[0]->type().shape[0].is_known());
}

TEST(Pt2Import, SubclassesAreTakenApart) {
  auto model = import_data("subclass");
  ASSERT_TRUE(model.ok()) << model.error().str();
  const Node* node = find_op(**model, "dequantize");
  ASSERT_NE(node, nullptr);
  const QuantType& type = *node->operand(0)->type().quant;
  EXPECT_EQ(type.block.vec(), (std::vector<int64_t>{1, 32}));
  EXPECT_EQ(type.qmin, -8);
  EXPECT_EQ(type.qmax, 7);
}

TEST(Pt2Import, ControlFlowHasRegions) {
  auto model = import_data("condition");
  ASSERT_TRUE(model.ok());
  const Node* cond = find_op(**model, "cond");
  ASSERT_NE(cond, nullptr);
  ASSERT_EQ(cond->regions().size(), 2u);
  EXPECT_EQ(op_label(*cond->regions()[0]->first_node()), "sin");
}

// --- built programs
// -----------------------------------------------------------------------------------------------

TEST(Pt2Import, PlacesAndNames) {
  Program p;
  p.input("x", 7, {2, 3})
      .node("torch.ops.aten.relu.default", {{"self", tensor("x")}}, {"r"})
      .value("r", 7, {2, 3})
      .output("r");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok()) << model.error().str();
  const Node* relu = find_op(**model, "relu");
  EXPECT_EQ(relu->name(), "r");
  EXPECT_EQ(relu->origin()->target, "aten.relu.default");
  EXPECT_EQ(relu->origin()->module, "a.b");
  EXPECT_EQ((*model)->producer, "torch 2.13.0");
  EXPECT_EQ((*model)->source_ops, (std::map<std::string, int64_t>{{"relu", 1}}));
}

TEST(Pt2Import, UnknownOperatorsKeepTheirForm) {
  Program p;
  p.input("x", 7, {2})
      .node("torch.ops.mylib.twist.default", {{"x", tensor("x")}, {"n", integer(3)}}, {"t"})
      .value("t", 7, {5})
      .output("t");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok()) << model.error().str();
  const Node* node = find_op(**model, "mylib.twist.default");
  ASSERT_NE(node, nullptr);
  EXPECT_NE(node->attrs<OpaqueAttrs>().payload.find("\"as_int\": 3"), std::string_view::npos);
  EXPECT_FALSE(node->attrs<OpaqueAttrs>().effect);
  EXPECT_EQ(node->result()->type().str(), "f32[5]");
}

TEST(Pt2Import, QuantizeFeedsDequantizeOfEqualParameters) {
  for (double scale : {0.5, 0.25}) {
    Program p;
    p.input("x", 7, {2})
        .node(kQuantize, q_args("x", 0.5, 3), {"q"})
        .node(kDequantize, q_args("q", scale, 3), {"d"});
    p.value("q", 2, {2}).value("d", 7, {2}).output("d");
    auto model = import_program(p);
    ASSERT_TRUE(model.ok()) << model.error().str();
    // Other parameters: the bytes are seen as plain, then as the other type.
    EXPECT_EQ(count_op(**model, "storage_cast"), scale == 0.5 ? 0u : 2u);
  }
}

// ExecuTorch's embeddings with packed tables: the first element in the high half of a byte, 8 added.
TEST(Pt2Import, PackedEmbeddingsAreUnpacked) {
  const float scales[] = {0.5F, 0.25F, 1.0F, 2.0F};
  Program p;
  p.buffer("w", 1, {2, 2}, std::string("\x0F\x89\xA5\xC3", 4), {2, 1})
      .buffer("s", 7, {2, 2}, std::string(reinterpret_cast<const char*>(scales), sizeof(scales)), {2, 1})
      .input("i", 5, {3})
      .node("torch.ops.quantized_decomposed.embedding_4bit.dtype",
            {{"weight", tensor("w")},
             {"weight_scales", tensor("s")},
             {"weight_zero_points", raw("as_none", "true")},
             {"weight_quant_min", integer(-8)},
             {"weight_quant_max", integer(7)},
             {"indices", tensor("i")},
             {"dtype", dtype(7)}},
            {"y"});
  p.value("y", 7, {3, 4}).output("y");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok()) << model.error().str();
  const Node* embedding = find_op(**model, "embedding");
  ASSERT_NE(embedding, nullptr);
  const Node* dequantize = embedding->operand(0)->def();
  EXPECT_EQ(op_label(*dequantize), "dequantize");
  const Value* table = dequantize->operand(0);
  EXPECT_EQ(table->type().str(), "i8<-8:7>(block [1,2]: @s)[2,4]");
  auto integers = constant_tensor(*(*model)->context, *table->def()->constant());
  ASSERT_TRUE(integers.ok());
  const int wanted[] = {-8, 7, 0, 1, 2, -3, 4, -5};
  for (int k = 0; k < 8; ++k) EXPECT_EQ(integers->get_int(k), wanted[k]) << k;
}

TEST(Pt2Import, InPlaceOnAViewThatCannotBeUndoneStaysInOrder) {
  Program p;
  p.input("x", 7, {4}).node("torch.ops.aten.clone.default", {{"self", tensor("x")}}, {"c"});
  p.node("torch.ops.aten.expand.default", {{"self", tensor("c")}, {"size", raw("as_ints", "[3, 4]")}}, {"e"});
  p.node("torch.ops.aten.relu_.default", {{"self", tensor("e")}}, {"w"})
      .node("torch.ops.aten.neg.default", {{"self", tensor("c")}}, {"n"});
  p.value("c", 7, {4}).value("e", 7, {3, 4}).value("w", 7, {3, 4}).value("n", 7, {4}).output("n");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok()) << model.error().str();
  for (const char* op :
       {"aten.clone.default", "aten.expand.default", "aten.relu_.default", "aten.neg.default"}) {
    const Node* node = find_op(**model, op);
    ASSERT_NE(node, nullptr) << op;
    EXPECT_TRUE(node->attrs<OpaqueAttrs>().effect) << op;
  }
}

TEST(Pt2Import, WrongShapesAreReportedAndRead) {
  Program p;
  p.input("x", 7, {2, 3})
      .node("torch.ops.aten.relu.default", {{"self", tensor("x")}}, {"r"})
      .value("r", 7, {3, 2})
      .output("r");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok());
  ASSERT_EQ((*model)->warnings.size(), 1u);
  EXPECT_EQ((*model)->warnings[0].id, "pt2.shape");
  EXPECT_EQ((*model)->warnings[0].where.node, "r");
}

TEST(Pt2Import, StrippedWeightsCanBeInspected) {
  Program p;
  p.input("x", 7, {3})
      .buffer("b", 7, {3}, "", {1})
      .node("torch.ops.aten.add.Tensor", {{"self", tensor("x")}, {"other", tensor("b")}}, {"s"});
  p.value("s", 7, {3}).output("s");
  auto model = import_program(p);
  ASSERT_TRUE(model.ok()) << model.error().str();
  EXPECT_TRUE((*model)->context->find_constant("b")->stripped);
}

// --- refusals
// -----------------------------------------------------------------------------------------------------

struct Refusal {
  const char* what;
  std::function<std::vector<ZipItem>()> items;
  const char* id;
};

Program identity_program() {
  Program p;
  p.input("x", 7, {2})
      .node("torch.ops.aten.relu.default", {{"self", tensor("x")}}, {"r"})
      .value("r", 7, {2})
      .output("r");
  return p;
}
std::vector<ZipItem> without(const char* name) {
  std::vector<ZipItem> items = identity_program().items();
  std::erase_if(items, [&](const ZipItem& i) { return i.name == name; });
  return items;
}
std::vector<ZipItem> replaced(const char* name, const std::string& data) {
  std::vector<ZipItem> items = identity_program().items();
  for (ZipItem& i : items)
    if (i.name == name) i.data = data;
  return items;
}
std::vector<ZipItem> with_buffer(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                                 int64_t offset, const std::string& path = {}) {
  Program p = identity_program();
  if (!path.empty()) p.records.push_back({"m/data/weights/weight_0", std::string(24, '\0')});
  p.buffer("b", 7, shape, std::string(24, '\0'), strides, offset, path);
  return p.items();
}
std::vector<ZipItem> per_channel(const std::vector<float>& scales, const std::vector<int64_t>& zeros) {
  Program p;
  p.input("x", 2, {3, 4}).vector("s", 7, scales).vector("z", 5, zeros);
  p.node(kPerChannel,
         {{"input", tensor("x")},
          {"scales", tensor("s")},
          {"zero_points", tensor("z")},
          {"axis", integer(0)},
          {"quant_min", integer(-128)},
          {"quant_max", integer(127)},
          {"dtype", dtype(2)}},
         {"d"});
  p.value("d", 7, {3, 4}).output("d");
  return p.items();
}
std::vector<ZipItem> one_node(const std::string& target, const Args& args) {
  Program p;
  p.input("x", 7, {2, 3}).node(target, args, {"r"}).value("r", 7, {2, 3}).output("r");
  return p.items();
}

class RefusalTest : public ::testing::TestWithParam<Refusal> {};
TEST_P(RefusalTest, SaysWhy) {
  auto model = import_items(GetParam().items());
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().first().id, GetParam().id) << model.error().str();
  EXPECT_EQ(model.error().kind(), ErrorKind::Refused);
  EXPECT_FALSE(model.error().first().where.file.empty());
}

constexpr const char* kJson = "m/models/model.json";
constexpr const char* kConfig = "m/data/weights/model_weights_config.json";
const Refusal kRefusals[] = {
    {"no format", [] { return without("m/archive_format"); }, "pt2.kind"},
    {"other format", [] { return replaced("m/archive_format", "pte"); }, "pt2.kind"},
    {"other version", [] { return replaced("m/archive_version", "1"); }, "pt2.version"},
    {"no version", [] { return without("m/archive_version"); }, "pt2.record"},
    {"no model", [] { return without(kJson); }, "pt2.kind"},
    {"no weights config", [] { return without(kConfig); }, "pt2.record"},
    {"TorchScript",
     [] {
       return std::vector<ZipItem>{{"m/data.pkl", "x"}, {"m/code/a.py", "x"}};
     },
     "pt2.kind"},
    {"AOTInductor",
     [] {
       return std::vector<ZipItem>{{"m/data/aotinductor/model/a.so", "x"}};
     },
     "pt2.kind"},
    {"big endian",
     [] {
       auto items = identity_program().items();
       items.push_back({"m/byteorder", "big"});
       return items;
     },
     "pt2.byteorder"},
    {"JSON checksum",
     [] {
       auto items = identity_program().items();
       for (ZipItem& i : items)
         if (i.name == kJson) i.crc = 7;
       return items;
     },
     "zip.crc"},
    {"empty JSON", [] { return replaced(kJson, ""); }, "pt2.json"},
    {"no JSON", [] { return replaced(kJson, "not json"); }, "pt2.json"},
    {"cut JSON",
     [] {
       const std::string j = identity_program().json();
       return replaced(kJson, j.substr(0, j.size() / 2));
     },
     "pt2.json"},
    {"other JSON", [] { return replaced(kJson, R"({"a": 1})"); }, "pt2.schema"},
    {"schema 7",
     [] {
       Program p = identity_program();
       p.schema = R"({"major": 7, "minor": 2})";
       return p.items();
     },
     "pt2.schema"},
    {"two variants",
     [] {
       return one_node("torch.ops.aten.relu.default",
                       {{"self", R"({"as_tensor": {"name": "x"}, "as_none": true})"}});
     },
     "pt2.program"},
    {"unknown variant",
     [] {
       return one_node("torch.ops.aten.relu.default", {{"self", R"({"as_wonder": 1})"}});
     },
     "pt2.argument"},
    {"deep argument",
     [] {
       std::string deep;
       for (int i = 0; i < 200; ++i) deep += R"({"as_string_to_argument": {"k": )";
       deep += R"({"as_int": 1})";
       for (int i = 0; i < 200; ++i) deep += "}}";
       return one_node("torch.ops.mylib.f.default", {{"a", deep}});
     },
     "pt2.program"},
    {"undefined value",
     [] {
       return one_node("torch.ops.aten.relu.default", {{"self", tensor("ghost")}});
     },
     "pt2.order"},
    {"read before defined",
     [] {
       Program p;
       p.input("x", 7, {2}).node("torch.ops.aten.relu.default", {{"self", tensor("n")}}, {"r"});
       p.node("torch.ops.aten.neg.default", {{"self", tensor("x")}}, {"n"})
           .value("r", 7, {2})
           .value("n", 7, {2})
           .output("r");
       return p.items();
     },
     "pt2.order"},
    {"opaque without type",
     [] {
       Program p;
       p.input("x", 7, {2}).node("torch.ops.mylib.f.default", {{"a", tensor("x")}}, {"r"}).output("r");
       return p.items();
     },
     "pt2.value"},
    {"signature of other length",
     [] {
       Program p = identity_program();
       Program::add(p.inputs, tensor("y"));
       return p.items();
     },
     "pt2.signature"},
    {"missing weight",
     [] {
       Program p = identity_program();
       p.buffer("b", 7, {2}, std::string(8, '\0'), {1});
       p.weights.clear();
       return p.items();
     },
     "pt2.weight"},
    {"missing record",
     [] {
       Program p = identity_program();
       p.buffer("b", 7, {2}, "", {1}, 0, "weight_9");
       return p.items();
     },
     "pt2.record"},
    {"path out of the folder", [] { return with_buffer({6}, {1}, 0, "../../models/model.json"); },
     "pt2.path"},
    {"absolute path", [] { return with_buffer({6}, {1}, 0, "/etc/passwd"); }, "pt2.path"},
    {"too few bytes", [] { return with_buffer({7}, {1}, 0); }, "pt2.tensor"},
    {"offset beyond", [] { return with_buffer({6}, {1}, 1); }, "pt2.tensor"},
    {"stride beyond",
     [] {
       return with_buffer({2, 3}, {4, 1}, 0);
     },
     "pt2.tensor"},
    {"negative size", [] { return with_buffer({-2}, {1}, 0); }, "pt2.tensor"},
    {"negative offset", [] { return with_buffer({2}, {1}, -1); }, "pt2.tensor"},
    {"sizes overflow",
     [] {
       return with_buffer({INT64_MAX, INT64_MAX}, {0, 0}, 0);
     },
     "pt2.tensor"},
    {"strides overflow",
     [] {
       return with_buffer({3, 3}, {INT64_MAX, INT64_MAX}, 0);
     },
     "pt2.tensor"},
    {"no multiple of the element",
     [] {
       Program p = identity_program();
       p.buffer("b", 7, {2}, std::string(9, '\0'), {1});
       return p.items();
     },
     "pt2.tensor"},
    {"zero scale", [] { return one_node(kQuantize, q_args("x", 0, 0)); }, "pt2.scale"},
    {"negative scale", [] { return one_node(kQuantize, q_args("x", -0.5, 0)); }, "pt2.scale"},
    {"infinite scale",
     [] {
       Args args = q_args("x", 1, 0);
       args[1].second = R"({"as_float": "Infinity"})";
       return one_node(kQuantize, args);
     },
     "pt2.scale"},
    {"zero point outside", [] { return one_node(kQuantize, q_args("x", 1, 200)); }, "pt2.zero_point"},
    {"nan among scales",
     [] {
       return per_channel({1, 0.0f / 0.0f, 1}, {0, 0, 0});
     },
     "pt2.scale"},
    {"zero point of a channel",
     [] {
       return per_channel({1, 1, 1}, {0, 0, 300});
     },
     "pt2.zero_point"},
    {"scales for other channels",
     [] {
       return per_channel({1, 1, 1, 1}, {0, 0, 0, 0});
     },
     "storage_cast.c5"},
    {"range outside of storage", [] { return one_node(kQuantize, q_args("x", 1, 0, -1000, 127)); },
     "quantize.c6"},
};
INSTANTIATE_TEST_SUITE_P(Pt2, RefusalTest, ::testing::ValuesIn(kRefusals), [](const auto& info) {
  std::string name;
  for (char c : std::string(info.param.what)) name += isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

TEST(Pt2Import, CollectsAllProblems) {
  Program p;
  p.input("x", 7, {2});
  for (int i = 0; i < 5; ++i) p.node(kQuantize, q_args("x", -1 - i, 0), {"q" + std::to_string(i)});
  p.output("x");
  auto model = import_program(p);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().diagnostics().size(), 5u);
  EXPECT_EQ(model.error().diagnostics()[3].where.node, "q3");
  EXPECT_EQ(model.error().diagnostics()[3].where.module, "a.b");
}

TEST(Pt2Import, NoArchiveAtAll) {
  const TemporaryFile text("just some text"), empty("");
  for (const std::string& path : {text.path(), empty.path(), std::string("/nowhere/at/all.pt2")})
    EXPECT_FALSE(import_pt2(path).ok()) << path;
}

// Damaged program texts are refused or read, never a crash.
TEST(Pt2Import, SurvivesDamagedText) {
  Program p;
  p.input("x", 7, {2})
      .node(kQuantize, q_args("x", 0.5, 3), {"q"})
      .node(kDequantize, q_args("q", 0.5, 3), {"d"});
  p.value("q", 2, {2}).value("d", 7, {2}).output("d");
  const std::string json = p.json();
  for (size_t at = 0; at < json.size(); at += 3) {
    for (char c : {'"', '}', '9', ' '}) {
      std::string damaged = json;
      damaged[at] = c;
      std::vector<ZipItem> items = p.items();
      for (ZipItem& i : items)
        if (i.name == kJson) i.data = damaged;
      (void)import_items(items).ok();
    }
  }
}

}  // namespace
}  // namespace zp::pt2
