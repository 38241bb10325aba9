// zp explain: why each op that stays float or unfused stays so.
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "compile/compile.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model, node;
  CompileOptions compile;
  bool json = false;
};

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
    if (kept.empty() && mine.empty()) {
      return fail(Error("explain.node", "no rewrite and no refusal concerns a node '" + o.node + "'"),
                  o.model);
    }
    if (!o.json && !mine.empty()) fmt::print("part of\n{}\n{}", rewrites_table(mine), folds_table(mine));
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
