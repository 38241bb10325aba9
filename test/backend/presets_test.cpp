// The presets against the dictionaries of torch 2.13 (test/backend/data/torch_presets.txt), and every
// dictionary through import and export: text and dictionary hold the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "backend/backend.h"
#include "backend/config_access.h"
#include "backend/import_pattern.h"
#include "backend/torch_names.h"

namespace zp::backend {
namespace {

using zeropoint::BackendConfig;
using zeropoint::ConfigAccess;
using zeropoint::PatternConfig;

const std::map<std::string, BackendConfig>& dictionaries() {
  static const std::map<std::string, BackendConfig> all = [] {
    std::map<std::string, BackendConfig> out;
    std::ifstream file(std::string(ZP_SOURCE_DIR) + "/test/backend/data/torch_presets.txt");
    PatternConfig keys;
    std::string name;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("preset ")) {
        name = line.substr(7);
        out[name].set_name(name);
      } else if (line.starts_with("keys ")) {
        std::vector<std::string> problems;
        keys = ConfigAccess::read_entry(line.substr(5), &problems);
        EXPECT_TRUE(problems.empty()) << line;
      } else if (!line.starts_with('#')) {
        auto config = unspell(line);
        if (!config) ADD_FAILURE() << line;
        fill_from_table(line, &*config);
        config->observation_type = keys.observation_type;
        config->dtype_configs = keys.dtype_configs;
        config->num_tensor_args_to_observation_type = keys.num_tensor_args_to_observation_type;
        out[name].set_backend_pattern_config(std::move(*config));
      }
    }
    return out;
  }();
  return all;
}

using Entries = std::map<std::string, std::vector<std::pair<std::string, std::string>>>;
Entries entries_of(const BackendConfig& config) {
  Entries out;
  for (const PatternConfig& c : config.configs()) out[spell(c)] = ConfigAccess::keys_of(c);
  return out;
}

TEST(Presets, DictionariesHaveTheirSizes) {
  const std::map<std::string, size_t> sizes = {
      {"native", 194},    {"fbgemm", 192},      {"x86", 192},
      {"qnnpack", 190},   {"onednn", 221},      {"tensorrt", 149},
      {"executorch", 84}, {"qnnpack_pt2e", 13}, {"test_only_legacy_native", 194}};
  EXPECT_EQ(dictionaries().size(), sizes.size());
  for (const auto& [name, size] : sizes) {
    EXPECT_EQ(dictionaries().at(name).configs().size(), size) << name;
    EXPECT_TRUE(dictionaries().at(name).problems().empty()) << name;
  }
}

// Dictionary -> JSON -> text -> dictionary: every entry with every key.
TEST(Presets, RoundTripOfEveryDictionary) {
  for (const auto& [name, dictionary] : dictionaries()) {
    const BackendConfig read = BackendConfig::from_json(dictionary.to_json());
    EXPECT_TRUE(read.problems().empty()) << name;
    const auto text = read.to_zpb();
    ASSERT_TRUE(text.ok()) << name << ": " << text.errors.front();
    auto backend = Backend::parse(text.text, name + ".zpb");
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    EXPECT_EQ(entries_of(ConfigAccess::of_backend(**backend)), entries_of(dictionary)) << name;
    // And the text is a fixed point of reading and printing.
    auto again = Backend::parse((*backend)->print(), name + ".zpb");
    ASSERT_TRUE(again.ok()) << again.error().str();
    EXPECT_EQ((*again)->print(), (*backend)->print());
    EXPECT_EQ((*again)->json(), (*backend)->json());
  }
}

TEST(Presets, WhatNoPatternCanSayIsNamedOnce) {
  const auto text = dictionaries().at("native").to_zpb();
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.unsaid.size(), 7u);  // shape, size, three cells, two embedding bags
  for (const std::string& line : text.unsaid) EXPECT_NE(line.find("pattern \""), std::string::npos) << line;
}

// Chains of operators that a backend takes, each with its types and observation as text.
struct Expansion {
  std::set<std::string> chains;
};
Expansion expansion_of(const Backend& backend) {
  Expansion out;
  for (size_t p = 0; p < backend.patterns().size(); ++p) {
    for (const rewrite::Variant& variant : backend.pattern_set().variants_of(p)) {
      std::vector<std::string> chains = {""};
      for (const auto& step : variant.steps) {
        std::vector<std::string> longer;
        for (const std::string& head : chains)
          for (const OpDef* op : step.ops)
            longer.push_back(head + (head.empty() ? "" : ", ") + std::string(op->name));
        chains = std::move(longer);
      }
      out.chains.insert(chains.begin(), chains.end());
    }
  }
  return out;
}

