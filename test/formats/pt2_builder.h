// Builds small programs and archives for tests: the JSON as torch writes it, with every part open to be made
// wrong.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "zip_builder.h"

namespace zp::test {

// Arguments as JSON.
inline std::string tensor(const std::string& name) { return R"({"as_tensor": {"name": ")" + name + R"("}})"; }
inline std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return std::string(R"({"as_float": )") + text + "}";
}
inline std::string integer(int64_t value) { return R"({"as_int": )" + std::to_string(value) + "}"; }
inline std::string dtype(int value) { return R"({"as_scalar_type": )" + std::to_string(value) + "}"; }
inline std::string raw(const std::string& variant, const std::string& value) {
  return R"({")" + variant + R"(": )" + value + "}";
}

using Args = std::vector<std::pair<std::string, std::string>>;

inline std::string meta(int type, const std::vector<std::string>& sizes,
                        const std::vector<int64_t>& strides = {}, int64_t offset = 0) {
  std::string text = R"({"dtype": )" + std::to_string(type) + R"(, "sizes": [)";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i ? ", " : "") + sizes[i];
  text += R"(], "requires_grad": false, "device": {"type": "cpu", "index": null}, "strides": [)";
  for (size_t i = 0; i < sizes.size(); ++i)
    text += (i ? ", " : "") + integer(i < strides.size() ? strides[i] : 1);
  return text + R"(], "storage_offset": )" + integer(offset) + R"(, "layout": 7})";
}
inline std::vector<std::string> sizes(const std::vector<int64_t>& values) {
  std::vector<std::string> out;
  for (int64_t v : values) out.push_back(integer(v));
  return out;
}

struct Program {
  std::string inputs, outputs, nodes, values, syms, input_specs, output_specs, weights, constants;
  std::string schema = R"({"major": 8, "minor": 14})";
  std::string ranges = "{}";
  std::vector<ZipItem> records;
  int stored = 0;

  static void add(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

  Program& value(const std::string& name, int type, const std::vector<int64_t>& shape) {
    add(values, "\"" + name + "\": " + meta(type, sizes(shape)));
    return *this;
  }
  Program& input(const std::string& name, int type, const std::vector<int64_t>& shape) {
    value(name, type, shape);
    add(inputs, tensor(name));
    add(input_specs, R"({"user_input": {"arg": )" + tensor(name) + "}}");
    return *this;
  }
  // A persistent buffer with these bytes.
  Program& buffer(const std::string& name, int type, const std::vector<int64_t>& shape,
                  const std::string& bytes, const std::vector<int64_t>& strides, int64_t offset = 0,
                  std::string path = {}) {
    value(name, type, shape);
    add(inputs, tensor(name));
    add(input_specs, R"({"buffer": {"arg": {"name": ")" + name + R"("}, "buffer_name": ")" + name +
                         R"(", "persistent": true}})");
    if (path.empty()) {
      path = "weight_" + std::to_string(stored++);
      records.push_back({"m/data/weights/" + path, bytes});
    }
    add(weights, "\"" + name + R"(": {"path_name": ")" + path +
                     R"(", "is_param": false, "use_pickle": false, "tensor_meta": )" +
                     meta(type, sizes(shape), strides, offset) + "}");
    return *this;
  }
  template <typename T>
  Program& vector(const std::string& name, int type, const std::vector<T>& data) {
    return buffer(name, type, {static_cast<int64_t>(data.size())},
                  std::string(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T)), {1});
  }
  Program& node(const std::string& target, const Args& args, const std::vector<std::string>& results) {
    std::string in, out;
    for (const auto& [name, arg] : args)
      add(in, R"({"name": ")" + name + R"(", "arg": )" + arg + R"(, "kind": 1})");
    for (const std::string& r : results) add(out, tensor(r));
    const std::string name = results.empty() ? "n" : results[0];
    add(nodes,
        R"({"target": ")" + target + R"(", "inputs": [)" + in + R"(], "outputs": [)" + out +
            R"(], "metadata": {"nn_module_stack": "L__self__,,Net;L__self___a,a.b,torch.nn.ReLU"}, "name": ")" +
            name + R"("})");
    return *this;
  }
  Program& output(const std::string& name) {
    add(outputs, tensor(name));
    add(output_specs, R"({"user_output": {"arg": )" + tensor(name) + "}}");
    return *this;
  }
  std::string json() const {
    return R"({"graph_module": {"graph": {"inputs": [)" + inputs + R"(], "outputs": [)" + outputs +
           R"(], "nodes": [)" + nodes + R"(], "tensor_values": {)" + values + R"(}, "sym_int_values": {)" +
           syms + R"(}, "sym_bool_values": {}}, "signature": {"input_specs": [)" + input_specs +
           R"(], "output_specs": [)" + output_specs +
           R"(]}, "module_call_graph": []}, "opset_version": {"aten": 10}, "range_constraints": )" + ranges +
           R"(, "schema_version": )" + schema +
           R"(, "torch_version": "2.13.0+cpu", "verifiers": ["TRAINING"]})";
  }
  std::vector<ZipItem> items() const {
    std::vector<ZipItem> all = records;
    all.push_back({"m/data/weights/model_weights_config.json", R"({"config": {)" + weights + "}}"});
    all.push_back({"m/data/constants/model_constants_config.json", R"({"config": {)" + constants + "}}"});
    all.push_back({"m/models/model.json", json()});
    all.push_back({"m/data/sample_inputs/model.pt", ""});
    all.push_back({"m/archive_format", "pt2"});
    all.push_back({"m/archive_version", "0"});
    all.push_back({"m/.data/version", "6\n"});
    return all;
  }
};

// A file that goes away with its owner.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    char name[] = "/tmp/zp_pt2_XXXXXX";
    const int descriptor = mkstemp(name);
    if (descriptor >= 0) close(descriptor);
    path_ = name;
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace zp::test
