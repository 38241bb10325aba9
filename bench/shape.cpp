// Shape operators on quantized constants: how fast elements move against memcpy, what folding costs in nodes
// and in bytes, and the algebra held to its element-wise meaning on every small case. `bench_shape
// [--quick]`.
#include <fmt/format.h>

#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "ir/move_data.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/shape.h"
#include "ops/view.h"
#include "passes/shape/shape.h"
#include "report/table.h"
#include "support/clock.h"
#include "support/mapped_file.h"
#include "support/strided_copy.h"
#include "test/passes/shape_algebra_runs.h"

namespace zp::bench {
namespace {

struct Figures {
  bool quick = false;
  TextTable table{{"figure", "measured", "target", "met"}};
  int missed = 0;

  void add(const std::string& what, const std::string& measured, const std::string& target, bool met) {
    table.add({what, measured, target, met ? "yes" : "NO"});
    missed += !met;
  }
};

double best_ms(int repeats, const std::function<void()>& run) {
  double best = 1e300;
  for (int i = 0; i < repeats; ++i) {
    const double start = now_ms();
    run();
    best = std::min(best, now_ms() - start);
  }
  return best;
}

// ---------------------------------------------------------------- bytes

constexpr int64_t kBytes = int64_t{64} << 20;

struct Permutation {
  const char* what;
  DType dtype;
  IntShape shape;
  std::vector<int64_t> dims;
  double target;  // share of the rate of memcpy
};

void permutes(Figures& f) {
  std::byte *source = nullptr, *to = nullptr;
  const Blob storage = Blob::allocate(kBytes, &source), result = Blob::allocate(kBytes, &to);
  for (int64_t i = 0; i < kBytes; ++i) source[i] = static_cast<std::byte>(i * 7 + (i >> 13));
  std::memset(to, 0, kBytes);
  const int repeats = f.quick ? 5 : 30;
  const std::vector<Permutation> all{
      {"i8 [8192,8192] transposed", DType::I8, {8192, 8192}, {1, 0}, 0.6},
      {"i8 [512,14560,3,3] OIHW to OHWI", DType::I8, {512, 14560, 3, 3}, {0, 2, 3, 1}, 0.6},
      {"i8 [16,64,256,256] NCHW to NHWC", DType::I8, {16, 64, 256, 256}, {0, 2, 3, 1}, 0.6},
      {"i8 [16,256,256,64] NHWC to NCHW", DType::I8, {16, 256, 256, 64}, {0, 3, 1, 2}, 0.6},
      {"i16 [8192,4096] transposed", DType::I16, {8192, 4096}, {1, 0}, 0.6},
      {"i16 [512,7280,3,3] OIHW to OHWI", DType::I16, {512, 7280, 3, 3}, {0, 2, 3, 1}, 0.6},
      {"f32 [4096,4096] transposed", DType::F32, {4096, 4096}, {1, 0}, 0.6},
      {"f32 [64,256,1024] (0,2,1)", DType::F32, {64, 256, 1024}, {0, 2, 1}, 0.6},
      {"i4 [8192,16384] transposed", DType::I4, {8192, 16384}, {1, 0}, 0.3},
  };
  for (const Permutation& p : all) {
    const std::vector<int64_t> strides = dense_strides(p.shape);
    StridedView view;
    view.storage = storage;
    view.width = byte_size(p.dtype);
    for (const int64_t d : p.dims) {
      view.shape.push_back(p.shape[static_cast<size_t>(d)]);
      view.strides.push_back(strides[static_cast<size_t>(d)]);
    }
    // Both in turn, so that both meet the machine in the same state.
    double copy = 1e300, ms = 1e300;
    for (int i = 0; i < repeats; ++i) {
      copy = std::min(copy, best_ms(1, [&] { std::memcpy(to, source, kBytes); }));
      ms = std::min(ms, best_ms(1, [&] {
                      if (p.dtype == DType::I4)
                        copy_nibbles({storage.bytes(), 0, view.strides}, view.shape, to);
                      else copy_strided(view, to);
                    }));
    }
    const double bytes = static_cast<double>(storage_bytes(p.dtype, view.elements()));
    const double share = copy / ms * bytes / static_cast<double>(kBytes);
    f.add(fmt::format("permute {}", p.what),
          fmt::format("{:.1f} ms = {:.0f} % of memcpy ({:.1f} ms)", ms, share * 100, copy),
          fmt::format("{:.0f} %", p.target * 100), share >= p.target);
  }
}

// ---------------------------------------------------------------- nodes

Value* make(Graph& graph, const OpDef& op, Value* x, const void* attrs) {
  Value* operands[] = {x};
  Node* node = graph.create({.op = &op, .operands = operands, .attrs = attrs});
  if (const Status status = node->infer(); !status.ok()) {
    fmt::print(stderr, "bench: {}\n", status.error().str());
    std::abort();
  }
  return node->result();
}

// constant -> dequantize -> `nodes` shape operators -> relu; one scale a row.
std::unique_ptr<Model> shape_chain(int64_t nodes) {
  auto model = std::make_unique<Model>();
  Graph& graph = *model->graph;
  Context& context = graph.context();
  QuantType quant;
  quant.axis = 0;
  quant.scales = context.make_constant("scale", DType::F32, IntShape{64}, std::vector<float>(64, 0.5f));
  Value* x = graph.add_const(
      *context.make_constant("w", DType::I8, IntShape{64, 48}, std::vector<int8_t>(64 * 48, 3)));
  x->set_type(context.with_quant(x->type(), *context.quant(quant)));
  x = make(graph, ops::dequantize, x, nullptr);
  const ops::PermuteAttrs turn{context.ints({1, 0})}, swap{context.ints({0, 2, 1})};
  const ops::FlipAttrs flip{context.ints({0})};
  const ops::ReshapeAttrs apart{context.dims_of(std::vector<int64_t>{64, 6, 8})};
  const ops::ReshapeAttrs together{context.dims_of(std::vector<int64_t>{64, 48})};
  for (int64_t i = 0; i < nodes; i += 6) {
    x = make(graph, ops::reshape, x, &apart);
    x = make(graph, ops::permute, x, &swap);
    x = make(graph, ops::reshape, x, &together);
    x = make(graph, ops::permute, x, &turn);
    x = make(graph, ops::flip, x, &flip);
    x = make(graph, ops::permute, x, &turn);
  }
  x = make(graph, ops::relu, x, nullptr);
  graph.set_outputs(std::span<Value* const>(&x, 1));
  model->outputs.resize(1);
  return model;
}

double fold_ms(Model& model) {
  Records records;
  PassContext pass{model, nullptr, records, {}};
  const double start = now_ms();
  const Status status = kFoldShapePass.run(pass);
  const double ms = now_ms() - start;
  if (!status.ok() || records.rewrites.empty()) fmt::print(stderr, "bench: nothing was folded\n");
  return ms;
}

void chains(Figures& f) {
  double few = 1e300, many = 1e300;
  for (int i = 0; i < (f.quick ? 2 : 5); ++i) {
    few = std::min(few, fold_ms(*shape_chain(10000)));
    many = std::min(many, fold_ms(*shape_chain(100000)));
  }
  f.add("fold a chain of 100000 shape operators", fmt::format("{:.0f} ms", many), "200 ms", many <= 200);
  f.add("  against 10000 of them", fmt::format("{:.1f} x", many / few), "11 x", many <= 11 * few);
}

// ---------------------------------------------------------------- mapped weights

// A file of 4 GB that takes no room on disk; none of its pages is read.
void mapped(Figures& f) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("zeropoint-bench-{}.bin", ::getpid())).string();
  constexpr int64_t kRows = 4096, kColumns = 1 << 20;
  {
    FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) return;
    std::fclose(file);
    std::filesystem::resize_file(path, static_cast<uint64_t>(kRows) * kColumns);
  }
  auto opened = MappedFile::open(path);
  std::filesystem::remove(path);
  if (!opened.ok()) return f.add("map 4 GB", opened.error().str(), "", false);
  const auto run = [&](bool sliced, bool* same) {
    Model model;
    Graph& graph = *model.graph;
    Context& context = graph.context();
    QuantType quant;
    quant.axis = 0;
    quant.scales =
        context.make_constant("scale", DType::F32, IntShape{kRows}, std::vector<float>(kRows, 0.5f));
    const Blob bytes = Blob::from_file(*opened, 0, static_cast<size_t>(kRows) * kColumns);
    Value* x = graph.add_const(*context.make_constant("w", DType::I8, IntShape{kRows, kColumns}, bytes));
    x->set_type(context.with_quant(x->type(), *context.quant(quant)));
    x = make(graph, ops::dequantize, x, nullptr);
    const ops::ReshapeAttrs apart{context.dims_of(std::vector<int64_t>{kRows, 1024, 1024})};
    const ops::SliceAttrs rows{.dim = 0, .start = Dim(256), .end = Dim(2304), .step = 2};
    x = make(graph, ops::reshape, x, &apart);
    if (sliced) x = make(graph, ops::slice, x, &rows);
    x = make(graph, ops::relu, x, nullptr);
    graph.set_outputs(std::span<Value* const>(&x, 1));
    model.outputs.resize(1);
    const double ms = fold_ms(model);
    *same = false;
    for (const Constant* c : context.constants())
      *same |= c->name != "w" && c->dtype == DType::I8 && c->storage.data() == bytes.data();
    return ms;
  };
  for (const bool sliced : {false, true}) {
    bool same = true;
    const uint64_t before = peak_rss_bytes();
    const double first = run(sliced, &same);
    const double us = 1000 * std::min(first, run(sliced, &same));
    const double grown = static_cast<double>(peak_rss_bytes() - before);
    f.add(fmt::format("fold {} of a mapped constant of 4 GB", sliced ? "reshape and slice" : "reshape"),
          fmt::format("{:.0f} us, {}", us, same ? "no byte copied" : "COPIED"), "1000 us, a view",
          same && us <= 1000 && grown < 64e6);
  }
}

