// The program as its users meet it: exit codes, messages, files that stay as they were.
#include "cli.h"

namespace zp::test {
namespace {

// Minor versions add keys: they are passed over, and --check says which.
TEST_F(Cli, KeysOfANewerSchemaArePassedOver) {
  Entries e = Entries::of(read_all(std::string(ZP_SOURCE_DIR) + "/test/formats/data/quantized.pt2"));
  const Done known = [&] {
    write_all(file("in.pt2"), e.zip());
    return zp({"inspect", file("in.pt2"), "--check"});
  }();
  EXPECT_EQ(known.code, 0) << known.err;
  EXPECT_EQ(known.err, "");
  std::string* program = e.find("models/model.json");
  ASSERT_NE(program, nullptr);
  replace_first(*program, "{\"target\": ", "{\"stream\": [1], \"target\": ");
  replace_first(*program, "\"graph_module\": ", "\"epoch\": {\"a\": 1}, \"graph_module\": ");
  write_all(file("in.pt2"), e.zip());
  EXPECT_EQ(zp({"compile", file("in.pt2"), "-o", file("out.pt2")}).code, 0);
  const Done done = zp({"inspect", file("in.pt2"), "--check"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("pt2.unknown_key: schema 8."), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("epoch, stream"), std::string::npos) << done.err;
}

// torch keeps such a weight in the state of the program; a rewrite keeps it in the file.
TEST_F(Cli, WeightsThatNoInputNamesSurviveARewrite) {
  Entries e = Entries::of(read_all(std::string(ZP_SOURCE_DIR) + "/test/formats/data/quantized.pt2"));
  const std::string entry =
      "\"scales\": {\"path_name\": \"weight_1\", \"is_param\": false, \"use_pickle\": false, ";
  std::string* config = e.find("model_weights_config.json");
  ASSERT_NE(config, nullptr);
  const size_t at = config->find(entry), end = config->find("}}, ", at);
  ASSERT_NE(at, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  std::string kept = config->substr(at, end + 4 - at);
  replace_first(kept, "\"scales\"", "\"history\"");
  config->insert(at, kept);
  write_all(file("in.pt2"), e.zip());
  for (const char* how : {"convert", "compile"}) {
    std::vector<std::string> arguments = {how, file("in.pt2")};
    if (std::string(how) == "compile") arguments.emplace_back("-o");
    arguments.push_back(file("out.pt2"));
    ASSERT_EQ(zp(arguments).code, 0);
    Entries out = Entries::of(read_all(file("out.pt2")));
    const std::string* written = out.find("model_weights_config.json");
    ASSERT_NE(written, nullptr);
    const size_t found = written->find("\"history\": {\"path_name\": \"");
    ASSERT_NE(found, std::string::npos) << how;
    const size_t begin = found + 26, stop = written->find('"', begin);
    const std::string* bytes = out.find("data/weights/" + written->substr(begin, stop - begin));
    ASSERT_NE(bytes, nullptr) << *written;
    EXPECT_EQ(*bytes, *e.find("data/weights/weight_1"));
  }
}

TEST_F(Cli, VersionHelpAndWrongUsage) {
  EXPECT_EQ(zp({"--version"}).code, 0);
  EXPECT_NE(zp({"--version"}).out.find("zeropoint"), std::string::npos);
  EXPECT_EQ(zp({}).code, 2);
  EXPECT_EQ(zp({"fold"}).code, 2);
  EXPECT_EQ(zp({"compile", digits_}).code, 2);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("x.pt2"), "--form", "loose"}).code, 2);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("x.pt2"), "--passes", "cleanup,cleverness"}).code, 2);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("x.unknown")}).code, 2);
  for (const char* topic :
       {"compile", "run", "inspect", "explain", "compare", "convert", "backend", "op", "test", "passes"}) {
    const Done done = zp({"help", topic});
    EXPECT_EQ(done.code, 0) << topic;
    EXPECT_GT(done.out.size(), 100u) << topic;
  }
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_NE(zp({"completion", shell}).out.find("compile"), std::string::npos);
}

TEST_F(Cli, CompileIsDeterministicAndLeavesNoTemporaries) {
  ASSERT_EQ(zp({"compile", digits_, "-o", file("a.pt2"), "-q", "--threads", "1"}).code, 0);
  ASSERT_EQ(zp({"compile", digits_, "-o", file("b.pt2"), "-q", "--threads", "2"}).code, 0);
  Entries a = Entries::of(read_all(file("a.pt2"))), b = Entries::of(read_all(file("b.pt2")));
  ASSERT_EQ(a.items.size(), b.items.size());
  // The root folder is named after the file; everything else must be equal.
  for (size_t i = 0; i < a.items.size(); ++i) {
    EXPECT_EQ(a.items[i].first.substr(1), b.items[i].first.substr(1));
    if (a.items[i].first.find("serialization_id") == std::string::npos) {
      EXPECT_EQ(a.items[i].second, b.items[i].second) << a.items[i].first;
    }
  }
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_NE(entry.path().extension(), ".tmp");
}

