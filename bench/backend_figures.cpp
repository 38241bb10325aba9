// The largest dictionary of PyTorch (oneDNN's, 221 spellings) on a float graph of 24,000 operators, and how
// long a dictionary takes to become a backend. prepare_fx takes tenths of a second for models of a few dozen
// operators.
#include "backend_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "backend/backend.h"
#include "ir/parser.h"
#include "ops/ops.h"
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

template <typename Run>
double best_ms(int times, Run&& run) {
  double best = 1e300;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(
        best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

Figure failed(std::string what, const std::string& why) { return {std::move(what), why, "", false}; }

}  // namespace

std::vector<Figure> backend_figures(bool quick) {
  std::vector<Figure> out;
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
    const auto trials = fuse::try_patterns(*(*model)->graph, *backend);
    legal = static_cast<size_t>(
        std::count_if(trials.begin(), trials.end(), [](const auto& t) { return t.legal; }));
  });
  out.push_back({match, fmt::format("{:.1f} ms, {} matches", match_ms, legal), "30 ms",
                 match_ms <= 30 && legal >= kBlocks});
  return out;
}

}  // namespace zp::bench
