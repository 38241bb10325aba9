// zp explain: why each op that stays float or unfused stays so.
#include <fmt/format.h>

#include <algorithm>

#include "backend/backend.h"
#include "command.h"
#include "compile/compile.h"
#include "passes/fuse/matches.h"
#include "report/table.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model, node;
  CompileOptions compile;
  bool json = false;
};

// Every pattern that was tried on the node, as the graph stands when fusing begins.
Result<std::vector<fuse::PatternTrial>> attempts_at(const Options& o) {
  CompileOptions before = o.compile;
  before.passes = default_passes();
  before.passes.erase(std::find(before.passes.begin(), before.passes.end(), "fuse-qdq"), before.passes.end());
  ZP_TRY(const Compiled compiled, compile_model(o.model, before));
  ZP_TRY(const std::unique_ptr<Backend> backend, load_backend(before.backend));
  fuse::TrialOptions options;
  options.all = true;
  auto trials =
      fuse::try_patterns(*compiled.model, backend != nullptr ? *backend : Backend::permissive(), options);
  std::erase_if(trials, [&](const fuse::PatternTrial& t) {
    return std::find(t.nodes.begin(), t.nodes.end(), o.node) == t.nodes.end();
  });
  return trials;
}

void print_attempts(const std::vector<fuse::PatternTrial>& trials) {
  if (trials.empty()) return;
  TextTable table({"pattern", "types", "nodes", "outcome", "clause", "why not"});
  for (const fuse::PatternTrial& t : trials) {
    table.add({t.pattern, t.types, fmt::format("{}", fmt::join(t.nodes, ", ")),
               t.legal ? "taken" : "not taken", t.clause, t.why_not});
  }
  fmt::print("tried\n{}", table.str());
}

int run_explain(const Globals& globals, Options& o) {
  o.compile.form = "integer";
  o.compile.load.max_errors = globals.max_errors;
  o.compile.seed = globals.seed;
  Result<Compiled> result = compile_model(o.model, o.compile);
  if (!result.ok()) return fail(result.error(), o.model);
  std::vector<KeptRecord>& kept = result->report.records.kept;
  if (!o.node.empty()) {
    std::erase_if(kept, [&](const KeptRecord& k) { return k.node != o.node; });
    const auto& rewrites = result->report.records.rewrites;
    std::vector<RewriteRecord> mine;
    for (const RewriteRecord& r : rewrites) {
      if (r.into == o.node || std::find(r.nodes.begin(), r.nodes.end(), o.node) != r.nodes.end())
        mine.push_back(r);
    }
    auto trials = attempts_at(o);
    if (!trials.ok()) return fail(trials.error(), o.model);
    if (kept.empty() && mine.empty() && trials->empty()) {
      return fail(Error("explain.node", "no rewrite and no refusal concerns a node '" + o.node + "'"),
                  o.model);
    }
    if (!o.json && !mine.empty()) fmt::print("part of\n{}\n{}", rewrites_table(mine), folds_table(mine));
    if (!o.json && !kept.empty()) fmt::print("kept\n{}\n", kept_table(kept));
    if (!o.json) {
      print_attempts(*trials);
      return 0;
    }
  } else if (!o.json) {
    const std::string folds = folds_table(result->report.records.rewrites);
    if (!folds.empty())
      fmt::print(
          "signal to noise of folds against exact arithmetic, in the input model -> in the result\n{}\n",
          folds);
  }
  if (o.json) {
    fmt::print("{}\n", kept_json(kept));
  } else if (kept.empty()) {
    if (o.node.empty())
      fmt::print("every operator is an integer operator of backend {}\n", o.compile.backend);
  } else {
    fmt::print("{}", kept_table(kept));
  }
  return 0;
}

}  // namespace

void add_explain(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("explain", "say why ops stay float or unfused");
  cmd->add_option("MODEL", o->model, "model file")->required();
  cmd->add_option("--backend", o->compile.backend, "name of a backend or a .zpb file")->capture_default_str();
  cmd->add_option("--node", o->node, "only this node: what became of it, and every pattern that was tried");
  cmd->add_option("--verify", o->compile.verify, "measure folds on N seeded inputs (or the given ones)")
      ->expected(0, 1)
      ->default_str("1")
      ->check(CLI::Range(0, 1000));
  cmd->add_option("--input", o->compile.inputs, "FILE.npy or NAME=FILE.npy: sample inputs")
      ->allow_extra_args(false);
  cmd->add_flag("--json", o->json, "the list as JSON");
  cmd->callback([&globals, o] { globals.action = [&globals, o] { return run_explain(globals, *o); }; });
}

}  // namespace zp::cli
