// The program as its users meet it: exit codes, messages, files that stay as they were.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

namespace {

namespace fs = std::filesystem;

struct Done {
  int code = -1;  // negative: ended by that signal
  std::string out, err;
};

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("zp-cli-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string& name) const { return folder_ / name; }

  Done zp(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), ZP_BINARY);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    const std::string out = file("stdout"), err = file("stderr");
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
      ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_all(out), read_all(err)};
  }

  fs::path folder_;
  const std::string digits_ = std::string(ZP_SOURCE_DIR) + "/models/digits/qat_cadence_chain.pt2";
  const std::string images_ = std::string(ZP_SOURCE_DIR) + "/models/digits/images.npy";
};

uint32_t crc32_of(const std::string& data) {
  uint32_t crc = ~0u;
  for (const unsigned char c : data) {
    crc ^= c;
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

// A minimal stored zip, rebuilt from the entries of an existing one.
struct Entries {
  std::vector<std::pair<std::string, std::string>> items;  // name, content

  static Entries of(const std::string& zip) {
    Entries e;
    auto u16 = [&](size_t at) {
      return static_cast<size_t>(static_cast<uint8_t>(zip[at])) |
             static_cast<size_t>(static_cast<uint8_t>(zip[at + 1])) << 8;
    };
    auto u32 = [&](size_t at) { return u16(at) | u16(at + 2) << 16; };
    const size_t end = zip.rfind("PK\5\6");
    size_t at = u32(end + 16);
    for (size_t k = u16(end + 10); k-- > 0;) {
      const size_t size = u32(at + 20), name = u16(at + 28), local = u32(at + 42);
      const size_t payload = local + 30 + u16(local + 26) + u16(local + 28);
      e.items.emplace_back(zip.substr(at + 46, name), zip.substr(payload, size));
      at += 46 + name + u16(at + 30) + u16(at + 32);
    }
    return e;
  }

  std::string* find(const std::string& suffix) {
    for (auto& [name, content] : items)
      if (name.size() >= suffix.size() &&
          name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
        return &content;
    return nullptr;
  }

  std::string zip() const {
    std::string out, central;
    auto put = [](std::string& to, uint64_t v, int bytes) {
      for (int i = 0; i < bytes; ++i) to += static_cast<char>(v >> (8 * i));
    };
    for (const auto& [name, content] : items) {
      const size_t start = out.size();
      auto common = [&](std::string& to) {
        put(to, 0, 2);
        put(to, 0, 2);
        put(to, 0, 2);
        put(to, 0, 2);
        put(to, crc32_of(content), 4);
        put(to, content.size(), 4);
        put(to, content.size(), 4);
        put(to, name.size(), 2);
        put(to, 0, 2);
      };
      out += "PK\3\4";
      put(out, 20, 2);
      common(out);
      out += name + content;
      central += "PK\1\2";
      put(central, 20, 2);
      put(central, 20, 2);
      common(central);
      put(central, 0, 2);
      put(central, 0, 2);
      put(central, 0, 2);
      put(central, 0, 4);
      put(central, start, 4);
      central += name;
    }
    const size_t begin = out.size();
    out += central + "PK\5\6";
    put(out, 0, 4);
    put(out, items.size(), 2);
    put(out, items.size(), 2);
    put(out, central.size(), 4);
    put(out, begin, 4);
    put(out, 0, 2);
    return out;
  }
};

void replace_first(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
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

struct Damage {
  const char* name;
  const char* message;  // part of the error text
  std::function<std::string(const std::string&)> make;
};

std::string edited(const std::string& zip, const std::string& record,
                   const std::function<void(std::string&)>& edit) {
  Entries e = Entries::of(zip);
  std::string* content = e.find(record);
  if (content == nullptr) return "";
  edit(*content);
  return e.zip();
}

std::string without(const std::string& zip, const std::string& record) {
  Entries e = Entries::of(zip);
  std::erase_if(e.items, [&](const auto& item) {
    return item.first.size() >= record.size() && item.first.ends_with(record);
  });
  return e.zip();
}

TEST_F(Cli, BrokenArchivesGiveOneErrorWithThePlace) {
  const std::string good = read_all(digits_);
  const std::vector<Damage> damages = {
      {"empty", "", [](const std::string&) { return std::string(); }},
      {"noise", "", [](const std::string&) { return std::string("PK\3\4 this is no archive"); }},
      {"half", "", [](const std::string& z) { return z.substr(0, z.size() / 2); }},
      {"no end record", "", [](const std::string& z) { return z.substr(0, z.size() - 30); }},
      {"no graph", "model", [](const std::string& z) { return without(z, "models/model.json"); }},
      {"no weights config", "weights",
       [](const std::string& z) { return without(z, "model_weights_config.json"); }},
      {"no payload", "weight_0", [](const std::string& z) { return without(z, "data/weights/weight_0"); }},
      {"bad json", "",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) { j[j.size() / 2] = '\1'; });
       }},
      {"json cut", "",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) { j.resize(j.size() / 3); });
       }},
      {"json is a list", "",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) { j = "[1, 2]"; });
       }},
      {"undefined value", "nowhere",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) {
           replace_first(j, "{\"name\": \"self\", \"arg\": {\"as_tensor\": {\"name\": \"",
                         "{\"name\": \"self\", \"arg\": {\"as_tensor\": {\"name\": \"nowhere_");
         });
       }},
      {"negative size", "",
       [](const std::string& z) {
         return edited(z, "model_weights_config.json",
                       [](std::string& j) { replace_first(j, "{\"as_int\": 16}", "{\"as_int\": -16}"); });
       }},
      {"size beyond the payload", "",
       [](const std::string& z) {
         return edited(z, "model_weights_config.json",
                       [](std::string& j) { replace_first(j, "{\"as_int\": 16}", "{\"as_int\": 1600000}"); });
       }},
      {"overflowing size", "",
       [](const std::string& z) {
         return edited(z, "model_weights_config.json", [](std::string& j) {
           replace_first(j, "{\"as_int\": 16}", "{\"as_int\": 4611686018427387904}");
         });
       }},
      {"zero scale", "scale",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) {
           const size_t at = j.find("{\"name\": \"scale\", \"arg\": {\"as_float\": ");
           const size_t from = at + 38, to = j.find('}', from);
           j.replace(from, to - from, "0.0");
         });
       }},
      {"zero point out of range", "zero point",
       [](const std::string& z) {
         return edited(z, "models/model.json", [](std::string& j) {
           const size_t at = j.find("{\"name\": \"zero_point\", \"arg\": {\"as_int\": ");
           const size_t from = at + 41, to = j.find('}', from);
           j.replace(from, to - from, "999");
         });
       }},
  };
  write_all(file("old.pt2"), "what was there");
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.name);
    const std::string path = file("broken.pt2");
    write_all(path, damage.make(good));
    const Done done = zp({"compile", path, "-o", file("old.pt2")});
    EXPECT_EQ(done.code, 1) << done.err;
    EXPECT_NE(done.err.find("error"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find("broken.pt2"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find(damage.message), std::string::npos) << done.err;
    EXPECT_EQ(read_all(file("old.pt2")), "what was there");
  }
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

}  // namespace
