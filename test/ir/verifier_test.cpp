// The verifier: valid graphs pass, each kind of damage is named.
#include "ir/verifier.h"

#include <gtest/gtest.h>

#include "ir/parser.h"
#include "test_ops.h"

namespace zp {
namespace {

std::unique_ptr<Model> parse(const std::string& text) {
  auto m = parse_model(text, test::table(), "f.zp");
  EXPECT_TRUE(m.ok()) << (m.ok() ? "" : m.error().str());
  return m.ok() ? std::move(*m) : std::make_unique<Model>();
}

std::string problems(const Model& m) {
  std::string out;
  for (const Diagnostic& d : verify(m)) out += d.str() + "\n";
  return out;
}

std::string problems_of(const std::string& declarations, const std::string& inputs,
                        const std::string& nodes) {
  return problems(*parse("zp 1\n" + declarations + "graph main(" + inputs + ") -> () {\n" + nodes + "}\n"));
}

constexpr char kGood[] = R"(zp 1
sym s0
@s = f32[2] [0.5,0.25]
@w = i8[2,3] [1,2,3,4,5,6]
@b = f32[4] zeros
graph main(%x: f32[s0,3], state %st = @b: f32[4]) -> (%y, update %st: %st) {
  %w = const @w : i8(axis 0: @s)
  %wf = dequantize(%w)
  %c = conv2d(%x, %wf)
  %q = quantize(%c) : u8(0.5, 128)
  %m = identity(%q)
  %p = relu(%m) : u8(0.5, 128)
  %d = dequantize(%p)
  %r = cond(%d, %d)
    region (%u: f32[s0,3]) -> (%v) {
      %v = add(%u, 2.5)
    }
    region (%u: f32[s0,3]) -> (%u) {
    }
  %y = quantize(%d) : u8(0.5, 3)
}
)";

TEST(Verifier, ValidGraphPassesAndIsNotChanged) {
  const auto m = parse(kGood);
  const uint64_t before = m->context->changes();
  EXPECT_EQ(problems(*m), "");
  EXPECT_EQ(m->context->changes(), before);
  EXPECT_TRUE(verify_ok(*m).ok());
}

TEST(Verifier, TypesAgainstInference) {
  const auto m = parse(kGood);
  Value* c = m->graph->find("c");
  c->set_type(m->context->unranked(DType::F16));
  EXPECT_NE(
      problems(*m).find("f.zp:9:3: node 'c': error: type: %c is inferred as f32[s0,3], its type is f16[*]"),
      std::string::npos)
      << problems(*m);
  EXPECT_EQ(c->type().str(), "f16[*]");  // as it was
  // What inference leaves open may be known; what is certain may not differ.
  Context& ctx = *m->context;
  const Dim s0 = ctx.dims().symbol("s0");
  const Dim other[] = {ctx.dims().symbol("s7"), Dim(3)};
  c->set_type(ctx.tensor(DType::F32, std::span<const Dim>(other)));
  EXPECT_EQ(problems(*m), "");  // s7 may be s0
  const Dim more[] = {ctx.dims().add(s0, Dim(1)), Dim(3)};
  c->set_type(ctx.tensor(DType::F32, std::span<const Dim>(more)));
  EXPECT_NE(problems(*m).find("type: %c is inferred as f32[s0,3], its type is f32[s0+1,3]"),
            std::string::npos)
      << problems(*m);
}

TEST(Verifier, OrderAndUses) {
  const auto m = parse(kGood);
  Node* c = m->graph->find("c")->def();
  Node* q = m->graph->find("q")->def();
  c->move_before(q->next());
  EXPECT_NE(
      problems(*m).find("node 'q': error: node.order: operand 0 is %c, which is defined later or not at all"),
      std::string::npos)
      << problems(*m);
  c->move_before(q);
  EXPECT_EQ(problems(*m), "");
  // A value of the outer graph used inside a region.
  Node* inner = m->graph->find("r")->def()->regions()[0]->find("v")->def();
  inner->set_operand(0, m->graph->find("d"));
  EXPECT_NE(problems(*m).find("node 'v': error: node.operand: operand 0 is %d, a value of another graph"),
            std::string::npos)
      << problems(*m);
}

TEST(Verifier, Signature) {
  const auto m = parse(kGood);
  m->outputs[1].target = 7;
  EXPECT_NE(problems(*m).find("signature.outputs: output 1 updates input 7"), std::string::npos)
      << problems(*m);
  m->outputs[1].target = 0;
  EXPECT_NE(problems(*m).find("signature.outputs: output 1 updates input 0"), std::string::npos)
      << problems(*m);
  m->outputs.pop_back();
  EXPECT_NE(problems(*m).find("signature.outputs: the signature has 1 outputs, the graph 2"),
            std::string::npos)
      << problems(*m);
  const auto n = parse("zp 1\n@b = f32[4] zeros\ngraph main(state %s = @b: f32[5]) -> () {\n}\n");
  EXPECT_EQ(problems(*n), "f.zp: error: signature.state: state %s is f32[5], its initial value f32[4]\n");
}

TEST(Verifier, ConstantsStayInTheirBytes) {
  const auto m = parse(kGood);
  Constant c;
  c.name = "strided";
  c.dtype = DType::F32;
  const int64_t shape[] = {2, 3}, strides[] = {4, 1};
  c.shape = shape;
  c.strides = strides;
  c.offset = 1;
  c.storage = Blob::copy_of(std::vector<std::byte>(8 * 4));
  const Constant* fits = m->context->add_constant(c);
  m->graph->add_const(*fits);
  EXPECT_EQ(problems(*m), "");
  c.offset = 2;
  const Constant* beyond = m->context->add_constant(c);
  m->graph->add_const(*beyond);
  EXPECT_NE(problems(*m).find("constant.bytes: '@strided.1' reaches beyond its 32 bytes of data"),
            std::string::npos)
      << problems(*m);
}

TEST(Verifier, QuantizationParameters) {
  const std::string d =
      "sym n\n@s = f32[2] [0.5,0.25]\n@neg = f32[2] [0.5,-0.25]\n@inf = f32[2] [inf,1]\n@z = i32[2] "
      "[0,300]\n@z3 = i32[3] [0,0,0]\n@i = i32[2] [1,1]\n@fz = f32[2] [0,nan]\n@st = f32[2]\n";
  const std::pair<const char*, const char*> cases[] = {
      {"i8(0, 0)[2]", "quant.scale: %x (i8(0, 0)[2]): scale 0 is not finite and positive"},
      {"i8(nan, 0)[2]", "quant.scale: %x (i8(nan, 0)[2]): scale nan is not finite and positive"},
      {"u8(1, 256)[2]", "quant.zero_point: %x (u8(1, 256)[2]): zero point 256 is outside u8 (0..255)"},
      {"u8<0:300>(1, 0)[2]", "quant.range: %x (u8<0:300>(1, 0)[2]): range 0..300 is not one of u8 (0..255)"},
      {"i8(axis 2: @s)[2,2]", "quant.axis: %x (i8(axis 2: @s)[2,2]): axis 2 of a tensor of rank 2"},
      {"i8(axis 0: @s)[3]", "quant.count: %x (i8(axis 0: @s)[3]): 2 scales in '@s', the grid has 3 cells"},
      {"i8(axis 0: @s, @z3)[2]",
       "quant.count: %x (i8(axis 0: @s, @z3)[2]): 3 zero points in '@z3', the grid has 2 cells"},
      {"i8(axis 0: @neg)[2]",
       "quant.scale: %x (i8(axis 0: @neg)[2]): scale -0.25 of cell 1 is not finite and positive"},
      {"i8(axis 0: @inf)[2]",
       "quant.scale: %x (i8(axis 0: @inf)[2]): scale inf of cell 0 is not finite and positive"},
      {"u8(axis 0: @s, @z)[2]",
       "quant.zero_point: %x (u8(axis 0: @s, @z)[2]): zero point 300 of cell 1 is outside u8 (0..255)"},
      {"u8(axis 0: @s, @s)[2]", "quant.zero_point: %x (u8(axis 0: @s, @s)[2]): zero points '@s' are f32"},
      {"u8(axis 0: @s, float @fz)[2]",
       "quant.zero_point: %x (u8(axis 0: @s, float @fz)[2]): zero point nan of cell 1 is not finite"},
      {"u8(axis 0: @i)[2]", "quant.scale_dtype: %x (u8(axis 0: @i)[2]): scales are i32, not floats"},
      {"u8(block [1]: @s)[2,2]",
       "quant.block: %x (u8(block [1]: @s)[2,2]): a block of 1 dims for a tensor of rank 2"},
      {"u8(block [2,1]: @s)[2,3]",
       "quant.count: %x (u8(block [2,1]: @s)[2,3]): 2 scales in '@s', the grid has 3 cells"},
      {"u8:i8(0.5, 0)[2]", "quant.expressed: %x (u8:i8(0.5, 0)[2]): i8 is not a type of real numbers"},
  };
  for (const auto& [type, message] : cases) {
    EXPECT_EQ(problems_of(d, std::string("%x: ") + type, ""), std::string("f.zp: error: ") + message + "\n");
  }
  for (const char* good : {"i8(axis 0: @s)[2,7]", "i8(axis 0: @s)[n]", "i8(axis 0: @st)[2]",
                           "u8(block [2,*]: @s)[3,9]", "u8(block [1,2]: @s)[1,3]", "u8(dynamic axis 1)[2,2]",
                           "u8(0.5, float 1e6)[2]", "f8e4m3(0.5, none)[2]", "u8(axis 3: @s)[*]"}) {
    EXPECT_EQ(problems_of(d, std::string("%x: ") + good, ""), "") << good;
  }
}

TEST(Verifier, Limit) {
  std::string nodes;
  for (int i = 0; i < 50; ++i) nodes += "%y" + std::to_string(i) + " = softmax(%q)\n";
  const auto m = parse("zp 1\ngraph main(%q: u8(0.5, 3)[2]) -> () {\n" + nodes + "}\n");
  EXPECT_EQ(verify(*m).size(), 20u);
  EXPECT_EQ(verify(*m, 3).size(), 3u);
  EXPECT_FALSE(verify_ok(*m).ok());
}

}  // namespace
}  // namespace zp
