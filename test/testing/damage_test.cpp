// Every text test, damaged at random, read with the real operators: a model or an error with a place, never a
// crash. What can be read is verified and printed, and reads back equal.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "support/atomic_file.h"

namespace zp {
namespace {

std::vector<std::string> all_texts() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ZP_SOURCE_DIR "/test/zp"))
    if (entry.path().extension() == ".zp") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const std::string& path : paths) {
    std::string text = *read_file(path);
    text.resize(std::min(text.find("\n# ----"), text.size()));
    if (text.size() < 20000) texts.push_back(std::move(text));
  }
  return texts;
}

std::string damaged(std::string text, const std::vector<std::string>& others, std::mt19937& rng) {
  constexpr std::string_view kCharacters("%@#(){}[]<>:,=\"-+*/.0123456789aexs \n\0", 37);
  for (unsigned n = 1 + rng() % 3; n > 0; --n) {
    if (text.empty()) text = "z";
    const size_t at = rng() % text.size();
    switch (rng() % 7) {
      case 0: text.erase(at, 1 + rng() % 6); break;
      case 1: text.insert(at, 1, kCharacters[rng() % kCharacters.size()]); break;
      case 2: text[at] = static_cast<char>(rng()); break;
      case 3: text[at] = kCharacters[rng() % kCharacters.size()]; break;
      case 4: text.insert(at, text.substr(rng() % text.size(), rng() % 30)); break;
      case 5: {  // a number becomes another
        const size_t digit = text.find_first_of("0123456789", at);
        constexpr std::string_view kNumbers[] = {
            "0", "-1", "1", "3", "2147483648", "9223372036854775807", "-9223372036854775808", "1e30", "nan"};
        if (digit != std::string::npos) text.replace(digit, 1, kNumbers[rng() % 9]);
        break;
      }
      default: {  // a line of another test
        const std::string& other = others[rng() % others.size()];
        const size_t begin = other.find('\n', rng() % other.size());
        const size_t line = text.find('\n', at);
        if (begin == std::string::npos || line == std::string::npos) break;
        text.insert(line, other.substr(begin, other.find('\n', begin + 1) - begin));
        break;
      }
    }
  }
  return text;
}

TEST(Damage, TextTestsNeverCrashTheReader) {
  const std::vector<std::string> texts = all_texts();
  ASSERT_GT(texts.size(), 10u);
  const char* rounds_text = std::getenv("ZP_DAMAGE_ROUNDS");
  const int rounds = rounds_text != nullptr ? std::atoi(rounds_text) : 4000;
  const char* seed_text = std::getenv("ZP_DAMAGE_SEED");
  std::mt19937 rng(seed_text != nullptr ? static_cast<unsigned>(std::atoi(seed_text)) : 1);
  int read = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string text = damaged(texts[rng() % texts.size()], texts, rng);
    SCOPED_TRACE(text);
    if (const char* keep = std::getenv("ZP_DAMAGE_KEEP"); keep != nullptr) {
      ASSERT_TRUE(write_file(keep, text).ok());
    }
    const auto model = parse_model(text, ops::table(), "t.zp");
    if (!model) {
      ASSERT_GT(model.error().first().where.line, 0u) << model.error().str();
      continue;
    }
    ++read;
    (void)verify(**model);
    const std::string once = print(**model);
    const auto again = parse_model(once, ops::table(), "printed");
    ASSERT_TRUE(again.ok()) << once << "\n" << again.error().str();
    ASSERT_EQ(print(**again), once);
  }
  EXPECT_GT(read, rounds / 50);
}

// What random texts found once: each must be read or refused, and what is read must print and read back
// equal.
TEST(Damage, TextsThatOnceBrokeSomething) {
  const char* const texts[] = {
      // parameters of a recurrent layer without dims
      "zp 1\ngraph main(%x: f32[1,2,3], %h: f32[1,2,3], %w: f32[]) -> () {\n"
      "  %a, %b = gru(%x, %h, %w, %w) {has_biases: false}\n}\n",
      // -1 where the other extents are certainly too large
      "zp 1\nsym s0 in 1..64\ngraph main(%x: f32[2,3]) -> () {\n"
      "  %y = reshape(%x) {shape: [3,2*s0+1,-1,8]}\n}\n",
      // coordinates picked from a dim that has none, with scales along another
      "zp 1\n@s = f32[2] [0.5,0.25]\ngraph main(%x: i8(axis 1: @s)[0,2], %n: i64[?]) -> () {\n"
      "  %y = repeat_interleave(%x, %n) {dim: 0, output_size: 3}\n}\n",
      // negations and products that overflow
      "zp 1\ngraph main(%x: f32[2,3]) -> () {\n"
      "  %y = diagonal(%x) {offset: -9223372036854775808, dim1: 0, dim2: 1}\n}\n",
      "zp 1\n@s = f32[2] [0.5,0.25]\n"
      "graph main(%x: i8(axis 0: @s)[2,4611686018427387904,4]) -> () {\n"
      "  %y = permute(%x) {dims: [1,0,2]}\n}\n",
  };
  for (const char* text : texts) {
    SCOPED_TRACE(text);
    const auto model = parse_model(text, ops::table(), "t.zp");
    if (!model) {
      EXPECT_FALSE(model.error().first().id.empty()) << model.error().str();
      continue;
    }
    (void)verify(**model);
    const std::string once = print(**model);
    const auto again = parse_model(once, ops::table(), "printed");
    ASSERT_TRUE(again.ok()) << once << "\n" << again.error().str();
    EXPECT_EQ(print(**again), once);
  }
}