TEST_F(Cli, VerifiedCompileKeepsItsPromises) {
  const Done done = zp({"compile", digits_, "-o", file("a.pt2"), "--verify=2"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("verified on 2 input sets"), std::string::npos) << done.out;
}

TEST_F(Cli, ExplainListsEveryAttemptAtANode) {
  const Done done = zp({"explain", digits_, "--backend", "vulkan", "--node", "linear"});
  EXPECT_EQ(done.code, 0) << done.err;
  for (const char* part : {"kept", "tried", "linear-float", "not taken", "types"})
    EXPECT_NE(done.out.find(part), std::string::npos) << part << "\n" << done.out;
  EXPECT_EQ(zp({"explain", digits_, "--node", "no_such_node"}).code, 1);
  const Done all = zp({"match", digits_, "--backend", "vulkan", "--all", "--json"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_NE(all.out.find("\"why_not\": \"types "), std::string::npos) << all.out;
}

TEST_F(Cli, BackendsHaveReferencePages) {
  const Done done = zp({"backend", "show", "vulkan", "--markdown"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out.rfind("# Backend vulkan\n", 0), 0u) << done.out;
  EXPECT_NE(done.out.find("`et_vk.linear_qcs4w.default`"), std::string::npos) << done.out;
}

TEST_F(Cli, CheckReadsWhatInspectLeavesAlone) {
  EXPECT_EQ(zp({"inspect", digits_, "--check"}).code, 0);
  std::string bytes = read_all(digits_);
  Entries e = Entries::of(bytes);
  const std::string* weights = e.find("data/weights/weight_0");
  ASSERT_NE(weights, nullptr);
  const size_t at = bytes.find(*weights);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  write_all(file("flipped.pt2"), bytes);
  EXPECT_EQ(zp({"inspect", file("flipped.pt2")}).code, 0);
  const Done done = zp({"inspect", file("flipped.pt2"), "--check"});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("weight_0"), std::string::npos) << done.err;
}

TEST_F(Cli, WrongInputsAndTargets) {
  const Done missing = zp({"run", digits_});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("'x'"), std::string::npos) << missing.err;
  const Done shape = zp({"run", digits_, "--input", images_});  // 360 images where one is wanted
  EXPECT_EQ(shape.code, 1);
  EXPECT_NE(shape.err.find("360"), std::string::npos) << shape.err;
  EXPECT_EQ(zp({"run", digits_, "--input", file("none.npy")}).code, 1);
  EXPECT_EQ(zp({"run", digits_, "--input", "wrong=" + images_}).code, 1);
  EXPECT_EQ(zp({"compile", file("none.pt2"), "-o", file("o.pt2")}).code, 1);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("no/such/folder/o.pt2")}).code, 1);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("o.pt2"), "--backend", "nobody"}).code, 1);
}

TEST_F(Cli, SplitRunsAWholeDataSet) {
  const Done done = zp({"run", digits_, "--input", images_, "--split", "--output-dir", file("out")});
  ASSERT_EQ(done.code, 0) << done.err;
  const std::string npy = read_all(file("out/out_0.npy"));
  EXPECT_NE(npy.find("(360, 10)"), std::string::npos);
}

TEST_F(Cli, TextIsAFormatToo) {
  ASSERT_EQ(zp({"convert", digits_, file("d.zp")}).code, 0);
  ASSERT_EQ(zp({"convert", file("d.zp"), file("d2.zp")}).code, 0);
  EXPECT_EQ(read_all(file("d.zp")), read_all(file("d2.zp")));
  const Done done = zp({"compare", digits_, file("d.zp"), "--json"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("\"max_abs_error\": 0.0"), std::string::npos) << done.out;
}

TEST_F(Cli, TheOperatorTableIsUpToDate) {
  const Done done = zp({"op", "--markdown"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out == read_all(std::string(ZP_SOURCE_DIR) + "/docs/operators.md"))
      << "docs/operators.md is out of date: zp op --markdown > docs/operators.md";
}

TEST_F(Cli, InspectNamesAllUnknownOperatorsWithCounts) {
  write_all(file("m.zp"),
            "zp 1\ngraph main(%x: f32[2]) -> (%c) {\n  %a = opaque \"my.op\"(%x) : f32[2]\n"
            "  %b = opaque \"my.op\"(%a) : f32[2]\n  %c = opaque \"your.op\"(%b) : f32[2]\n}\n");
  const Done done = zp({"inspect", file("m.zp")});
  ASSERT_EQ(done.code, 0) << done.err;
  const std::string table = done.out.substr(std::min(done.out.size(), done.out.find("unknown operator")));
  EXPECT_NE(table.find("my.op                 2"), std::string::npos) << done.out;
  EXPECT_NE(table.find("your.op               1"), std::string::npos) << done.out;
}

}  // namespace
}  // namespace zp::test