// The chains of a dictionary: each spelling is an alias of one (or of several: interpolate is ten operators).
std::set<std::string> chains_of(const BackendConfig& config, size_t* unsaid) {
  std::set<std::string> out;
  for (const PatternConfig& c : config.configs()) {
    const CanonPattern canon = canonical(c);
    *unsaid += !canon.ok();
    if (!canon.ok()) continue;
    std::vector<std::string> chains = {""};
    for (const CanonNode& node : canon.nodes) {
      std::vector<std::string> longer;
      for (const std::string& head : chains)
        for (const std::string& op : node.ops) longer.push_back(head + (head.empty() ? "" : ", ") + op);
      chains = std::move(longer);
    }
    out.insert(chains.begin(), chains.end());
  }
  return out;
}

// What a preset has beyond its dictionary: torch fuses a batch norm away and then matches what it fused.
bool of_two_stages(std::string chain, const std::set<std::string>& known) {
  const size_t at = chain.find(", batch_norm");
  if (at == std::string::npos || !known.contains(chain.substr(0, at + 12))) return false;
  return known.contains(chain.erase(at, 12));
}

TEST(Presets, FilesExpandToTheirDictionaries) {
  for (const char* name : {"native", "fbgemm", "x86", "qnnpack", "onednn", "tensorrt", "executorch"}) {
    auto backend = Backend::load(name);
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    size_t unsaid = 0;
    const std::set<std::string> wanted = chains_of(dictionaries().at(name), &unsaid);
    const std::set<std::string> got = expansion_of(**backend).chains;
    EXPECT_LE(unsaid, 7u);
    for (const std::string& chain : wanted) EXPECT_TRUE(got.contains(chain)) << name << " lacks " << chain;
    for (const std::string& chain : got)
      EXPECT_TRUE(wanted.contains(chain) || of_two_stages(chain, wanted)) << name << " adds " << chain;
  }
}

// Dtypes and observations of a file's spellings are those of the dictionary; exceptions are listed.
TEST(Presets, FilesSayWhatTheirDictionariesSay) {
  for (const char* name : {"native", "fbgemm", "x86", "qnnpack", "onednn", "tensorrt", "executorch"}) {
    auto backend = Backend::load(name);
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    const Entries got = entries_of(ConfigAccess::of_backend(**backend));
    const Entries wanted = entries_of(dictionaries().at(name));
    for (const auto& [spelled, keys] : wanted) {
      const auto mine = got.find(spelled);
      if (mine == got.end()) {
        const auto config = unspell(spelled);
        // No pattern can say them; the sum of onednn is one chain for all its nested spellings, which the
        // table has.
        EXPECT_TRUE(config && !canonical(*config).ok()) << name << " lacks " << spelled;
        continue;
      }
      if (mine->second == keys) continue;
      const bool identity =
          spelled.find("ropout") != std::string::npos;   // shares its grid: its values are its input's
      const bool cell = spelled.starts_with("nn.rnn.");  // biases are among the weights here
      // The weight slot of arithmetic and of fixed ranges, which nothing reads, is not repeated.
      const bool idle = keys[1].second.find("weight_dtype") != std::string::npos &&
                        mine->second[1].second.find("weight_dtype") == std::string::npos;
      EXPECT_TRUE(identity || cell || idle)
          << name << " " << spelled << "\n  " << keys[1].second << "\n  " << mine->second[1].second;
    }
  }
}

TEST(Presets, AreAtMost120LinesLong) {
  for (const char* name : {"native", "fbgemm", "x86", "qnnpack", "onednn", "tensorrt", "executorch"}) {
    const std::string_view text = Backend::builtin_text(name);
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 120) << name;
    EXPECT_GT(text.size(), 100u);
  }
}

// Every pair and triple of the table: forward and nested form are one tree.
TEST(Presets, ForwardAndNestedSpellingsGiveOneTree) {
  size_t count = 0;
  for (std::string_view spelled : table_spellings()) {
    const auto forward = unspell(spelled);
    ASSERT_TRUE(forward) << spelled;
    if (forward->complex_format || !forward->is_tuple) continue;
    PatternConfig nested;
    nested.set_pattern_complex_format(*forward->key());
    const CanonPattern a = canonical(*forward), b = canonical(nested);
    ASSERT_EQ(a.ok(), b.ok()) << spelled;
    if (!a.ok()) continue;
    EXPECT_EQ(a.text(false, nullptr), b.text(false, nullptr));
    auto with = [](const std::string& text) {
      return Backend::parse("backend t version 1\n pattern p " + text + "\n", "t.zpb");
    };
    std::string legacy = a.nodes.front().ops.front();
    for (size_t i = 1; i < a.nodes.size(); ++i)
      legacy = fmt::format("({}, {})", a.nodes[i].ops.front(), legacy);
    const auto one = with(a.text(false, nullptr)), two = with(": legacy " + legacy);
    if (a.nodes.front().ops.size() > 1) continue;
    // `add` and `mul` close no chain; they open many.
    ASSERT_TRUE(one.ok()) << spelled << one.error().str();
    ASSERT_TRUE(two.ok()) << spelled << two.error().str();
    EXPECT_EQ((*one)->print(), (*two)->print());
    EXPECT_EQ((*one)->json(), (*two)->json());
    ++count;
  }
  EXPECT_GT(count, 50u);
}

}  // namespace
}  // namespace zp::backend
