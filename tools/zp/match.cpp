// zp match: which nodes each pattern of a backend claims, without changing anything.
#include <fmt/format.h>

#include "backend/backend.h"
#include "command.h"
#include "compile/compile.h"
#include "passes/fuse/matches.h"
#include "passes/fuse/observers.h"
#include "report/table.h"
#include "support/json_writer.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model, backend = "cpu", config;
  bool json = false, all = false, observers = false;
};

std::string_view outcome_name(int outcome) {
  static constexpr std::string_view kNames[] = {"accepted", "narrowed", "refused"};
  return kNames[static_cast<size_t>(outcome) % std::size(kNames)];
}

// What a wish came to, where it is not what was wished: "w narrowed: range -128:127 becomes -127:127".
std::string remarks(const fuse::PatternTrial& t) {
  if (!t.legal) return t.clause + ": " + t.why_not;
  std::string text;
  for (const backend::SlotDecision& s : t.slots)
    if (s.outcome != 0)
      text += fmt::format("{}{} {}: {}", text.empty() ? "" : "; ", s.slot, outcome_name(s.outcome), s.text);
  return text;
}

std::string matches_json(const std::vector<fuse::PatternTrial>& trials) {
  JsonWriter json(1);
  json.begin_object().key("matches").begin_array();
  for (const fuse::PatternTrial& t : trials) {
    json.begin_object().field("pattern", t.pattern).key("nodes").begin_array();
    for (const std::string& node : t.nodes) json.value(node);
    json.end_array().field("root", t.root).field("types", t.types).field("legal", t.legal);
    json.key("why_not");
    if (t.legal) json.null();
    else json.value(t.clause + ": " + t.why_not);
    if (!t.slots.empty()) {
      json.key("slots").begin_array();
      for (const backend::SlotDecision& s : t.slots) {
        json.begin_object().field("slot", s.slot).field("outcome", outcome_name(s.outcome));
        json.field("wanted", s.wanted).field("got", s.got).field("text", s.text).end_object();
      }
      json.end_array();
    }
    json.end_object();
  }
  json.end_array().end_object();
  return json.take();
}

std::string_view state_name(fuse::ObserverRow::State state) {
  return state == fuse::ObserverRow::Missing  ? "missing"
         : state == fuse::ObserverRow::Agrees ? "agrees"
                                              : "differs";
}

std::string observers_json(const std::vector<fuse::ObserverRow>& rows) {
  JsonWriter json(1);
  json.begin_object().key("observers").begin_array();
  for (const fuse::ObserverRow& r : rows) {
    json.begin_object().field("value", r.value).field("node", r.node).field("pattern", r.pattern);
    json.field("types", r.types).field("slot", r.slot).field("wants", r.wants).field("rule", r.rule);
    json.field("observer", r.observer).field("trains_as", r.trains_as).field("has", r.has);
    json.field("state", state_name(r.state)).field("why", r.why).end_object();
  }
  json.end_array().end_object();
  return json.take();
}

// What is to be observed at each value, and what stands there.
int print_observers(const std::vector<fuse::ObserverRow>& rows, const Options& o) {
  if (o.json) {
    fmt::print("{}\n", observers_json(rows));
    return 0;
  }
  TextTable table({"value", "slot of", "wants", "observed", "has", "state"});
  for (const fuse::ObserverRow& r : rows) {
    std::string observed = r.observer.empty() ? r.rule : r.rule + ", " + r.observer;
    if (!r.trains_as.empty()) observed += ", trained as " + r.trains_as;
    table.add({r.value, fmt::format("{} of {} ({})", r.slot, r.node, r.pattern), r.wants, observed, r.has,
               r.why.empty() ? std::string(state_name(r.state)) : fmt::format("differs: {}", r.why)});
  }
  fmt::print("{}", table.str());
  return 0;
}

int run_match(const Globals& globals, const Options& o) {
  LoadOptions load;
  load.max_errors = globals.max_errors;
  auto model = load_model(o.model, load);
  if (!model.ok()) return fail(model.error(), o.model);
  auto loaded = load_backend(o.backend);
  if (!loaded.ok()) return fail(loaded.error(), o.backend);
  const Backend& backend = *loaded != nullptr ? **loaded : Backend::permissive();
  fuse::TrialOptions options;
  options.all = o.all;
  if (!o.config.empty()) {
    options.config = backend.find_config(o.config);
    if (options.config == nullptr) {
      std::string known;
      for (const backend::ConfigDef& c : backend.tree().configs)
        known += (known.empty() ? "" : ", ") + c.name;
      return fail_usage(
          fmt::format("backend {} has no config \"{}\"; known: {}", backend.name(), o.config, known));
    }
  }
  if (o.observers) return print_observers(fuse::observers_of(**model, backend, options.config), o);
  const std::vector<fuse::PatternTrial> trials = fuse::try_patterns(**model, backend, options);
  if (o.json) {
    fmt::print("{}\n", matches_json(trials));
    return 0;
  }
  TextTable table({"pattern", "types", "nodes", o.config.empty() ? "why not" : "what the wish came to"});
  for (const fuse::PatternTrial& t : trials)
    table.add({t.pattern, t.types, fmt::format("{}", fmt::join(t.nodes, ", ")), remarks(t)});
  fmt::print("{}", table.str());
  return 0;
}

}  // namespace

void add_match(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("match", "say which nodes each pattern of a backend claims");
  cmd->add_option("MODEL", o->model, "model file")->required();
  cmd->add_option("--backend", o->backend, "name of a backend or a .zpb file")->capture_default_str();
  cmd->add_option("--config", o->config,
                  "a named configuration of the backend: what it wishes, decided slot by slot");
  cmd->add_flag("--all", o->all, "also what was refused, or lost against a better match");
  cmd->add_flag("--observers", o->observers,
                "what the backend wants observed at each value, against the quantizers that stand there");
  cmd->add_flag("--json", o->json, "as JSON");
  cmd->callback([&globals, o] { globals.action = [&globals, o] { return run_match(globals, *o); }; });
}

}  // namespace zp::cli