// Calls of every operator with operands and attributes that are legal text, but seldom make sense: inference
// refuses them with a message or gives types; the verifier agrees with what was inferred.
class RandomCalls {
 public:
  explicit RandomCalls(unsigned seed) : rng_(seed) {}

  std::string text() {
    std::string out =
        "zp 1\nsym s0 in 1..64\nsym s1\n@s = f32[2] [0.5,0.25]\n@c = f32[2,3] [1,2,3,4,5,6]\ngraph main(";
    for (int i = 0; i < 6; ++i) out += (i > 0 ? ", %i" : "%i") + std::to_string(i) + ": " + type();
    out += ") -> () {\n  %i6 = const @c\n";
    int values = 7;
    for (int n = 0; n < 3; ++n) out += call(&values);
    return out + "}\n";
  }

 private:
  int pick(int n) { return static_cast<int>(rng_() % static_cast<unsigned>(n)); }
  bool chance(int n) { return pick(n) == 0; }
  std::string dtype() { return std::string(dtype_name(static_cast<DType>(1 + pick(kDTypeCount - 1)))); }
  std::string dim() {
    const char* dims[] = {"0",  "1",  "2",      "3", "4",     "8",
                          "s0", "s1", "2*s0+1", "?", "s0//2", "9223372036854775807"};
    return dims[chance(12) ? 11 : pick(11)];
  }
  std::string shape() {
    if (chance(12)) return "[*]";
    std::string out = "[";
    for (int i = pick(6); i > 0; --i) out += dim() + (i > 1 ? "," : "");
    return out + "]";
  }
  std::string quant() {
    const char* quants[] = {
        "u8(0.5, 3)",           "i8(0.25, 0)", "i8(axis 0: @s)", "i8<-127:127>(axis 1: @s)",
        "i4(block [1,32]: @s)", "u8(dynamic)", "i32(0.125, 0)",  "i8(dynamic axis 0, none)"};
    return quants[pick(8)];
  }
  std::string type() {
    if (chance(12)) return chance(2) ? "int = " + dim() : chance(2) ? "bool" : "token";
    const std::string element = chance(3) ? quant() : chance(2) ? "f32" : dtype();
    return element + shape();
  }
  std::string integer() {
    const char* numbers[] = {"0",
                             "1",
                             "2",
                             "-1",
                             "-2",
                             "3",
                             "5",
                             "100",
                             "-100",
                             "2147483648",
                             "9223372036854775807",
                             "-9223372036854775808"};
    return numbers[chance(4) ? pick(12) : pick(6)];
  }
  std::string real() {
    const char* numbers[] = {"0.0", "1.0", "-0.5", "1e300", "-1e-300", "inf", "-inf", "nan", "0.1"};
    return numbers[pick(9)];
  }
  std::string word() {
    const char* words[] = {"",     "same",    "valid", "mean",  "sum",       "none",    "reflect", "constant",
                           "tanh", "nearest", "floor", "trunc", "ij,jk->ik", "...i->i", "minmax",  "x"};
    return "\"" + std::string(words[pick(16)]) + "\"";
  }
  std::string list(const auto& item) {
    std::string out = "[";
    for (int i = pick(5); i > 0; --i) out += item() + (i > 1 ? "," : "");
    return out + "]";
  }
  std::string value(AttrKind kind) {
    const auto number = [this] {
      return chance(3) ? std::string(chance(2) ? "true" : "false") : chance(2) ? integer() : real();
    };
    switch (kind) {
      case AttrKind::Int: return integer();
      case AttrKind::Float: return real();
      case AttrKind::Bool: return chance(2) ? "true" : "false";
      case AttrKind::String: return word();
      case AttrKind::DType: return dtype();
      case AttrKind::Number: return number();
      case AttrKind::Dim: return chance(2) ? dim() : integer();
      case AttrKind::Ints: return list([this] { return integer(); });
      case AttrKind::Floats: return list([this] { return real(); });
      case AttrKind::Dims: return list([this] { return chance(2) ? dim() : integer(); });
      case AttrKind::Strings: return list([this] { return word(); });
      case AttrKind::Quant: return chance(8) ? "none" : quant();
      default: break;
    }
    if (chance(4)) return "none";
    switch (kind) {
      case AttrKind::OptInt: return integer();
      case AttrKind::OptFloat: return real();
      case AttrKind::OptBool: return chance(2) ? "true" : "false";
      case AttrKind::OptDType: return dtype();
      case AttrKind::OptNumber: return number();
      case AttrKind::OptDim: return value(AttrKind::Dim);
      case AttrKind::OptDims: return value(AttrKind::Dims);
      default: return value(AttrKind::Floats);
    }
  }
  std::string call(int* values) {
    const OpDef* op = nullptr;
    do op = ops::table().all()[rng_() % ops::table().all().size()];
    while (op == &kReturnOp || op == &kConstOp || op == &kOpaqueOp);
    std::string out = "  ";
    const size_t results = op->has(kVariadicResults) ? static_cast<size_t>(pick(4)) : op->results.size();
    for (size_t r = 0; r < results; ++r)
      out += (r > 0 ? ", %i" : "%i") + std::to_string(*values + static_cast<int>(r));
    out += (results > 0 ? " = " : "") + std::string(op->name) + "(";
    size_t required = 0;
    for (const OperandDef& o : op->operands) required += !o.optional && !o.variadic;
    const size_t most = op->variadic() ? required + static_cast<size_t>(pick(4)) : op->operands.size();
    const size_t count =
        required + (most > required ? static_cast<size_t>(pick(static_cast<int>(most - required) + 1)) : 0);
    for (size_t i = 0; i < count; ++i) {
      const bool may_miss = op->operands[std::min(i, op->operands.size() - 1)].optional;
      out += i > 0 ? ", " : "";
      out += may_miss && chance(5) ? "_"
             : chance(8)           ? (chance(2) ? "1.5" : "3")
                                   : "%i" + std::to_string(pick(*values));
    }
    out += ")";
    std::string attrs;
    for (const AttrField& f : op->attrs != nullptr ? op->attrs->fields : List<AttrField>())
      if (!chance(3)) attrs += (attrs.empty() ? "" : ", ") + std::string(f.name) + ": " + value(f.kind);
    if (!attrs.empty()) out += " {" + attrs + "}";
    if (results == 1 && chance(6)) out += " : " + type();
    for (int i = op->trait == Trait::Structural ? pick(3) : 0; i > 0; --i) {
      out += "\n    region (%a: " + type() + ") -> (" + (chance(2) ? "%a" : "") + ") {\n    }";
    }
    *values += static_cast<int>(results);
    return out + "\n";
  }

