// The figures that the project claims, measured here and now: each with its target, on whole processes, best
// of repeated runs. `bench_figures --build BUILD [--quick] [--only GROUP]... [--keep FOLDER]`;
// `bench_figures --write-chains FOLDER COUNT` writes the first random chains as text.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "backend_figures.h"
#include "chains.h"
#include "compile/compile.h"
#include "formats/npy.h"
#include "formats/pt2/export.h"
#include "formats/pt2/import.h"
#include "passes/random_chains.h"
#include "process.h"
#include "report/table.h"
#include "support/clock.h"

namespace zp::bench {
namespace {

struct Figures {
  std::string build;
  bool quick = false;
  std::filesystem::path folder;
  TextTable table{{"figure", "measured", "target", "met"}};
  int missed = 0;

  std::string zp() const { return build + "/zp"; }
  std::string file(const std::string& name) const { return folder / name; }
  void add(const std::string& what, const std::string& measured, const std::string& target, bool met) {
    table.add({what, measured, target, met ? "yes" : "NO"});
    missed += !met;
  }
};

uint64_t file_size(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

// Sizes of the JSON records and of everything else, as the memory target counts them.
struct ArchiveSizes {
  double json = 0, payload = 0;
};
ArchiveSizes archive_sizes(const std::string& path) {
  // The graph record of these synthetic archives is all but a few kB of the file.
  return {static_cast<double>(file_size(path)), 0};
}

bool write_model(const Figures& f, const std::string& name, const Model& model) {
  const Status status = export_pt2(model, f.file(name));
  if (!status.ok()) fmt::print(stderr, "{}\n", status.error().str());
  return status.ok();
}

void digits(Figures& f) {
  const std::string model = std::string(ZP_SOURCE_DIR) + "/models/digits/qat_cadence_chain.pt2";
  const ProcessResult r =
      best_of(f.quick ? 20 : 100, {f.zp(), "compile", model, "-o", f.file("digits.pt2"), "-q"});
  f.add("compile digits (122 nodes)", r.exit_code == 0 ? fmt::format("{:.2f} ms", r.ms) : "failed", "5 ms",
        r.exit_code == 0 && r.ms <= 5);
}

void chain(Figures& f) {
  double first = 0;
  for (const int64_t nodes : {int64_t{24002}, int64_t{240020}}) {
    const std::string name = fmt::format("chain_{}.pt2", nodes);
    if (!write_model(f, name, *qdq_chain(nodes))) {
      f.add(name, "not written", "", false);
      return;
    }
    const ProcessResult r = best_of(nodes < 100000 ? (f.quick ? 5 : 15) : (f.quick ? 1 : 3),
                                    {f.zp(), "compile", f.file(name), "-o", f.file("out.pt2"), "-q"});
    const ArchiveSizes sizes = archive_sizes(f.file(name));
    const std::string what =
        fmt::format("compile a Q/DQ chain of {} nodes ({})", nodes, human_bytes(sizes.json));
    if (r.exit_code != 0) {
      f.add(what, "failed", "", false);
      return;
    }
    if (first == 0) {
      first = r.ms;
      f.add(what, fmt::format("{:.0f} ms", r.ms), "250 ms", r.ms <= 250);
    } else {
      f.add(what, fmt::format("{:.0f} ms = {:.1f} x", r.ms, r.ms / first), "11 x", r.ms <= 11 * first);
    }
    const double limit = 1.15 * sizes.payload + 3 * sizes.json + 20e6;
    f.add("  peak memory", human_bytes(static_cast<double>(r.peak_rss_bytes)), human_bytes(limit),
          static_cast<double>(r.peak_rss_bytes) <= limit);
  }
}

void qat_blocks(Figures& f) {
  double first = 0;
  for (const int64_t blocks : {int64_t{1000}, int64_t{10000}}) {
    const std::string name = fmt::format("blocks_{}.pt2", blocks);
    if (!write_model(f, name, *conv_bn_blocks(blocks))) {
      f.add(name, "not written", "", false);
      return;
    }
    CompileOptions options;
    options.check_graph = false;
    double pass_ms = 1e300, total = 1e300;
    uint64_t nodes = 0;
    for (int i = 0; i < (f.quick ? 1 : 3); ++i) {
      auto compiled = compile_model(f.file(name), options);
      if (!compiled.ok()) {
        f.add(name, compiled.error().str(), "", false);
        return;
      }
      nodes = compiled->report.input.nodes;
      total = std::min(total, compiled->report.time_ms.total);
      for (const auto& p : compiled->report.passes)
        if (p.name == "fold-qat-batch-norm") pass_ms = std::min(pass_ms, p.ms);
    }
    const double per_node = pass_ms * 1000 / static_cast<double>(nodes);
    f.add(fmt::format("fold {} conv-bn blocks ({} nodes)", blocks, nodes),
          fmt::format("{:.1f} ms = {:.2f} us a node", pass_ms, per_node), "2 us a node", per_node <= 2);
    if (first == 0) {
      first = total;
    } else {
      f.add("  whole compile against a tenth of the blocks", fmt::format("{:.1f} x", total / first), "11 x",
            total <= 11 * first);
    }
  }
}

// A file of 4 GB is listed without reading its weights, which are holes of a sparse file here.
void huge(Figures& f) {
  const std::string model = f.file("huge.pt2");
  const std::string script = std::string(ZP_SOURCE_DIR) + "/models/make_large.py";
  if (run_process({"/usr/bin/env", "python3", script, "huge:4", model, "--sparse"}).exit_code != 0) {
    f.add("inspect 4 GB", "not written (needs python3)", "50 ms", false);
    return;
  }
  const ProcessResult r = best_of(f.quick ? 3 : 10, {f.zp(), "inspect", model});
  f.add(fmt::format("inspect {}", human_bytes(static_cast<double>(file_size(model)))),
        r.exit_code == 0 ? fmt::format("{:.1f} ms", r.ms) : "failed", "50 ms",
        r.exit_code == 0 && r.ms <= 50);
  uint64_t most = 0;
  for (int i = 0; i < 3; ++i) most = std::max(most, peak_private_bytes({f.zp(), "inspect", model}));
  f.add("  peak memory without pages of the file", human_bytes(static_cast<double>(most)), "100 MB",
        most > 0 && static_cast<double>(most) <= 100e6);
  std::filesystem::remove(model);
}

// Folds of random chains, each held to what its record promises.
void random_folds(Figures& f) {
  const uint64_t graphs = f.quick ? 5000 : 100000;
  uint64_t wrong = 0;
  std::string first;
  for (uint64_t seed = 1; seed <= graphs; ++seed) {
    const std::string what = test::check_random_chain(seed);
    if (what.empty()) continue;
    if (wrong++ == 0) first = what;
  }
  if (!first.empty()) fmt::print(stderr, "{}\n", first);
  f.add(fmt::format("folds of {} random chains", graphs), fmt::format("{} break a promise", wrong), "0",
        wrong == 0);
}

// Random chains as text files, for other programs to look at.
int write_chains(const std::filesystem::path& folder, uint64_t count) {
  std::filesystem::create_directories(folder);
  for (uint64_t seed = 1; seed <= count; ++seed)
    std::ofstream(folder / fmt::format("chain_{}.zp", seed)) << test::random_chain_text(seed);
  return 0;
}

// The same bytes copied by the kernel from file to file.
double copy_ms(const std::string& from, const std::string& to) {
  ::unlink(to.c_str());
  const double start = now_ms();
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ssize_t n = 1;
  while (in >= 0 && out >= 0 && n > 0) n = ::copy_file_range(in, nullptr, out, nullptr, size_t{1} << 30, 0);
  if (in >= 0) ::close(in);
  if (out >= 0) ::close(out);
  return n == 0 ? now_ms() - start : 0;
}

// Reading and passes of networks as people bring them, and writing them against a copy of the same bytes.
void networks(Figures& f) {
  struct Network {
    const char* name;
    double target_ms;
  };
  for (const Network& n : {Network{"mobilenet_v2", 10}, Network{"resnet50", 20}, Network{"bert_base", 60}}) {
    const std::string model = f.file(std::string(n.name) + ".pt2"), out = f.file("network.pt2");
    const std::string script = std::string(ZP_SOURCE_DIR) + "/models/make_large.py";
    if (run_process({"/usr/bin/env", "python3", script, n.name, model}).exit_code != 0) {
      f.add(n.name, "not made: models/make_large.py needs python3", "", false);
      continue;
    }
    double read = 1e300, write = 1e300, copy = 1e300;
    for (int i = 0; i < (f.quick ? 3 : 10); ++i) {
      ::unlink(out.c_str());  // a new file each time, as for the copy
      auto compiled = compile_file(model, out, {});
      if (!compiled.ok()) {
        f.add(n.name, compiled.error().str(), "", false);
        return;
      }
      const auto& t = compiled->report.time_ms;
      read = std::min(read, t.import + t.passes);
      write = std::min(write, t.export_);
      copy = std::min(copy, copy_ms(out, f.file("copy.pt2")));
    }
    f.add(fmt::format("read and rewrite {} ({})", n.name, human_bytes(static_cast<double>(file_size(model)))),
          fmt::format("{:.1f} ms", read), fmt::format("{} ms", n.target_ms), read <= n.target_ms);
    f.add("  writing it against a copy of the bytes",
          fmt::format("{:.1f} ms = {:.2f} x", write, write / copy), "1.3 x", write <= 1.3 * copy);
  }
}

void reference_run(Figures& f) {
  Tensor image = std::move(*Tensor::make(DType::F32, {1, 3, 224, 224}));
  for (int64_t i = 0; i < image.elements(); ++i)
    image.set_double(i, static_cast<double>(i % 251) / 125.0 - 1);
  if (!write_npy(f.file("image.npy"), image).ok()) return;
  const ProcessResult r = best_of(f.quick ? 1 : 3, {f.zp(), "run", f.file("resnet50.pt2"), "--input",
                                                    f.file("image.npy"), "--output-dir", f.file("out")});
  f.add("run resnet50 at 224 x 224 in reference mode",
        r.exit_code == 0 ? fmt::format("{:.2f} s", r.ms / 1000) : "failed", "3 s",
        r.exit_code == 0 && r.ms <= 3000);
}

void import_scale(Figures& f) {
  double times[2] = {1e300, 1e300};
  const int64_t sizes[2] = {24002, 240020};
  for (int k = 0; k < 2; ++k) {
    for (int i = 0; i < (f.quick ? 1 : 3); ++i) {
      const double start = now_ms();
      if (!import_pt2(f.file(fmt::format("chain_{}.pt2", sizes[k]))).ok()) return;
      times[k] = std::min(times[k], now_ms() - start);
    }
  }
  f.add(fmt::format("import {} nodes against {}", sizes[1], sizes[0]),
        fmt::format("{:.0f} ms = {:.1f} x", times[1], times[1] / times[0]), "11 x",
        times[1] <= 11 * times[0]);
}

void binary(Figures& f) {
  const std::string stripped = f.file("zp.stripped");
  const ProcessResult r = run_process({"/usr/bin/strip", "-o", stripped, f.zp()});
  const double size = static_cast<double>(file_size(stripped));
  f.add("stripped binary", r.exit_code == 0 ? human_bytes(size) : "failed", "8 MB",
        r.exit_code == 0 && size <= 8e6);
}

std::string machine() {
  std::string isa = "x86-64";
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) isa += " avx2";
  if (__builtin_cpu_supports("avx512f")) isa += " avx512f";
  if (__builtin_cpu_supports("avx512vnni")) isa += " avx512vnni";
#endif
  return isa;
}

void backends(Figures& f) {
  for (const Figure& b : backend_figures(f.quick)) f.add(b.what, b.measured, b.target, b.met);
}

// In this order: later groups read files that earlier ones wrote.
struct Group {
  std::string_view name;
  void (*measure)(Figures&);
};
constexpr Group kGroups[] = {{"digits", digits},     {"chain", chain},       {"import", import_scale},
                             {"qat", qat_blocks},    {"huge", huge},         {"random", random_folds},
                             {"backends", backends}, {"networks", networks}, {"run", reference_run},
                             {"binary", binary}};

int run(int argc, char** argv) {
  Figures f;
  f.build = "build";
  std::vector<std::string_view> only;
  bool keep = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) f.quick = true;
    if (std::strcmp(argv[i], "--build") == 0 && i + 1 < argc) f.build = argv[++i];
    if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) only.emplace_back(argv[++i]);
    if (std::strcmp(argv[i], "--keep") == 0 && i + 1 < argc) f.folder = argv[++i], keep = true;
  }
  if (argc == 4 && std::strcmp(argv[1], "--write-chains") == 0)
    return write_chains(argv[2], std::strtoull(argv[3], nullptr, 10));
  f.build = std::filesystem::absolute(f.build);
  if (!keep)
    f.folder = std::filesystem::temp_directory_path() / fmt::format("zeropoint-bench-{}", ::getpid());
  std::filesystem::create_directories(f.folder);
  fmt::print("machine: {}, {} cores\n\n", machine(), ::sysconf(_SC_NPROCESSORS_ONLN));
  for (const Group& group : kGroups)
    if (only.empty() || std::find(only.begin(), only.end(), group.name) != only.end()) group.measure(f);
  fmt::print("{}\n{} of {} figures met\n", f.table.str(), static_cast<int>(f.table.size()) - f.missed,
             f.table.size());
  if (!keep) std::filesystem::remove_all(f.folder);
  return 0;
}

}  // namespace
}  // namespace zp::bench

int main(int argc, char** argv) { return zp::bench::run(argc, argv); }
