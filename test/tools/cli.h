// What the tests of the program share: running it in a child process, and archives taken apart and put
// together again.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace zp::test {

namespace fs = std::filesystem;

struct Done {
  int code = -1;  // negative: ended by that signal
  std::string out, err;
};

inline std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_all(const fs::path& path, const std::string& bytes) {
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

  // `prepare` runs in the child, before the program.
  Done zp(std::vector<std::string> arguments, const std::function<void()>& prepare = {}) const {
    arguments.insert(arguments.begin(), ZP_BINARY);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    const std::string out = file("stdout"), err = file("stderr");
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
      ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
      if (prepare) prepare();
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

inline uint32_t crc32_of(const std::string& data) {
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
    for (const auto& item : items) {
      const std::string &name = item.first, &content = item.second;
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

inline void replace_first(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
}

}  // namespace zp::test
