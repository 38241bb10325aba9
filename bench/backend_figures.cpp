// Reading a backend's file and matching its patterns, on graphs of 24,000 nodes and on ten times that: a
// chain of Q/DQ pairs, layers with weights, and the largest dictionary of PyTorch (oneDNN's) on a float
// graph; and how long a dictionary takes to become a backend. prepare_fx takes tenths of a second for models
// of a few dozen operators.
#include "backend_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "backend/backend.h"
#include "chains.h"
#include "ir/parser.h"
#include "ops/ops.h"
#include "passes/fuse/fuse.h"
#include "passes/fuse/matches.h"
#include "zeropoint/backend.h"

namespace zp::bench {
namespace {

// Residual blocks: conv2d, batch_norm, add, relu.
std::string residual_blocks(int blocks) {
  std::string text =
      "zp 1\n@w = f32[2,2,1,1] [1,2,3,4]\n@g = f32[2] [1,1]\ngraph main(%x: f32[1,2,8,8]) -> (%y) {\n"
      "  %w = const @w : f32[2,2,1,1]\n  %g = const @g : f32[2]\n";
  std::string last = "x";
  for (int i = 0; i < blocks; ++i) {
    text += fmt::format(
        "  %c{0} = conv2d(%{1}, %w) : f32[1,2,8,8]\n  %n{0} = batch_norm(%c{0}, %g, %g, %g, %g) : "
        "f32[1,2,8,8]\n"
        "  %s{0} = add(%n{0}, %{1}) : f32[1,2,8,8]\n  %r{0} = relu(%s{0}) : f32[1,2,8,8]\n",
        i, last);
    last = fmt::format("r{}", i);
  }
  text += fmt::format("  %y = relu(%{}) : f32[1,2,8,8]\n}}\n", last);
  return text;
}

// Processor time: all of it is one thread, and what else the machine does must not count.
double processor_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

template <typename Run>
double best_ms(int times, Run&& run) {
  double best = 1e300;
  for (int i = 0; i < times; ++i) {
    const double start = processor_ms();
    run();
    best = std::min(best, processor_ms() - start);
  }
  return best;
}

Figure failed(std::string what, const std::string& why) { return {std::move(what), why, "", false}; }

// A file with `times` as many patterns as `vulkan` has, under other names.
std::string longer_file(int times) {
  const std::string text(Backend::builtin_text("vulkan"));
  const size_t first = text.find("\n  pattern ") + 1;
  std::string out = text.substr(0, first);
  for (int i = 0; i < times; ++i) {
    std::string patterns = text.substr(first);
    const std::string number = fmt::format("  cost {}\n", i + 1);
    for (size_t at = 0; (at = patterns.find("  pattern ", at)) != std::string::npos; at += 10) {
      const size_t colon = patterns.find(' ', at + 10), line = patterns.find('\n', at) + 1;
      patterns.insert(line, "  " + number);  // dearer copies repeat nobody
      patterns.insert(colon, fmt::format("-{}", i));
    }
    out += patterns;
  }
  return out;
}

void reading(bool quick, std::vector<Figure>* out) {
  double first = 0;
  for (const int times : {1, 10}) {
    const std::string text = times == 1 ? std::string(Backend::builtin_text("vulkan")) : longer_file(times);
    std::string problem;
    const double ms = best_ms(quick ? 20 : 100, [&] {
      if (const auto backend = Backend::parse(text, "vulkan.zpb"); !backend.ok())
        problem = backend.error().str();
    });
    const std::string what = fmt::format("read the file of vulkan ({} kB)", (text.size() + 512) / 1024);
    if (!problem.empty()) return out->push_back(failed(what, problem));
    if (first == 0) {
      first = ms;
      out->push_back({what, fmt::format("{:.2f} ms", ms), "1 ms", ms <= 1});
    } else {
      out->push_back({"  the same patterns ten times", fmt::format("{:.2f} ms = {:.1f} x", ms, ms / first),
                      "11 x", ms <= 11 * first});
    }
  }
}

// What `zp match` answers, and the pass that fuses.
void matching(bool quick, const std::string& graph, std::unique_ptr<Model> (*make)(int64_t), size_t least,
              std::vector<Figure>* out) {
  auto backend = Backend::load("vulkan");
  if (!backend.ok()) return out->push_back(failed("match vulkan", backend.error().str()));
  double first = 0, first_pass = 0;
  for (const int64_t nodes : {int64_t{24000}, int64_t{240000}}) {
    const std::unique_ptr<Model> model = make(nodes);
    size_t legal = 0;
    const double ms = best_ms(quick ? 3 : 10, [&] {
      const auto trials = fuse::try_patterns(*model, **backend);
      legal = static_cast<size_t>(
          std::count_if(trials.begin(), trials.end(), [](const auto& t) { return t.legal; }));
    });
    double pass_ms = 1e300;
    for (int i = 0; i < (quick ? 2 : 4); ++i) {
      const std::unique_ptr<Model> fresh = make(nodes);
      Records records;
      PassContext context{*fresh, backend->get(), records, {}};
      pass_ms = std::min(pass_ms, best_ms(1, [&] { (void)kFuseQdqPass.run(context); }));
    }
    const std::string what = fmt::format("match vulkan on {} nodes ({})", nodes, graph);
    const bool all = legal >= least * static_cast<size_t>(nodes) / 24000;
    if (first == 0) {
      out->push_back({what, fmt::format("{:.1f} ms, {} matches", ms, legal), "20 ms", ms <= 20 && all});
      out->push_back({"  fuse them", fmt::format("{:.1f} ms", pass_ms), "40 ms", pass_ms <= 40});
      first = ms;
      first_pass = pass_ms;
    } else {
      out->push_back(
          {what, fmt::format("{:.0f} ms = {:.1f} x", ms, ms / first), "11 x", ms <= 11 * first && all});
      out->push_back({"  fuse them", fmt::format("{:.0f} ms = {:.1f} x", pass_ms, pass_ms / first_pass),
                      "11 x", pass_ms <= 11 * first_pass});
    }
  }
}

}  // namespace

std::vector<Figure> backend_figures(bool quick) {
  std::vector<Figure> out;
  reading(quick, &out);
  matching(quick, "a chain of Q/DQ", qdq_chain, 7000, &out);
  matching(quick, "quantized layers", qdq_layers, 3990, &out);
  const std::string json = zeropoint::BackendConfig::from_zpb("onednn").to_json();
  std::unique_ptr<Backend> backend;
  const double import_ms = best_ms(quick ? 3 : 20, [&] {
    const auto text = zeropoint::BackendConfig::from_json(json).to_zpb();
    auto parsed = Backend::parse(text.text, "onednn.zpb");
    if (parsed.ok()) backend = std::move(*parsed);
  });
  const size_t spellings = zeropoint::BackendConfig::from_json(json).configs().size();
  const std::string what = fmt::format("import a dictionary of {} patterns", spellings);
  if (backend == nullptr) return {failed(what, "not read")};
  out.push_back({what, fmt::format("{:.1f} ms", import_ms), "10 ms", import_ms <= 10});

  constexpr int kBlocks = 6000;
  auto model = parse_model(residual_blocks(kBlocks), ops::table(), "blocks.zp");
  const std::string match = fmt::format("match {} patterns on {} operators", spellings, 4 * kBlocks);
  if (!model.ok()) return {failed(match, model.error().str())};
  size_t legal = 0;
  const double match_ms = best_ms(quick ? 3 : 10, [&] {
    const auto trials = fuse::try_patterns(**model, *backend);
    legal = static_cast<size_t>(
        std::count_if(trials.begin(), trials.end(), [](const auto& t) { return t.legal; }));
  });
  out.push_back({match, fmt::format("{:.1f} ms, {} matches", match_ms, legal), "30 ms",
                 match_ms <= 30 && legal >= kBlocks});
  return out;
}

}  // namespace zp::bench
