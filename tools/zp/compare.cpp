// zp compare: runs two models on the same inputs and says how far they are apart.
#include "report/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "command.h"
#include "compile/files.h"
#include "interp/interp.h"
#include "report/table.h"
#include "support/json_writer.h"

namespace zp::cli {

namespace {

struct Options {
  std::string a, b;
  std::vector<std::string> inputs;
  bool layers = false, json = false, split = false;
};

struct Side {
  std::unique_ptr<Model> model;
  std::vector<Tensor> outputs;
  std::map<std::string, Tensor> values;  // real values of inner results, by name
};

// Quantized integers become the numbers they stand for.
Result<Tensor> real_value(Context& context, const Type& type, const Tensor& tensor) {
  if (type.quant == nullptr || type.quant->dynamic) return tensor;
  ZP_TRY(const QuantParams params, quant_params(context, *type.quant, tensor.shape()));
  ZP_TRY(Tensor out, Tensor::make(DType::F32, tensor.shape()));
  const auto& q = *type.quant;
  std::vector<int64_t> block(tensor.shape());
  for (size_t d = 0; d < block.size(); ++d)
    block[d] = params.grid[d] > 0 ? (tensor.shape()[d] + params.grid[d] - 1) / params.grid[d] : 1;
  if (q.per_block())
    for (size_t d = 0; d < block.size(); ++d)
      if (q.block[d] != 0) block[d] = q.block[d];
  std::vector<int64_t> index(tensor.shape().size(), 0);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    int64_t cell = 0;
    for (size_t d = 0; d < index.size(); ++d) cell = cell * params.grid[d] + index[d] / block[d];
    const auto c = static_cast<size_t>(cell);
    out.mutable_data<float>()[i] =
        static_cast<float>(tensor.get_int(i) - params.zero_points[c]) * static_cast<float>(params.scales[c]);
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tensor.shape()[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

Result<Side> run_side(const std::string& path, const Options& o, const Globals& globals) {
  Side side;
  LoadOptions load;
  load.max_errors = globals.max_errors;
  ZP_TRY(side.model, load_model(path, load));
  std::vector<Tensor> inputs;
  if (o.inputs.empty()) {
    ZP_TRY(inputs, seeded_inputs(*side.model, globals.seed));
  } else {
    ZP_TRY(inputs, read_inputs(*side.model, o.inputs));
  }
  if (o.split) {
    ZP_TRY(const auto pieces, split_inputs(*side.model, inputs));
    std::vector<std::vector<Tensor>> parts;
    for (const auto& piece : pieces) {
      ZP_TRY(const std::vector<Tensor> outputs, run(*side.model, piece));
      parts.resize(outputs.size());
      for (size_t k = 0; k < outputs.size(); ++k) parts[k].push_back(outputs[k]);
    }
    for (const auto& p : parts) {
      ZP_TRY(Tensor all, stack_outputs(p));
      side.outputs.push_back(std::move(all));
    }
    return side;
  }
  RunOptions options;
  Status traced;
  if (o.layers) {
    options.trace = [&](const Value& value, const Tensor& tensor) {
      if (value.def() == nullptr || value.def()->is(kConstOp)) return;
      Result<Tensor> real = real_value(*side.model->context, value.type(), tensor);
      if (real.ok()) side.values.emplace(std::string(value.name()), std::move(real).value());
      else if (traced.ok()) traced = std::move(real).error();
    };
  }
  ZP_TRY(side.outputs, run(*side.model, inputs, options));
  ZP_CHECK(std::move(traced));
  return side;
}

void write_list(JsonWriter& json, std::string_view key, const std::vector<Difference>& list) {
  json.key(key).begin_array();
  for (const Difference& d : list) {
    json.begin_object().field("name", d.name).field("max_abs_error", d.max_abs_error).key("sqnr_db");
    if (d.sqnr_db) json.value(*d.sqnr_db);
    else json.null();
    json.field("cosine", d.cosine).end_object();
  }
  json.end_array();
}

std::string table_of(const std::string& what, const std::vector<Difference>& list) {
  TextTable table({what, "max abs error", "SQNR dB", "cosine"});
  for (const Difference& d : list) {
    table.add({d.name, fmt::format("{:.6g}", d.max_abs_error),
               d.sqnr_db ? fmt::format("{:.2f}", *d.sqnr_db) : "equal", fmt::format("{:.8f}", d.cosine)});
  }
  return table.str();
}

Status run_compare(const Globals& globals, const Options& o) {
  ZP_TRY(const Side a, run_side(o.a, o, globals));
  ZP_TRY(const Side b, run_side(o.b, o, globals));
  if (a.outputs.size() != b.outputs.size()) {
    return Error("compare.outputs", fmt::format("{} outputs against {}", a.outputs.size(), b.outputs.size()));
  }
  std::vector<Difference> outputs, layers;
  for (size_t k = 0; k < a.outputs.size(); ++k)
    outputs.push_back(compare_tensors(fmt::format("out_{}", k), a.outputs[k], b.outputs[k]));
  for (const auto& [name, value] : a.values) {
    const auto found = b.values.find(name);
    if (found != b.values.end() && found->second.shape() == value.shape())
      layers.push_back(compare_tensors(name, value, found->second));
  }
  std::stable_sort(layers.begin(), layers.end(), [](const Difference& x, const Difference& y) {
    return x.sqnr_db.value_or(1e9) < y.sqnr_db.value_or(1e9);
  });
  if (o.json) {
    JsonWriter json(1);
    json.begin_object();
    write_list(json, "outputs", outputs);
    write_list(json, "layers", layers);
    json.end_object();
    fmt::print("{}\n", json.str());
  } else {
    fmt::print("{}", table_of("output", outputs));
    if (o.layers) fmt::print("\n{}", table_of("layer", layers));
  }
  return {};
}

}  // namespace

void add_compare(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd =
      app.add_subcommand("compare", "run two models on the same inputs and say how far they are apart");
  cmd->add_option("A", o->a, "reference model")->required();
  cmd->add_option("B", o->b, "other model")->required();
  cmd->add_option("--input", o->inputs, "FILE.npy or NAME=FILE.npy (default: seeded inputs)")
      ->allow_extra_args(false);
  cmd->add_flag("--layers", o->layers, "also inner values of the same name, worst first");
  cmd->add_flag("--split", o->split, "run once per piece of the inputs' first dimension");
  cmd->add_flag("--json", o->json, "one JSON document");
  cmd->callback([&globals, o] {
    globals.action = [&globals, o] {
      const Status status = run_compare(globals, *o);
      return status.ok() ? 0 : fail(status.error());
    };
  });
}

}  // namespace zp::cli
