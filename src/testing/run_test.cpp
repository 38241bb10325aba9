// What each kind of text test does. A failure is a line for a person; the first error ends a test, as what
// follows it would only repeat it.
#include "testing/run_test.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "backend/backend.h"
#include "compile/compile.h"
#include "compile/files.h"
#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/text_form.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/fuse/fuse.h"
#include "passes/pipeline.h"
#include "support/sha256.h"

namespace zp::testing {

namespace {

constexpr size_t kInlineElements = 256;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

std::string relative_to(const std::string& test_path, const std::string& file) {
  return file.starts_with('/') ? file : folder_of(test_path) + file;
}

std::string tensor_text(const Tensor& t) {
  std::string out(dtype_name(t.dtype()));
  out += '[';
  for (size_t i = 0; i < t.shape().size(); ++i) out += (i > 0 ? "," : "") + std::to_string(t.shape()[i]);
  out += "] ";
  std::string data = "[";
  bool exact = static_cast<size_t>(t.elements()) <= kInlineElements;
  for (int64_t i = 0; i < t.elements() && exact; ++i) {
    if (i > 0) data += ',';
    if (bits_of(t.dtype()) < 8) data += std::to_string(t.get_int(i));  // one element a byte at run time
    else exact = text_form::append_element(&data, t.dtype(), t.data<std::byte>(), i);
  }
  if (exact) return out + data + "]";
  return out + "sha256 " + sha256_hex({t.data<std::byte>(), static_cast<size_t>(t.bytes())});
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.data<std::byte>(), b.data<std::byte>(), static_cast<size_t>(a.bytes())) == 0;
}

double largest_gap(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  double worst = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.get_double(i), y = b.get_double(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double gap = std::fabs(x - y);
    worst = std::max(worst, std::isnan(gap) ? INFINITY : gap);
  }
  return worst;
}

std::string record_text(const RewriteRecord& r) {
  std::string out = r.pass;
  if (!r.pattern.empty()) out += " " + r.pattern;
  out += ":";
  for (size_t i = 0; i < r.nodes.size(); ++i) out += (i > 0 ? ", " : " ") + r.nodes[i];
  if (!r.into.empty()) out += " -> " + r.into;
  if (!r.note.empty()) out += "; " + r.note;
  return out;
}

std::string record_text(const KeptRecord& r) {
  return fmt::format("{} ({}) {} {} {}: wanted {}, found {}; {}", r.node, r.op, r.pass, r.pattern, r.clause,
                     r.wanted, r.found, r.text);
}

class TestRun {
 public:
  TestRun(const TestFile& test, uint64_t seed) : test_(test), seed_(seed) {}

  Outcome run() {
    const Status status = dispatch();
    if (!status) errors_seen(status.error().diagnostics());
    else if (!test_.errors.empty() && !errors_checked_) errors_seen({});
    return std::move(outcome_);
  }

 private:
  void fail(std::string text) { outcome_.failures.push_back(std::move(text)); }

  // Every expected error is there; without expectations, none is.
  void errors_seen(const std::vector<Diagnostic>& found) {
    std::string list;
    for (const Diagnostic& d : found) list += "\n  " + d.str();
    if (test_.errors.empty()) return fail("error:" + list);
    for (const TestFile::ExpectedError& e : test_.errors) {
      bool seen = false;
      for (const Diagnostic& d : found) {
        const bool here = e.line == 0 || (d.where.line == e.line && d.where.column == e.column);
        seen = seen || (here && d.str().find(e.text) != std::string::npos);
      }
      const std::string place = e.line == 0 ? "" : fmt::format(" at {}:{}", e.line, e.column);
      if (!seen)
        fail(fmt::format("the expected error{} \"{}\" did not come{}", place, e.text,
                         list.empty() ? "; there was none" : "; there was:" + list));
    }
  }

  Status dispatch() {
    if (test_.mode == "roundtrip") return roundtrip();
    if (test_.mode == "verify") return verify_mode();
    if (test_.mode == "opt") return optimize();
    if (test_.mode == "run") return run_mode();
    if (test_.mode == "import") return import_mode();
    if (test_.mode == "export") return export_mode();
    if (test_.mode == "same") return same_mode();
    return {};
  }

  Status one_argument(std::string_view what) const {
    if (test_.arguments.size() == 1) return {};
    return Error(
        "", fmt::format("test: {} takes {}, found {} arguments", test_.mode, what, test_.arguments.size()));
  }
  std::string setting(const char* key, std::string fallback) const {
    const auto found = test_.settings.find(key);
    return found == test_.settings.end() ? fallback : found->second;
  }
  Status check_settings(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : test_.settings) {
      if (std::find(known.begin(), known.end(), key) == known.end())
        return Error("", fmt::format("test: {} has no setting '{}'", test_.mode, key));
    }
    return {};
  }

