// Broken and hostile files through the program: each gives one clear error that names the place, exit code 1,
// and leaves the output file as it was. One table; a row damages a good archive of the tests.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli.h"

namespace zp::test {
namespace {

using Edit = std::function<void(std::string&)>;

struct Broken {
  const char* name;
  const char* message;  // part of the error
  std::function<std::string(const std::string&)> make;
  const char* archive = "quantized";
};

// The archive with one record edited; checksums are right again.
std::function<std::string(const std::string&)> record(std::string suffix, Edit edit) {
  return [=](const std::string& zip) {
    Entries e = Entries::of(zip);
    std::string* content = e.find(suffix);
    if (content == nullptr) return "no record " + suffix;
    edit(*content);
    return e.zip();
  };
}

std::function<std::string(const std::string&)> swap(std::string suffix, std::string from, std::string to) {
  return record(std::move(suffix), [=](std::string& text) { replace_first(text, from, to); });
}

// Text of the program, and of what the weights are.
std::function<std::string(const std::string&)> program(std::string from, std::string to) {
  return swap("models/model.json", std::move(from), std::move(to));
}
std::function<std::string(const std::string&)> weights(std::string from, std::string to) {
  return swap("model_weights_config.json", std::move(from), std::move(to));
}

std::function<std::string(const std::string&)> without(std::string suffix) {
  return [=](const std::string& zip) {
    Entries e = Entries::of(zip);
    std::erase_if(e.items, [&](const auto& item) { return item.first.ends_with(suffix); });
    return e.zip();
  };
}

// A field of the directory entry of record `suffix` (or the first one) overwritten.
std::function<std::string(const std::string&)> directory(std::string suffix, size_t field, uint64_t value,
                                                         size_t bytes) {
  return [=](const std::string& good) {
    std::string zip = good;
    for (size_t at = zip.find("PK\1\2"); at != std::string::npos; at = zip.find("PK\1\2", at + 4)) {
      const auto length = static_cast<size_t>(static_cast<uint8_t>(zip[at + 28]));
      if (!zip.substr(at + 46, length).ends_with(suffix)) continue;
      for (size_t i = 0; i < bytes; ++i) zip[at + field + i] = static_cast<char>(value >> (8 * i));
      return zip;
    }
    return "no record " + suffix;
  };
}
// A field of the zip64 end record overwritten.
std::function<std::string(const std::string&)> end_record(size_t field, uint64_t value, size_t bytes) {
  return [=](const std::string& good) {
    std::string zip = good;
    const size_t at = zip.rfind("PK\6\6");
    for (size_t i = 0; i < bytes; ++i) zip[at + field + i] = static_cast<char>(value >> (8 * i));
    return zip;
  };
}
constexpr size_t kFlags = 8, kMethod = 10, kCrc = 16, kPacked = 20, kSize = 24, kOffset = 42;

std::string cut(const std::string& zip, size_t tail) { return zip.substr(0, zip.size() - tail); }

std::string repeated(const std::string& text, size_t count) {
  std::string all;
  while (count-- > 0) all += text;
  return all;
}

std::string nested_graphs(size_t depth) {
  const std::string open =
      "{\"as_graph\": {\"name\": \"g\", \"graph\": {\"inputs\": [], \"outputs\": [], \"nodes\": "
      "[{\"target\": \"t\", "
      "\"outputs\": [], \"metadata\": {}, \"inputs\": [{\"name\": \"\", \"arg\": ";
  return repeated(open, depth) + "{\"as_int\": 1}" + repeated("}]}]}}}", depth);
}

const std::vector<Broken>& container() {
  static const std::vector<Broken> rows = {
      {"empty file", "0 bytes", [](const std::string&) { return std::string(); }},
      {"text", "no zip archive", [](const std::string&) { return std::string("hello\n"); }},
      {"only a magic number", "zip.end", [](const std::string&) { return std::string("PK\3\4 no archive"); }},
      {"first half", "truncated", [](const std::string& z) { return z.substr(0, z.size() / 2); }},
      {"end record cut", "truncated", [](const std::string& z) { return cut(z, 30); }},
      {"directory beyond the file", "zip.", end_record(48, 0x7FFFFFFF, 8)},
      {"directory longer than the file", "zip.", end_record(40, 0x7FFFFFFF, 8)},
      {"more entries than the directory holds", "zip.",
       [](const std::string& z) { return end_record(32, 60000, 8)(end_record(24, 60000, 8)(z)); }},
      {"name of an entry that does not end", "zip.", directory("weight_0", 28, 0xFFF0, 2)},
      {"entry beyond the file", "weight_0' (100000000 bytes",
       [](const std::string& z) {
         return directory("weight_0", kSize, 100000000, 4)(directory("weight_0", kPacked, 100000000, 4)(z));
       }},
      {"offset beyond the file", "weight_0' (12 bytes at 4000000000)",
       directory("weight_0", kOffset, 4000000000u, 4)},
      {"overlapping entries", "overlaps", directory("weight_1", kOffset, 0, 4)},
      {"two sizes of a stored entry", "a size of 5", directory("weight_0", kSize, 5, 4)},
      {"encrypted entry", "weight_0' is encrypted", directory("weight_0", kFlags, 1, 2)},
      {"unknown method", "compression method 14", directory("weight_0", kMethod, 14, 2)},
      {"deflated garbage", "zip.inflate", directory("models/model.json", kMethod, 8, 2)},
      {"impossible ratio", "zip.bomb",
       [](const std::string& z) {
         return directory("models/model.json", kSize, 0xF0000000u,
                          4)(directory("models/model.json", kMethod, 8, 2)(z));
       }},
      {"entry twice", "two entries are named",
       [](const std::string& z) {
         Entries e = Entries::of(z);
         e.items.push_back(e.items.front());
         return e.zip();
       }},
      {"checksum of the program", "model.json': its bytes have CRC",
       directory("models/model.json", kCrc, 7, 4)},
      {"checksum of the configuration", "weights_config.json': its bytes have CRC",
       directory("model_weights_config.json", kCrc, 7, 4)},
      {"checksum of scales that are read", "weight_1': its bytes have CRC",
       directory("weight_1", kCrc, 7, 4)},
      {"no program", "without models/*.json", without("models/model.json")},
      {"no archive format", "archive_format", without("archive_format")},
      {"no archive version", "record 'archive_version' is missing", without("archive_version")},
      {"no weights configuration", "model_weights_config.json' is missing",
       without("model_weights_config.json")},
      {"no constants configuration", "model_constants_config.json' is missing",
       without("model_constants_config.json")},
      {"no weight", "record 'data/weights/weight_0' is missing", without("weight_0")},
      {"archive of another kind", "not 'pt2'", record("archive_format", [](std::string& t) { t = "onnx"; })},
      {"archive version", "archive version '7'", record("archive_version", [](std::string& t) { t = "7"; })},
      {"big-endian", "big-endian", record("byteorder", [](std::string& t) { t = "big"; })},
      {"pickle of a subclass cut", "weight_0",
       record("data/weights/weight_0", [](std::string& t) { t.resize(t.size() / 2); }), "subclass"},
      {"state dict of torch 2.7 cut", "serialized_state_dict.pt",
       record("serialized_state_dict.pt", [](std::string& t) { t.resize(100); }), "generation_a"},
      {"schema of torch 2.4", "schema 5.1 (torch 2.13.0+cpu): only major version 8",
       program("\"schema_version\": {\"major\": 8, \"minor\": 20}",
               "\"schema_version\": {\"major\": 5, \"minor\": 1}")},
      {"AOTInductor package", "AOTInductor package: it holds compiled code",
       [](const std::string&) {
         Entries e;
         e.items = {{"m/archive_format", "pt2"},
                    {"m/archive_version", "0"},
                    {"m/data/aotinductor/model/a.so", "\177ELF"}};
         return e.zip();
       }},
      {"TorchScript", "TorchScript archive; export the model",
       [](const std::string&) {
         Entries e;
         e.items = {{"m/data.pkl", "."}, {"m/code/__torch__.py", "x"}, {"m/version", "3"}};
         return e.zip();
       }},
      {"torch.save file", "torch.save file",
       [](const std::string&) {
         Entries e;
         e.items = {{"m/data.pkl", "."}, {"m/version", "3"}};
         return e.zip();
       }},
  };
  return rows;
}

const std::vector<Broken>& texts() {
  static const std::vector<Broken> rows = {
      {"program is a list", "pt2.json", record("models/model.json", [](std::string& t) { t = "[1, 2]"; })},
      {"program is nothing", "pt2.json", record("models/model.json", [](std::string& t) { t = ""; })},
      {"program ends early", "pt2.json",
       record("models/model.json", [](std::string& t) { t.resize(t.size() / 3); })},
      {"control character", "pt2.json", program("\"nodes\": [", "\"nodes\": [\1")},
      {"bytes that are no UTF-8", "pt2.json", program("\"name\": \"linear\"", "\"name\": \"\xFF\xFE\"")},
      {"deep lists", "pt2.json",
       record("models/model.json",
              [](std::string& t) { t = repeated("[", 200000) + repeated("]", 200000); })},
      {"deep objects", "pt2.json",
       record("models/model.json", [](std::string& t) { t = repeated("{\"graph_module\":", 200000); })},
      {"deep argument", "nested too deeply",
       program("\"inputs\": [{\"name\": \"input\", \"arg\": {\"as_tensor\"",
               "\"inputs\": [{\"name\": \"deep\", \"arg\": " +
                   repeated("{\"as_string_to_argument\": {\"a\": ", 300) + "{\"as_int\": 1}" +
                   repeated("}}", 300) + "}, {\"name\": \"input\", \"arg\": {\"as_tensor\"")},
      {"deep graphs", "graphs are nested more than 32 deep",
       program("\"inputs\": [{\"name\": \"input\", \"arg\": {\"as_tensor\"",
               "\"inputs\": [{\"name\": \"deep\", \"arg\": " + nested_graphs(40) +
                   "}, {\"name\": \"input\", \"arg\": {\"as_tensor\"")},
      {"no graph module", "no 'graph_module'", program("\"graph_module\"", "\"graph_modul\"")},
      {"no graph", "no 'graph'", program("\"graph\": {", "\"grap\": {")},
      {"no nodes", "no 'nodes'", program("\"nodes\": [", "\"node\": [")},
      {"no signature", "no 'signature'",
       program("\"signature\": {\"input_specs\"", "\"signatur\": {\"input_specs\"")},
      {"nodes are an object", "near byte", program("\"nodes\": [", "\"nodes\": {}, \"rest\": [")},
      {"nodes are null", "near byte", program("\"nodes\": [", "\"nodes\": null, \"rest\": [")},
      {"a node is text", "near byte", program("\"nodes\": [", "\"nodes\": [\"node\", ")},
      {"a target is a number", "a string is wanted",
       program("{\"target\": \"torch.ops.aten.linear.default\"", "{\"target\": 5")},
      {"a node without target", "node 'linear' (number 3) has no 'target'",
       program("{\"target\": \"torch.ops.aten.linear.default\"", "{\"goal\": \"linear\"")},
      {"an argument with two variants", "2 variants",
       program("{\"as_float\": 0.1}", "{\"as_float\": 0.1, \"as_int\": 1}")},
      {"an argument without variant", "0 variants", program("{\"as_float\": 0.1}", "{}")},
      {"an input of the graph without variant", "0 variants",
       program("\"inputs\": [{\"as_tensor\": {\"name\": \"b_weight\"}}", "\"inputs\": [{ }")},
      {"an empty entry of the signature", "empty entry",
       program("\"output_specs\": [{\"user_output\"", "\"output_specs\": [{}, {\"user_output\"")},
      {"an argument of an unknown variant", "'scale'", program("{\"as_float\": 0.1}", "{\"as_thing\": 0.1}")},
      {"a tensor without name", "no name",
       program("{\"as_tensor\": {\"name\": \"dequantize_per_tensor\"}}", "{\"as_tensor\": {}}")},
      {"a number that does not fit", "near byte",
       program("{\"as_int\": -127}", "{\"as_int\": 92233720368547758080}")},
      {"a value of no type", "gives no type for input 'x'",
       program("\"x\": {\"dtype\"", "\"y\": {\"dtype\"")},
      {"an element type that is not known", "input 'x'",
       program("\"x\": {\"dtype\": 7", "\"x\": {\"dtype\": 77")},
      {"signature of other length", "the graph has 6 inputs",
       program("{\"buffer\": {\"arg\": {\"name\": \"b_weight\"}, \"buffer_name\": \"weight\", "
               "\"persistent\": true}}, ",
               "")},
      {"an input of unknown kind", "unknown kind 'magic'",
       program("{\"user_input\": {\"arg\"", "{\"magic\": {\"arg\"")},
      {"empty range of a symbol", "the range 99..64 of 's14' is empty",
       program("\"min_val\": 1,", "\"min_val\": 99,"), "dynamic"},
      {"size that cannot be read", "Symbol(",
       program("\"expr_str\": \"Symbol('s14'", "\"expr_str\": \"Symbol("), "dynamic"},
      {"size of unknown function", "Magic", program("\"expr_str\": \"Symbol(", "\"expr_str\": \"Magic("),
       "dynamic"},
      {"size divided by nothing", "Integer(0))' divides by 0",
       record("models/model.json",
              [](std::string& t) {
                const size_t at = t.find("Symbol('s14'"), end = t.find(")", at) + 1;
                t.replace(at, end - at, "FloorDiv(" + t.substr(at, end - at) + ", Integer(0))");
              }),
       "dynamic"},
      {"size nested too deeply", "cannot read the symbolic expression",
       program("\"expr_str\": \"Symbol(",
               "\"expr_str\": \"" + repeated("Add(Integer(1), ", 100000) + "Symbol("),
       "dynamic"},
      {"negative size of an input", "x",
       record("models/model.json",
              [](std::string& t) {
                const size_t at = t.find("\"as_int\": ", t.find("\"sizes\"", t.find("\"x\": {\"dtype\"")));
                t.insert(at + 10, "-");
              })},
      {"undefined value", "'nowhere' is read before anything defines it",
       program("\"name\": \"input\", \"arg\": {\"as_tensor\": {\"name\": \"dequantize_per_tensor\"",
               "\"name\": \"input\", \"arg\": {\"as_tensor\": {\"name\": \"nowhere\"")},
      {"a value that depends on itself", "'linear' is read before anything defines it",
       program("\"name\": \"input\", \"arg\": {\"as_tensor\": {\"name\": \"dequantize_per_tensor\"",
               "\"name\": \"input\", \"arg\": {\"as_tensor\": {\"name\": \"linear\"")},
      {"a value defined twice", "'quantize_per_tensor' is defined twice",
       program("\"outputs\": [{\"as_tensor\": {\"name\": \"dequantize_per_tensor\"}}]",
               "\"outputs\": [{\"as_tensor\": {\"name\": \"quantize_per_tensor\"}}]")},
      {"an input defined twice", "'b_weight' is defined twice",
       program("{\"as_tensor\": {\"name\": \"b_scales\"}}", "{\"as_tensor\": {\"name\": \"b_weight\"}}")},
      {"undefined output", "'ghost'",
       program("\"outputs\": [{\"as_tensor\": {\"name\": \"dequantize_per_tensor_2\"}}, ",
               "\"outputs\": [{\"as_tensor\": {\"name\": \"ghost\"}}, ")},
      {"a weight that is not there", "'nobody' (input 'b_weight') is not in the archive",
       program("\"buffer_name\": \"weight\"", "\"buffer_name\": \"nobody\"")},
  };
  return rows;
}

const std::vector<Broken>& numbers() {
  const std::string size = "\"sizes\": [{\"as_int\": 3}, {\"as_int\": 4}]";
  const std::string stride = "\"strides\": [{\"as_int\": 4}, {\"as_int\": 1}]";
  const std::string offset = "\"storage_offset\": {\"as_int\": 0}";
  static const std::vector<Broken> rows = {
      {"negative size", "weight 'weight': size -3",
       weights(size, "\"sizes\": [{\"as_int\": -3}, {\"as_int\": 4}]")},
      {"overflowing sizes", "weight 'weight': its sizes and strides overflow",
       weights(size, "\"sizes\": [{\"as_int\": 4611686018427387904}, {\"as_int\": 4611686018427387904}]")},
      {"other rank", "weight 'weight': 1 sizes but 2 strides", weights(size, "\"sizes\": [{\"as_int\": 3}]")},
      {"size beyond the record", "record 'weight_0' has 12 bytes",
       weights(size, "\"sizes\": [{\"as_int\": 3000}, {\"as_int\": 4}]")},
      {"negative stride", "weight 'weight': size 3 with stride -4",
       weights(stride, "\"strides\": [{\"as_int\": -4}, {\"as_int\": 1}]")},
      {"overflowing stride", "weight 'weight': its sizes and strides overflow",
       weights(stride, "\"strides\": [{\"as_int\": 9223372036854775807}, {\"as_int\": 1}]")},
      {"stride beyond the record", "record 'weight_0' has 12 bytes",
       weights(stride, "\"strides\": [{\"as_int\": 400}, {\"as_int\": 1}]")},
      {"negative offset", "weight 'weight': storage offset -1",
       weights(offset, "\"storage_offset\": {\"as_int\": -1}")},
      {"offset beyond the record", "record 'weight_0' has 12 bytes",
       weights(offset, "\"storage_offset\": {\"as_int\": 1000000}")},
      {"overflowing offset", "weight 'weight': its sizes and strides overflow",
       weights(offset, "\"storage_offset\": {\"as_int\": 9223372036854775807}")},
      {"element type", "'weight': element type 99", weights("\"dtype\": 2", "\"dtype\": 99")},
      {"record above its folder", "'../../../etc/passwd' leaves the archive's folder",
       weights("\"path_name\": \"weight_0\"", "\"path_name\": \"../../../etc/passwd\"")},
      {"absolute record", "leaves the archive's folder",
       weights("\"path_name\": \"weight_0\"", "\"path_name\": \"/etc/passwd\"")},
      {"weight named twice", "two weights are named 'scales'",
       weights("\"weight\": {",
               "\"scales\": {\"path_name\": \"weight_1\", \"is_param\": false, "
               "\"use_pickle\": false, \"tensor_meta\": {\"dtype\": 7, \"sizes\": [], "
               "\"strides\": [], \"storage_offset\": {\"as_int\": 0}}}, \"weight\": {")},
      {"configuration is a list", "model_weights_config.json",
       record("model_weights_config.json", [](std::string& t) { t = "[]"; })},
      {"zero scale", "node 'quantize_per_tensor': error: pt2.scale: scale 0;",
       program("{\"as_float\": 0.1}", "{\"as_float\": 0.0}")},
      {"negative scale", "scale -0.1;", program("{\"as_float\": 0.1}", "{\"as_float\": -0.1}")},
      {"scale is not a number", "scale nan;", program("{\"as_float\": 0.1}", "{\"as_float\": \"NaN\"}")},
      {"infinite scale", "scale inf;", program("{\"as_float\": 0.1}", "{\"as_float\": \"Infinity\"}")},
      {"zero scale of a channel", "of channel or block 1 in 'scales'",
       record("weight_1", [](std::string& t) { t.replace(4, 4, std::string(4, '\0')); })},
      {"scale of a channel is not a number", "scale nan of channel or block 2",
       record("weight_1", [](std::string& t) { t.replace(8, 4, std::string("\0\0\xC0\x7F", 4)); })},
      {"zero point out of range", "zero point 999 is outside of i8 (-128..127)",
       program("\"name\": \"zero_point\", \"arg\": {\"as_int\": 2}",
               "\"name\": \"zero_point\", \"arg\": {\"as_int\": 999}")},
      {"zero point of a channel out of range", "zero point 512 of channel or block 0 in 'zeros'",
       record("weight_2", [](std::string& t) { t.replace(0, 2, std::string("\0\2", 2)); })},
      {"zero point that is no integer", "node 'quantize_per_tensor': error: pt2.zero_point: zero point 2.5",
       program("\"name\": \"zero_point\", \"arg\": {\"as_int\": 2}",
               "\"name\": \"zero_point\", \"arg\": {\"as_float\": 2.5}")},
      {"zero point beyond all integers", "zero point 1e+300",
       program("\"name\": \"zero_point\", \"arg\": {\"as_int\": 2}",
               "\"name\": \"zero_point\", \"arg\": {\"as_float\": 1e300}")},
      {"range outside of the storage", "range -1000..127",
       program("\"name\": \"quant_min\", \"arg\": {\"as_int\": -127}",
               "\"name\": \"quant_min\", \"arg\": {\"as_int\": -1000}")},
      {"fewer scales than channels", "2 scales",
       [](const std::string& z) {
         return swap(
             "model_weights_config.json",
             "\"path_name\": \"weight_1\", \"is_param\": false, \"use_pickle\": false, \"tensor_meta\": "
             "{\"dtype\": 7, \"sizes\": [{\"as_int\": 3}]",
             "\"path_name\": \"weight_1\", \"is_param\": false, \"use_pickle\": false, \"tensor_meta\": "
             "{\"dtype\": 7, \"sizes\": [{\"as_int\": 2}]")(z);
       }},
      {"axis beyond the rank", "axis 5 of a tensor of rank 2",
       program("\"name\": \"axis\", \"arg\": {\"as_int\": 0}",
               "\"name\": \"axis\", \"arg\": {\"as_int\": 5}")},
  };
  return rows;
}

class BrokenInput : public Cli {
 protected:
  static std::string good(const char* archive) {
    return read_all(std::string(ZP_SOURCE_DIR) + "/test/formats/data/" + archive + ".pt2");
  }