  std::mt19937 rng_;
};

TEST(Damage, RandomCallsNeverCrashInference) {
  const char* rounds_text = std::getenv("ZP_DAMAGE_ROUNDS");
  const unsigned rounds = rounds_text != nullptr ? static_cast<unsigned>(std::atoi(rounds_text)) : 20000;
  const char* seed_text = std::getenv("ZP_DAMAGE_SEED");
  const unsigned first = seed_text != nullptr ? static_cast<unsigned>(std::atoi(seed_text)) * 1000003u : 0;
  unsigned read = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    const std::string text = RandomCalls(first + round).text();
    SCOPED_TRACE(text);
    if (const char* keep = std::getenv("ZP_DAMAGE_KEEP"); keep != nullptr) {
      ASSERT_TRUE(write_file(keep, text).ok());
    }
    const auto model = parse_model(text, ops::table(), "t.zp");
    if (!model) {
      const Error& e = model.error();
      ASSERT_GT(e.first().where.line, 0u) << e.str();
      // The random text is meant to be well formed: only inference and types may refuse it.
      ASSERT_FALSE(e.first().id.empty()) << e.str();
      continue;
    }
    ++read;
    for (const Diagnostic& d : verify(**model)) ASSERT_TRUE(d.id != "type") << d.str();
    const std::string once = print(**model);
    const auto again = parse_model(once, ops::table(), "printed");
    ASSERT_TRUE(again.ok()) << once << "\n" << again.error().str();
    ASSERT_EQ(print(**again), once);
  }
  EXPECT_GT(read, rounds / 200);
}

}  // namespace
}  // namespace zp