  Result<std::unique_ptr<Model>> parse() { return parse_model(test_.text, ops::table(), test_.path); }
  Result<std::unique_ptr<Model>> parse_valid() {
    ZP_TRY(std::unique_ptr<Model> model, parse());
    ZP_CHECK(verify_ok(*model));
    return model;
  }

  // What is compared, and a check for free: whatever is printed reads back equal.
  void show(const Model& model) {
    const std::string full = print(model);
    const auto again = parse_model(full, ops::table(), "printed text");
    if (!again) fail("the printed graph does not read back: " + again.error().str());
    else if (print(**again) != full) fail("the printed graph reads back as another");
    outcome_.actual = print(model, {.digests = true});
  }

  Status roundtrip() {
    ZP_CHECK(check_settings({}));
    ZP_TRY(const std::unique_ptr<Model> model, parse());
    show(*model);
    return {};
  }

  Status verify_mode() {
    ZP_CHECK(check_settings({}));
    ZP_TRY(const std::unique_ptr<Model> model, parse());
    const std::vector<Diagnostic> found = verify(*model, 1000);
    if (!test_.errors.empty()) {
      errors_seen(found);
      errors_checked_ = true;
      return {};
    }
    std::string text;
    for (Diagnostic d : found) {
      d.where.file.clear();
      text += d.str() + "\n";
    }
    outcome_.actual = text;
    return {};
  }

  // The inputs the test gives, or seeded ones.
  Result<std::vector<Sample>> samples(const Model& model) {
    std::vector<Sample> all;
    if (!test_.inputs.empty()) {
      Sample sample;
      for (const std::string& text : test_.inputs) {
        ZP_TRY(Tensor t, read_tensor(text));
        sample.push_back(std::move(t));
      }
      all.push_back(std::move(sample));
      return all;
    }
    for (int i = 0; i < test_.samples; ++i) {
      ZP_TRY(Sample sample, seeded_inputs(model, seed_ + static_cast<uint64_t>(i)));
      all.push_back(std::move(sample));
    }
    return all;
  }

  static Result<Tensor> read_tensor(const std::string& text) {
    const std::string declaration = "zp 1\n@input = " + text + "\ngraph main() -> () {\n}\n";
    ZP_TRY(const std::unique_ptr<Model> holder, parse_model(declaration, ops::table(), "# input: " + text));
    const Constant* c = holder->context->find_constant("input");
    if (c == nullptr) return Error("", "# input: " + text + " holds no data");
    return constant_tensor(*holder->context, *c);
  }

  Status optimize() {
    ZP_CHECK(one_argument("a list of passes"));
    ZP_CHECK(check_settings({"backend"}));
    ZP_TRY(const std::unique_ptr<Model> model, parse_valid());
    // A file is looked for beside the test.
    const std::string target = setting("backend", "none");
    ZP_TRY(const std::unique_ptr<Backend> backend,
           load_backend(target.ends_with(".zpb") ? relative_to(test_.path, target) : target));
    std::vector<Sample> inputs;
    if (!test_.norun) { ZP_TRY(inputs, samples(*model)); }
    Records records;
    PassContext context{*model, backend.get(), records, inputs};
    PipelineOptions options;
    for (size_t i = 0; i <= test_.arguments[0].size();) {
      const size_t end = std::min(test_.arguments[0].find(',', i), test_.arguments[0].size());
      options.passes.push_back(test_.arguments[0].substr(i, end - i));
      i = end + 1;
    }
    options.check_graph = true;
    options.verify = !test_.norun;
    ZP_TRY(const PipelineResult result, run_passes(context, options));
    if (const auto& d = result.verify.first_difference) {
      fail(fmt::format("pass {}: value '{}' moved by {:.6g}, promised at most {:.6g}", d->pass, d->value,
                       d->difference, d->allowed));
    }
    check_records(records);
    show(*model);
    return {};
  }