  void expect_refused(const Done& done, const char* message) {
    EXPECT_EQ(done.code, 1) << done.err;
    EXPECT_NE(done.err.find("error: "), std::string::npos) << done.err;
    EXPECT_NE(done.err.find("broken.pt2"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find(message), std::string::npos) << done.err;
    expect_untouched();
  }

  void expect_untouched() { EXPECT_TRUE(read_all(file("old.pt2")) == "what was there"); }

  void expect_no_temporaries() {
    for (const auto& entry : fs::directory_iterator(folder_))
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }

  void check(const std::vector<Broken>& rows) {
    for (const Broken& row : rows) {
      SCOPED_TRACE(row.name);
      write_all(file("old.pt2"), "what was there");
      const std::string bytes = row.make(good(row.archive));
      ASSERT_EQ(bytes.find("no record"), std::string::npos) << bytes;
      write_all(file("broken.pt2"), bytes);
      const Done done = zp({"compile", file("broken.pt2"), "-o", file("old.pt2")});
      expect_refused(done, row.message);
      // One cause, one line: what follows from it stays unsaid.
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    }
    expect_no_temporaries();
  }
};

TEST_F(BrokenInput, Container) { check(container()); }
TEST_F(BrokenInput, TextOfTheProgram) { check(texts()); }
TEST_F(BrokenInput, SizesAndScales) { check(numbers()); }

TEST_F(BrokenInput, ChecksumOfAWeightThatIsReadOrChecked) {
  write_all(file("old.pt2"), "what was there");
  write_all(file("broken.pt2"), directory("weight_0", kCrc, 7, 4)(good("quantized")));
  EXPECT_EQ(zp({"inspect", file("broken.pt2")}).code, 0);  // reads no weight
  expect_refused(zp({"inspect", file("broken.pt2"), "--check"}), "weight_0': its bytes have CRC");
  write_all(
      file("x.npy"), std::string("\x93NUMPY\1\0v\0", 10) + [] {
        std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}";
        header.resize(117, ' ');
        return header + "\n";
      }() + std::string(32, '\0'));
  expect_refused(zp({"run", file("broken.pt2"), "--input", file("x.npy")}), "weight_0': its bytes have CRC");
}

// The program stands still while it prints into a pipe that is full; the file is cut behind its back, then it
// goes on.
TEST_F(BrokenInput, FileTruncatedWhileMapped) {
  fs::copy_file(digits_, file("broken.pt2"));
  write_all(file("old.pt2"), "what was there");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  const std::string err = file("stderr");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 1);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
    ::close(ends[0]);
    ::close(ends[1]);
    const std::string input = file("broken.pt2"), output = file("old.pt2");
    ::execl(ZP_BINARY, ZP_BINARY, "compile", input.c_str(), "-o", output.c_str(), "--print-after", "all",
            static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  char first = 0;
  ASSERT_EQ(::read(ends[0], &first, 1), 1);  // the model is mapped and passes run
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ASSERT_EQ(::truncate(file("broken.pt2").c_str(), 4096), 0);
  std::string rest(1 << 16, '\0');
  while (::read(ends[0], rest.data(), rest.size()) > 0) {}
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  const std::string said = read_all(err);
  EXPECT_NE(said.find("file.truncated: an input file became shorter"), std::string::npos) << said;
  expect_untouched();
  expect_no_temporaries();
}

// A limit on the size of files stands for the disk that is full: writes fail in the middle.
TEST_F(BrokenInput, DiskFull) {
  write_all(file("old.pt2"), "what was there");
  const auto limited = [] {
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  const Done done = zp({"compile", digits_, "-o", file("old.pt2")}, limited);
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_NE(done.err.find("old.pt2: error: file.write: cannot write"), std::string::npos) << done.err;
  expect_untouched();
  expect_no_temporaries();
}

TEST_F(BrokenInput, NoSuchPlace) {
  EXPECT_EQ(zp({"compile", file("none.pt2"), "-o", file("o.pt2")}).code, 1);
  EXPECT_EQ(zp({"compile", folder_.string(), "-o", file("o.pt2")}).code, 1);
  EXPECT_EQ(zp({"compile", digits_, "-o", file("no/such/folder/o.pt2")}).code, 1);
  fs::create_directories(file("folder.pt2"));
  const Done done = zp({"compile", digits_, "-o", file("folder.pt2")});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("directory"), std::string::npos) << done.err;
}

}  // namespace
}  // namespace zp::test
