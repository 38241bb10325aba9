// The demonstration: the main job on a real model, shown. Compiles the digits network that quantization-aware
// training left with its simulation residue, shows what became of it, and runs both versions on the test
// images.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>

#include "compile/compile.h"
#include "formats/npy.h"
#include "interp/interp.h"
#include "report/compare.h"
#include "report/table.h"
#include "support/clock.h"
#include "support/parallel.h"

namespace zp {

namespace {

struct RunResult {
  Tensor logits;  // [images, 10]
  double ms = 0;
};

Result<RunResult> run_all(const Model& model, const Tensor& images, const char* what) {
  ZP_TRY(const std::vector<std::vector<Tensor>> pieces, split_inputs(model, {images}));
  std::vector<Tensor> parts(pieces.size());
  std::vector<std::string> errors(pieces.size());
  std::atomic<int64_t> done{0};
  const double start = now_ms();
  auto one = [&](int64_t i) {
    auto outputs = run(model, pieces[static_cast<size_t>(i)]);
    if (outputs.ok()) parts[static_cast<size_t>(i)] = (*outputs)[0];
    else errors[static_cast<size_t>(i)] = outputs.error().str();
    const int64_t now = ++done;
    if (::isatty(2) && now_ms() - start > 1000 && now % 16 == 0) {
      fmt::print(stderr, "\r{}: {}/{} images, {:.0f} s left  ", what, now, parts.size(),
                 (now_ms() - start) / static_cast<double>(now) *
                     static_cast<double>(static_cast<int64_t>(parts.size()) - now) / 1000);
    }
  };
  one(0);  // alone: fills what the runs share
  parallel_for(static_cast<int64_t>(pieces.size()) - 1, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) one(i + 1);
  });
  if (::isatty(2)) fmt::print(stderr, "\r{:60}\r", "");
  for (const std::string& e : errors)
    if (!e.empty()) return Error("demo.run", e);
  RunResult result;
  result.ms = now_ms() - start;
  ZP_TRY(result.logits, stack_outputs(parts));
  return result;
}

int64_t best_class(const Tensor& logits, int64_t row) {
  const int64_t classes = logits.shape()[1];
  int64_t best = 0;
  for (int64_t c = 1; c < classes; ++c)
    if (logits.get_double(row * classes + c) > logits.get_double(row * classes + best)) best = c;
  return best;
}

double top1(const Tensor& logits, const Tensor& labels) {
  int64_t right = 0;
  for (int64_t i = 0; i < labels.elements(); ++i) right += best_class(logits, i) == labels.get_int(i);
  return static_cast<double>(right) / static_cast<double>(labels.elements());
}

// Images side by side, two pixels a character cell (upper and lower half).
void draw(const Tensor& images, const Tensor& before, const Tensor& after, const Tensor& labels,
          const std::vector<int64_t>& rows) {
  const int64_t height = images.shape()[2], width = images.shape()[3];
  auto dark = [&](int64_t row, int64_t y, int64_t x) {
    return images.get_double((row * height + y) * width + x) > 0.45;
  };
  for (int64_t y = 0; y < height; y += 2) {
    std::string line = "   ";
    for (int64_t row : rows) {
      for (int64_t x = 0; x < width; ++x) {
        const bool top = dark(row, y, x), bottom = dark(row, y + 1, x);
        line += top && bottom ? "█" : top ? "▀" : bottom ? "▄" : " ";
      }
      line += "   ";
    }
    fmt::print("{}\n", line);
  }
  auto captions = [&](const char* what, const std::function<std::string(int64_t)>& text) {
    fmt::print("   ");
    for (int64_t row : rows) fmt::print("{:{}}   ", fmt::format("{} {}", what, text(row)), width);
    fmt::print("\n");
  };
  captions("label", [&](int64_t r) { return std::to_string(labels.get_int(r)); });
  captions("trained", [&](int64_t r) { return std::to_string(best_class(before, r)); });
  captions("integer", [&](int64_t r) { return std::to_string(best_class(after, r)); });
}