  void check_records(const Records& records) {
    std::string kept, done;
    for (const KeptRecord& r : records.kept) kept += "\n  " + record_text(r);
    for (const RewriteRecord& r : records.rewrites) done += "\n  " + record_text(r);
    for (const TestFile::Refusal& refusal : test_.refusals) {
      bool seen = false;
      for (const KeptRecord& r : records.kept) {
        const bool named = refusal.name == r.node || refusal.name == r.pattern || refusal.name == r.op ||
                           refusal.name == r.pass;
        seen = seen || (named && record_text(r).find(refusal.text) != std::string::npos);
      }
      if (!seen)
        fail(fmt::format("no refusal of '{}' because of \"{}\"; kept:{}", refusal.name, refusal.text,
                         kept.empty() ? " nothing" : kept));
    }
    const auto recorded = [&](const std::string& text) {
      for (const RewriteRecord& r : records.rewrites)
        if (record_text(r).find(text) != std::string::npos) return true;
      return false;
    };
    for (const std::string& text : test_.records)
      if (!recorded(text))
        fail(fmt::format("no record holds \"{}\"; recorded:{}", text, done.empty() ? " nothing" : done));
    for (const std::string& text : test_.absent_records)
      if (recorded(text)) fail(fmt::format("a record holds \"{}\"; recorded:{}", text, done));
  }

  Status run_mode() {
    ZP_CHECK(check_settings({}));
    ZP_TRY(const std::unique_ptr<Model> model, parse_valid());
    ZP_TRY(const std::vector<Sample> inputs, samples(*model));
    std::vector<Tensor> state;
    RunOptions options;
    options.state_after = &state;
    ZP_TRY(const std::vector<Tensor> outputs, zp::run(*model, inputs[0], options));
    std::string text;
    for (size_t i = 0; i < outputs.size(); ++i)
      text += fmt::format("out {}: {}\n", i, tensor_text(outputs[i]));
    for (size_t i = 0; i < state.size(); ++i) text += fmt::format("state {}: {}\n", i, tensor_text(state[i]));
    outcome_.actual = text;
    return {};
  }

  Status import_mode() {
    ZP_CHECK(one_argument("a file"));
    ZP_CHECK(check_settings({}));
    ZP_TRY(const std::unique_ptr<Model> model, load_model(relative_to(test_.path, test_.arguments[0])));
    ZP_CHECK(verify_ok(*model));
    show(*model);
    return {};
  }

  Status export_mode() {
    ZP_CHECK(one_argument("a suffix"));
    ZP_CHECK(check_settings({}));
    ZP_TRY(const std::unique_ptr<Model> model, parse_valid());
    const char* folder = std::getenv("TMPDIR");
    const std::string path =
        fmt::format("{}/zp_test_{}{}", folder != nullptr ? folder : "/tmp", ::getpid(), test_.arguments[0]);
    ZP_CHECK(save_model(*model, path));
    auto loaded = load_model(path);
    std::remove(path.c_str());
    if (!loaded) return std::move(loaded).error();
    ZP_CHECK(verify_ok(**loaded));
    if (!test_.norun) ZP_CHECK(compare(*model, **loaded, 0));
    show(**loaded);
    return {};
  }

  // FILE [within X]
  Status same_mode() {
    ZP_CHECK(check_settings({}));
    const std::vector<std::string>& a = test_.arguments;
    double within = 0;
    if (a.size() == 3 && a[1] == "within") {
      TextCursor cursor(a[2]);
      ZP_TRY(within, cursor.real("the largest difference"));
    } else if (a.size() != 1) {
      return Error("", "test: same takes FILE, or FILE within X");
    }
    ZP_TRY(const std::unique_ptr<Model> model, parse_valid());
    ZP_TRY(const std::unique_ptr<Model> other, load_model(relative_to(test_.path, a[0])));
    ZP_CHECK(verify_ok(*other));
    return compare(*model, *other, within);
  }

  Status compare(const Model& a, const Model& b, double within) {
    ZP_TRY(const std::vector<Sample> inputs, samples(a));
    for (const Sample& sample : inputs) {
      ZP_TRY(const std::vector<Tensor> x, zp::run(a, sample));
      ZP_TRY(const std::vector<Tensor> y, zp::run(b, sample));
      if (x.size() != y.size()) {
        fail(fmt::format("{} outputs here, {} there", x.size(), y.size()));
        return {};
      }
      for (size_t i = 0; i < x.size(); ++i) {
        if (same_bits(x[i], y[i])) continue;
        const double gap = largest_gap(x[i], y[i]);
        if (within > 0 && gap <= within) continue;
        fail(fmt::format("output {} differs by {:.6g}{}", i, gap,
                         within > 0 ? fmt::format(", {:.6g} is allowed", within) : ""));
      }
    }
    return {};
  }

  const TestFile& test_;
  uint64_t seed_;
  Outcome outcome_;
  bool errors_checked_ = false;
};

}  // namespace

Outcome run_test(const TestFile& test, uint64_t seed) { return TestRun(test, seed).run(); }

}  // namespace zp::testing