// ---------------------------------------------------------------- all small cases

void algebra(Figures& f) {
  using zp::algebra::Count;
  struct Run {
    const char* what;
    std::vector<std::function<Count()>> parts;
  };
  std::vector<Run> runs(3);
  runs[0].what = "single operators up to four dims, every quantization";
  runs[0].parts = {[&] { return zp::algebra::run_singles(4, f.quick ? 97 : 13, false, !f.quick); },
                   [] { return zp::algebra::run_singles(3, 1, true, true); }};
  runs[1].what = "pairs up to three dims";
  constexpr int kParts = 16;
  for (int part = 0; part < (f.quick ? 1 : kParts); ++part)
    runs[1].parts.push_back([part] { return zp::algebra::run_pairs(part, kParts, false); });
  runs[2].what = "seeded triples";
  for (uint32_t seed = 0; seed < 8; ++seed)
    runs[2].parts.push_back(
        [&f, seed] { return zp::algebra::run_triples(f.quick ? 2500 : 125000, seed + 1); });
  for (Run& run : runs) {
    const double start = now_ms();
    std::vector<Count> counts(run.parts.size());
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) {
      threads.emplace_back([&] {
        for (size_t i = next++; i < counts.size(); i = next++) counts[i] = run.parts[i]();
      });
    }
    for (std::thread& t : threads) t.join();
    int64_t cases = 0;
    std::string problem;
    for (const Count& c : counts) {
      cases += c.cases;
      if (problem.empty()) problem = c.problem;
    }
    if (!problem.empty()) fmt::print(stderr, "bench: {}\n", problem);
    f.add(fmt::format("algebra: {}", run.what),
          fmt::format("{} cases in {:.0f} s, {}", cases, (now_ms() - start) / 1000,
                      problem.empty() ? "all agree" : "NOT ALL AGREE"),
          "all agree", problem.empty());
  }
}

int run(int argc, char** argv) {
  Figures f;
  bool small_cases = true;
  for (int i = 1; i < argc; ++i) {
    f.quick |= std::strcmp(argv[i], "--quick") == 0;
    small_cases &= std::strcmp(argv[i], "--speed") != 0;
  }
  permutes(f);
  chains(f);
  mapped(f);
  if (small_cases) algebra(f);
  fmt::print("{}\n{} of {} figures met\n", f.table.str(), static_cast<int>(f.table.size()) - f.missed,
             f.table.size());
  return 0;
}

}  // namespace
}  // namespace zp::bench

int main(int argc, char** argv) { return zp::bench::run(argc, argv); }
