// Puts an archive together: the program as JSON, the weights, and what an imported archive carried along. The
// text goes out as it arises; the target appears only when everything is written.
#include "formats/pt2/export.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/pt2/export_graph.h"
#include "formats/pt2/export_payload.h"
#include "formats/pt2/export_signature.h"
#include "formats/pt2/zip_writer.h"

namespace zp::pt2 {
namespace {

constexpr std::string_view kModel = "model";  // the only one that torch.export.load returns

std::string_view or_else(std::string_view text, std::string_view otherwise) {
  return text.empty() ? otherwise : text;
}

void write_list(JsonWriter& json, std::string_view key, const std::vector<std::string>& items) {
  json.key(key).begin_array();
  for (const std::string& item : items) json.raw(item);
  json.end_array();
}

// The JSON up to the nodes, which follow as they arise.
void begin_program(JsonWriter& json) {
  json.begin_object().key("graph_module").begin_object().key("graph").begin_object();
  json.key("nodes").begin_array().flush();
}

void end_program(JsonWriter& json, GraphWriter& graph, const SignatureText& signature) {
  const Pt2Source* source = graph.source();
  graph.finish_nodes();
  json.end_array();
  graph.write_fields(json, signature.inputs, signature.outputs,
                     source != nullptr && source->single_tensor_return,
                     source != nullptr ? or_else(source->custom_obj_values, "{}") : "{}");
  json.end_object().key("signature").begin_object();
  write_list(json, "input_specs", signature.input_specs);
  write_list(json, "output_specs", signature.output_specs);
  json.end_object().key("module_call_graph").raw(signature.module_call_graph);
  json.key("metadata").raw(source != nullptr ? or_else(source->metadata, "{}") : "{}");
  json.key("treespec_namedtuple_fields")
      .raw(source != nullptr ? or_else(source->treespec_fields, "{}") : "{}");
  json.end_object()
      .key("opset_version")
      .raw(source != nullptr ? or_else(source->opset_version, R"({"aten": 10})") : R"({"aten": 10})");
  json.key("range_constraints");
  if (source != nullptr) json.raw(or_else(source->range_constraints, "{}"));
  else graph.dims().write_ranges(json);
  // Nothing newer than 8.14 is written of our own; carried texts may be as new as the source.
  json.key("schema_version")
      .begin_object()
      .field("major", 8)
      .field("minor", std::max<int64_t>(14, source != nullptr ? source->schema_minor : 0))
      .end_object();
  json.key("verifiers")
      .raw(source != nullptr ? or_else(source->verifiers, R"(["TRAINING"])") : R"(["TRAINING"])");
  json.field("torch_version",
             source != nullptr ? or_else(source->torch_version, "<=2.4") : std::string_view("2.9.0"));
  json.key("guards_code").raw(source != nullptr ? or_else(source->guards_code, "[]") : "[]");
  json.end_object().flush();
}

// Records of the source that have nothing to do with the graph: user texts.
Status carry_extra(ZipWriter& zip, const Archive& archive) {
  const std::string prefix = archive.root().empty() ? "extra/" : std::string(archive.root()) + "/extra/";
  for (const ZipEntry& entry : archive.zip().entries()) {
    if (!entry.name.starts_with(prefix)) continue;
    ZP_TRY(const Blob blob, archive.zip().payload(entry));
    ZP_CHECK(zip.add(entry.name.substr(prefix.size() - 6), blob, entry.crc));
  }
  return {};
}

Status carry_sample_inputs(ZipWriter& zip, const Pt2Source* source, bool wanted) {
  const std::string name = fmt::format("data/sample_inputs/{}.pt", kModel);
  if (wanted && source != nullptr && source->archive != nullptr &&
      source->archive->generation() != Generation::A0) {
    const std::string record = source->archive->sample_inputs_record(source->model_name);
    if (const ZipEntry* entry = record.empty() ? nullptr : source->archive->find(record)) {
      ZP_TRY(const Blob blob, source->archive->record(record, false));
      return zip.add(name, blob, entry->crc);
    }
  }
  return zip.add(name, "");
}

Status write_rest(ZipWriter& zip, const Pt2Source* source, PayloadWriter& payloads,
                  const ExportOptions& options) {
  ZP_CHECK(payloads.write(zip, kModel));
  ZP_CHECK(carry_sample_inputs(zip, source, options.carry_sample_inputs));
  if (source != nullptr && source->archive != nullptr) ZP_CHECK(carry_extra(zip, *source->archive));
  ZP_CHECK(zip.add("archive_format", "pt2"));
  ZP_CHECK(zip.add("archive_version", "0"));
  ZP_CHECK(zip.add(".data/version", "6\n"));
  ZP_CHECK(zip.add("byteorder", "little"));
  return zip.finish();
}

struct Library {
  std::string_view name_space, module;
};
// Who registers the operators of a namespace beyond torch's own.
constexpr Library kLibraries[] = {
    {"quantized_decomposed", "torch.ao.quantization.fx._decomposed"},
    {"torchao", "torchao"},
    {"torchvision", "torchvision"},
    {"torchaudio", "torchaudio"},
    {"llama", "executorch.extension.llm.custom_ops"},
    {"et_vk", "executorch.backends.vulkan.custom_ops_lib"},
    {"zp", "zeropoint_ops"},  // python/zeropoint_ops.py of this project
};
constexpr std::string_view kTorchsOwn[] = {
    "aten",   "prims",    "higher_order", "export",   "inductor", "quantized",        "_quantized", "mkldnn",
    "sparse", "rngprims", "debugprims",   "profiler", "c10d",     "_c10d_functional", "symm_mem"};

std::vector<std::string> modules_for(const GraphWriter& graph) {
  std::vector<std::string> modules;
  for (const std::string& name_space : graph.namespaces()) {
    if (std::find(std::begin(kTorchsOwn), std::end(kTorchsOwn), name_space) != std::end(kTorchsOwn)) continue;
    const auto known = std::find_if(std::begin(kLibraries), std::end(kLibraries),
                                    [&](const Library& l) { return l.name_space == name_space; });
    modules.emplace_back(known != std::end(kLibraries) ? known->module : std::string_view(name_space));
  }
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  return modules;
}

Status export_to(const Model& model, const std::string& path, const ExportOptions& options,
                 std::vector<std::string>* needs_import) {
  const auto* source = dynamic_cast<const Pt2Source*>(model.source.get());
  const Archive* archive = source != nullptr ? source->archive.get() : nullptr;
  const std::string_view root = archive != nullptr && !archive->root().empty() ? archive->root() : kModel;
  GraphWriter graph(model, source);
  ZP_TRY(ZipWriter zip, ZipWriter::create(path, root));
  const TextSink sink = [&](std::string_view text) { zip.append(text); };
  ZP_CHECK(zip.begin(fmt::format("models/{}.json", kModel)));
  JsonWriter json(sink);
  begin_program(json);
  graph.stream_nodes_to(sink);
  ZP_CHECK(graph.write_nodes());
  if (needs_import != nullptr) *needs_import = modules_for(graph);
  PayloadWriter payloads(*model.context, archive, source != nullptr ? source->model_name : kModel,
                         graph.device());
  ZP_TRY(const SignatureText signature, write_signature(graph, payloads));
  if (source != nullptr) {
    for (const Pt2Source::Unnamed& payload : source->unnamed)
      ZP_CHECK(payloads.carry(payload.fqn, payload.weight));
  }
  end_program(json, graph, signature);
  ZP_CHECK(zip.end());
  return write_rest(zip, source, payloads, options);
}

}  // namespace
}  // namespace zp::pt2

namespace zp {

Status export_pt2(const Model& model, const std::string& path, const ExportOptions& options,
                  std::vector<std::string>* needs_import) {
  Status status = pt2::export_to(model, path, options, needs_import);
  if (!status.ok()) return std::move(status).error().in_file(path);
  return status;
}

std::vector<std::string> needs_import(const Model& model) {
  pt2::GraphWriter graph(model, dynamic_cast<const pt2::Pt2Source*>(model.source.get()));
  graph.stream_nodes_to([](std::string_view) {});
  // Nodes that cannot be written need nothing imported; those that can are all counted.
  const Status written = graph.write_nodes();
  (void)written;
  return pt2::modules_for(graph);
}

}  // namespace zp