Status demo(const std::string& folder) {
  const std::string source = folder + "/qat_cadence_chain.pt2";
  const std::filesystem::path out_dir = std::filesystem::temp_directory_path() / "zeropoint-demo";
  std::error_code code;
  std::filesystem::create_directories(out_dir, code);
  if (code) return Error("file.write", "cannot make the folder: " + code.message()).in_file(out_dir.string());
  const std::string target = out_dir / "digits_integer.pt2";

  fmt::print(
      "A network for handwritten digits, fresh from quantization-aware training, becomes an integer model\n");
  fmt::print("  {}\n\n", source);
  ZP_TRY(const Tensor images, read_npy(folder + "/images.npy"));
  ZP_TRY(const Tensor labels, read_npy(folder + "/labels.npy"));

  CompileOptions options;
  ZP_TRY(const Compiled compiled, compile_file(source, target, options));
  const CompileReport& report = compiled.report;
  fmt::print("operators\n{}\n", ops_table(report.input.ops, report.output.ops));
  fmt::print("folded and fused (zp compile --report R.html shows all of it)\n{}\n",
             rewrites_table(report.records.rewrites, 170));
  if (report.records.kept.empty()) {
    fmt::print("nothing stayed float\n\n");
  } else {
    fmt::print("stayed as it was, and why\n{}\n", kept_table(report.records.kept, 170));
  }

  // Each pass is checked on real images: the graph is run before and after it.
  CompileOptions checked = options;
  ZP_TRY(const std::unique_ptr<Model> original, load_model(source));
  ZP_TRY(const std::vector<std::vector<Tensor>> pieces, split_inputs(*original, {images}));
  const std::string first_image = out_dir / "image_0.npy";
  ZP_CHECK(write_npy(first_image, pieces[0][0]));
  checked.verify = 1;
  checked.inputs = {first_image};
  ZP_TRY(const Compiled verified, compile_model(source, checked));
  fmt::print("verification: {}\n\n", verified.verified ? "every pass kept what it promises, value by value"
                                                       : verified.report.verify->first_difference);

  ZP_TRY(const std::unique_ptr<Model> integer, load_model(target));
  ZP_TRY(const RunResult before, run_all(*original, images, "trained model"));
  ZP_TRY(const RunResult after, run_all(*integer, images, "integer model"));
  const Difference difference = compare_tensors("logits", before.logits, after.logits);
  int64_t changed = 0;
  for (int64_t i = 0; i < labels.elements(); ++i)
    changed += best_class(before.logits, i) != best_class(after.logits, i);
  TextTable table({"", "trained archive", "integer model"});
  table.add({"file", human_bytes(static_cast<double>(report.input.bytes)),
             human_bytes(static_cast<double>(report.output.bytes))});
  table.add({"nodes", std::to_string(report.input.nodes), std::to_string(report.output.nodes)});
  table.add({fmt::format("top-1 on {} test images", labels.elements()),
             fmt::format("{:.2f} %", 100 * top1(before.logits, labels)),
             fmt::format("{:.2f} %", 100 * top1(after.logits, labels))});
  table.add(
      {"reference run, all images", fmt::format("{:.0f} ms", before.ms), fmt::format("{:.0f} ms", after.ms)});
  fmt::print("{}\n", table.str(2));
  fmt::print("  logits agree to {}; {} of {} predictions differ\n",
             difference.sqnr_db ? fmt::format("{:.2f} dB", *difference.sqnr_db) : "the bit", changed,
             labels.elements());
  fmt::print("  compiled in {:.1f} ms: read {:.1f}, passes {:.1f}, write {:.1f}; peak memory {}\n",
             report.time_ms.total, report.time_ms.import, report.time_ms.passes, report.time_ms.export_,
             human_bytes(static_cast<double>(report.peak_rss_bytes)));
  fmt::print("  written to {}\n\n", target);

  std::vector<int64_t> rows;
  for (int64_t i = 0; i < labels.elements() && rows.size() < 2; ++i)
    if (best_class(after.logits, i) != labels.get_int(i)) rows.push_back(i);  // the hard ones first
  for (int64_t i = 0; i < labels.elements() && rows.size() < 5; ++i)
    if (std::find(rows.begin(), rows.end(), i) == rows.end()) rows.push_back(i);
  draw(images, before.logits, after.logits, labels, rows);
  if (!verified.verified)
    return Error("verify", verified.report.verify->first_difference, ErrorKind::Verification);
  return {};
}

}  // namespace
}  // namespace zp

int main(int argc, char** argv) {
  zp::set_thread_count(0);
  const zp::Status status = zp::demo(argc > 1 ? argv[1] : "models/digits");
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.error().str());
  return static_cast<int>(status.error().kind());
}
