// A backend dictionary as the text of a .zpb file: one pattern an idea, its spellings as aliases, one `types`
// a combination of dtypes. The text is read back and its dictionary compared with the one that came in: keys
// that do not follow from the pattern stay with the alias, so nothing is lost; what no pattern can say is
// named and kept as it was.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "backend/backend.h"
#include "backend/config_access.h"
#include "backend/config_dtypes.h"
#include "backend/import_pattern.h"
#include "backend/torch_names.h"
#include "support/text_format.h"

namespace zp::backend {

using zeropoint::BackendConfig;
using zeropoint::BackendText;
using zeropoint::ConfigAccess;
using zeropoint::FusedOp;
using zeropoint::ObservationType;
using zeropoint::PatternConfig;
using zeropoint::PatternTree;

namespace {

// A pattern of the file to be: the entries of the dictionary that are spellings of it.
struct Group {
  std::vector<std::string> first;  // alternatives of the first step of a chain, merged; graphs: empty
  std::string rest;                // what follows them
  std::string name;
  std::vector<std::string> types;
  std::vector<std::string> clauses;  // root, extra, where, observe
  std::string becomes, train;
  bool fold = false;
  bool derived = false;  // made of two stages, no entry
  std::vector<size_t> entries;
  CanonPattern canon;
  std::string key;  // shape and condition
  std::string shape() const { return fmt::format("{}{}", fmt::join(first, " | "), rest); }
};

class Writer {
 public:
  Writer(const BackendConfig& config, const zeropoint::TextOptions& options, BackendText* out)
      : config_(config), options_(options), out_(out) {}

  void run() {
    dead_.assign(config_.configs().size(), false);
    overrides_.resize(config_.configs().size());
    for (int attempt = 0; attempt < 8; ++attempt) {
      collect(attempt == 0);
      const std::string text = print();
      auto backend = Backend::parse(text, "import.zpb");
      if (backend.ok()) {
        if (!settle(**backend)) return finish(text);
        out_->text = print();
        return finish(out_->text);
      }
      if (!drop(backend.error())) {
        for (const Diagnostic& d : backend.error().diagnostics()) out_->errors.push_back(d.str());
        return;
      }
    }
    out_->errors.push_back("too many patterns cannot be said");
  }

 private:
  const PatternConfig& entry(size_t i) const { return config_.configs()[i]; }

  void finish(const std::string& text) {
    if (out_->errors.empty()) out_->text = text;
    else out_->text.clear();
  }

  void collect(bool say) {
    groups_.clear();
    dtypes_ = DTypeNames();
    for (size_t i = 0; i < config_.configs().size(); ++i) {
      if (dead_[i]) continue;
      if (say) foreign_functions(i);
      CanonPattern canon = canonical(entry(i));
      if (!canon.ok()) {
        bury(i, canon.problem, canon.foreign_code);
        continue;
      }
      if (say) {
        for (const std::string& note : canon.notes)
          out_->notes.push_back(fmt::format("{}: {}", pattern_label(entry(i)), note));
      }
      place(i, std::move(canon), say);
    }
    two_stages();
    merge_first_steps();
    name_groups();
  }

  // A pattern that cannot be said: an error if it rests on code of its author, else a line, and kept for
  // export.
  void bury(size_t i, const std::string& why, bool foreign_code) {
    dead_[i] = true;
    const std::string line = fmt::format("{}: {}", pattern_label(entry(i)), why);
    if (foreign_code && !options_.partial) out_->errors.push_back(line);
    else out_->unsaid.push_back(line);
  }

  void foreign_functions(size_t i) {
    const PatternConfig& e = entry(i);
    std::vector<std::string> names;
    if (!e.fuser_method.empty() && !known_fuser(e.fuser_method))
      names.push_back("fuser_method " + e.fuser_method);
    if (!e.root_node_getter.empty() && !known_getter(e.root_node_getter))
      names.push_back("root_node_getter " + e.root_node_getter);
    if (!e.extra_inputs_getter.empty() && !known_getter(e.extra_inputs_getter))
      names.push_back("extra_inputs_getter " + e.extra_inputs_getter);
    for (const std::string& name : names) {
      const std::string line = fmt::format(
          "{}: {} is code of its author: what it does is not in the dictionary", pattern_label(e), name);
      (options_.partial ? out_->unsaid : out_->errors).push_back(line);
    }
  }

  void place(size_t i, CanonPattern canon, bool say) {
    const PatternConfig& e = entry(i);
    Group g;
    std::vector<std::string> extra;
    std::string text = canon.text(!e.extra_inputs_getter.empty(), &extra);
    const Signature signature = signature_of(canon.root_op(), e, extra);
    for (const zeropoint::DTypeConfig& d : e.dtype_configs) {
      const std::string name = dtypes_.name(d, signature, say ? &out_->notes : nullptr);
      if (std::find(g.types.begin(), g.types.end(), name) == g.types.end()) g.types.push_back(name);
    }
    if (canon.chain()) {
      const std::string first = fmt::format("{}", fmt::join(canon.nodes.front().ops, " | "));
      g.first = canon.nodes.front().ops;
      g.rest = text.substr(2 + first.size());
    } else {
      g.rest = text;
    }
    if (!extra.empty()) {
      const CanonNode& root = canon.nodes[canon.root()];
      g.clauses.push_back("root " +
                          (canon.chain() ? root.ops.front() : fmt::format("%v{}", canon.root() + 1)));
      g.clauses.push_back(fmt::format("extra %{}", fmt::join(extra, ", %")));
    }
    if (const std::string where = canon.condition(); !where.empty()) g.clauses.push_back("where " + where);
    observe(e, signature, say, &g);
    fuse(e, canon, &g);
    g.key = g.shape() + (canon.condition().empty() ? "" : " @ " + canon.condition());
    for (Group& other : groups_) {
      if (other.key != g.key) continue;
      join(&other, g, i, say);
      return;
    }
    g.canon = std::move(canon);
    g.entries = {i};
    groups_.push_back(std::move(g));
  }

  // Another spelling of a pattern: its types are taken too, the first observation counts.
  void join(Group* into, const Group& from, size_t i, bool say) {
    into->entries.push_back(i);
    into->fold = into->fold || from.fold;
    if (into->becomes.empty()) into->becomes = from.becomes;
    if (into->train.empty()) into->train = from.train;
    if (into->types != from.types) {
      for (const std::string& name : from.types)
        if (std::find(into->types.begin(), into->types.end(), name) == into->types.end())
          into->types.push_back(name);
      if (say)
        out_->notes.push_back(
            fmt::format("{}: other dtypes than {}, which is the same operator: both are taken",
                        pattern_label(entry(i)), spell(entry(into->entries.front()))));
    }
    if (into->clauses != from.clauses && say)
      out_->notes.push_back(
          fmt::format("{}: observed otherwise than {}, which is the same operator and counts",
                      pattern_label(entry(i)), spell(entry(into->entries.front()))));
  }

  void observe(const PatternConfig& e, const Signature& s, bool say, Group* g) {
    auto rule = [&](ObservationType type, std::string_view when) {
      if (type == ObservationType::NotObserved) g->clauses.push_back(fmt::format("observe y none{}", when));
      else if (type == ObservationType::ShareWithInput) {
        if (!s.second.empty() && when != " when tensors == 1")
          g->clauses.push_back(fmt::format("observe {} like {}{}", s.second, s.first, when));
        g->clauses.push_back(fmt::format("observe y like {}{}", s.first, when));
      } else if (!when.empty()) {
        g->clauses.push_back(fmt::format("observe y own{}", when));
      }
    };
    if (e.num_tensor_args_to_observation_type.empty()) return rule(e.observation_type, "");
    std::vector<bool> given(3, false);
    for (const auto& [n, type] : e.num_tensor_args_to_observation_type) {
      rule(type, fmt::format(" when tensors == {}", n));
      if (n < 3) given[static_cast<size_t>(n)] = true;
    }
    for (size_t n = 0; n < 3 && say; ++n) {
      if (!given[n])
        out_->notes.push_back(
            fmt::format("{}: no observation type is given for {} tensor operands, it is that of the pattern "
                        "(PyTorch fails when one comes)",
                        pattern_label(e), n));
    }
  }

  void fuse(const PatternConfig& e, const CanonPattern& canon, Group* g) {
    const OpDef& root = canon.root_op();
    const bool affine =
        root.trait == Trait::Affine && root.attrs != nullptr && root.attrs->find("act_min") != nullptr;
    auto step = [&](std::string_view op) {
      for (const CanonNode& node : canon.nodes)
        if (node.ops.front() == op) return true;
      return false;
    };
    g->fold = known_fuser(e.fuser_method) == "fold-batch-norm" && step("batch_norm");
    const bool plain = std::all_of(canon.nodes.begin(), canon.nodes.end(), [](const CanonNode& n) {
      return n.ops.front() == "batch_norm" || n.ops.front() == "relu" || n.ops.front() == "add" ||
             op_named(n.ops.front())->trait == Trait::Affine;
    });
    if (affine && plain && canon.nodes.size() > 1)
      g->becomes = step("relu") ? "root {clamp: of relu}" : "root";
    ask_action(e, canon, g);
  }

  // A fuser given as a function says what the pattern becomes, and what stands for it in training.
  void ask_action(const PatternConfig& e, const CanonPattern& canon, Group* g) {
    if (e.action.index() == 0) return;
    auto ask = [&](bool is_qat) -> std::optional<FusedOp> {
      if (const auto* legacy = std::get_if<zeropoint::LegacyFuser>(&e.action)) {
        PatternTree tree = e.key().value_or(PatternTree());
        return *legacy ? (*legacy)(is_qat, tree) : std::nullopt;
      }
      std::vector<std::string> forward;
      for (const CanonNode& node : canon.nodes) forward.push_back(node.ops.front());
      const auto& fuser = std::get<zeropoint::Fuser>(e.action);
      return fuser ? fuser(is_qat, forward) : std::nullopt;
    };
    if (const auto f = ask(false)) {
      g->becomes = f->op + (f->clamp_of.empty() ? "" : fmt::format(" {{clamp: of {}}}", f->clamp_of)) +
                   (f->action.empty() ? "" : " with " + f->action);
      g->fold = false;
    }
    if (const auto f = ask(true)) g->train = f->op;
  }

  // PyTorch fuses first and then matches what it fused: an operator with its batch norm folded in begins
  // every pattern that the operator begins.
  void two_stages() {
    std::vector<std::string> folded;
    for (const Group& g : groups_)
      if (g.fold && g.canon.chain() && g.canon.nodes.size() == 2)
        folded.push_back(g.canon.nodes.front().ops.front());
    std::set<std::string> shapes;
    for (const Group& g : groups_) shapes.insert(g.shape());
    const size_t count = groups_.size();
    for (size_t i = 0; i < count; ++i) {
      Group g = groups_[i];
      if (!g.canon.chain() || g.first.size() != 1 || g.entries.empty()) continue;
      if (std::find(folded.begin(), folded.end(), g.first.front()) == folded.end()) continue;
      g.rest = ", batch_norm" + g.rest;
      if (!shapes.insert(g.shape()).second) continue;
      CanonNode norm;
      norm.ops = {"batch_norm"};
      g.canon.nodes.insert(g.canon.nodes.begin() + 1, norm);
      g.fold = g.derived = true;
      if (g.becomes.empty()) g.becomes = "root";
      g.entries.clear();
      groups_.push_back(std::move(g));
    }
  }

  // Chains that differ in their first operator only are one pattern with alternatives.
  void merge_first_steps() {
    std::vector<Group> merged;
    std::map<std::string, size_t> at;
    for (Group& g : groups_) {
      const std::string key = fmt::format("{}|{}|{}|{}|{}|{}|{}", g.rest, fmt::join(g.types, ","),
                                          fmt::join(g.clauses, ";"), g.becomes, g.train, g.fold, g.derived);
      const bool chain = !g.first.empty() && g.rest.find('%') == std::string::npos;
      const auto [found, fresh] =
          at.emplace(chain ? key : fmt::format("{}#{}", key, merged.size()), merged.size());
      if (fresh) {
        merged.push_back(std::move(g));
        continue;
      }
      Group& into = merged[found->second];
      for (const std::string& op : g.first)
        if (std::find(into.first.begin(), into.first.end(), op) == into.first.end()) into.first.push_back(op);
      into.entries.insert(into.entries.end(), g.entries.begin(), g.entries.end());
    }
    groups_ = std::move(merged);
  }

  void name_groups() {
    std::set<std::string> used;
    for (Group& g : groups_) {
      std::string name;
      for (const CanonNode& node : g.canon.nodes) name += (name.empty() ? "" : "-") + node.ops.front();
      if (name.size() > 60) name.resize(60);
      g.name = name;
      for (int n = 2; !used.insert(g.name).second; ++n) g.name = fmt::format("{}-{}", name, n);
    }
  }

  std::string print() {
    std::string name = config_.name().empty() ? "imported" : config_.name();
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-' && c != '.') c = '_';
    std::string out = fmt::format("backend {} version 1\n\n  numerics {{\n    origin: torch\n  }}\n\n", name);
    out += dtypes_.print();
    lines_.clear();
    for (size_t i = 0; i < groups_.size(); ++i) {
      const Group& g = groups_[i];
      lines_.emplace_back(std::count(out.begin(), out.end(), '\n') + 2, i);
      out += fmt::format("\n  pattern {} {}{}\n", g.name,
                         g.first.empty() ? "" : fmt::format(": {}", fmt::join(g.first, " | ")), g.rest);
      if (!g.types.empty()) out += fmt::format("    types {}\n", fmt::join(g.types, ", "));
      for (const std::string& clause : g.clauses) out += fmt::format("    {}\n", clause);
      if (!g.becomes.empty() || g.fold)
        out += fmt::format("    becomes {}{}\n", g.becomes.empty() ? "root" : g.becomes,
                           g.fold ? " with fold-batch-norm" : "");
      if (!g.train.empty()) out += fmt::format("    train {}\n", g.train);
      out += fmt::format("    alias {}\n", alias_text(g));
    }
    if (std::find(dead_.begin(), dead_.end(), true) != dead_.end()) out += "\n";
    for (size_t i = 0; i < dead_.size(); ++i) {
      if (!dead_[i]) continue;
      JsonWriter json;
      ConfigAccess::write_entry(json, entry(i), std::nullopt);
      out += fmt::format("  foreign {}\n", quote(json.take()));
    }
    return out;
  }

  std::string alias_text(const Group& g) const {
    if (g.entries.empty()) return "none";
    std::string text;
    for (size_t i : g.entries) {
      text += fmt::format("{}{}", text.empty() ? "" : ",\n      ", quote(spell(entry(i))));
      for (size_t k = 0; k < overrides_[i].size(); ++k)
        text += fmt::format("{}{}: {}", k == 0 ? " {" : ", ", overrides_[i][k].first,
                            quote(overrides_[i][k].second));
      if (!overrides_[i].empty()) text += "}";
    }
    return text;
  }

  // Keys that the text alone does not give back. True if there are any.
  bool settle(const Backend& backend) {
    const BackendConfig back = ConfigAccess::of_backend(backend);
    std::map<std::string, const PatternConfig*> by_spelling;
    for (const PatternConfig& c : back.configs()) by_spelling.emplace(spell(c), &c);
    bool any = false;
    for (size_t i = 0; i < dead_.size(); ++i) {
      if (dead_[i]) continue;
      const auto found = by_spelling.find(spell(entry(i)));
      if (found == by_spelling.end()) continue;
      const auto wanted = ConfigAccess::keys_of(entry(i));
      const auto got = ConfigAccess::keys_of(*found->second);
      auto lookup = [](const auto& keys, const std::string& key) -> const std::string* {
        for (const auto& [name, value] : keys)
          if (name == key) return &value;
        return nullptr;
      };
      for (const auto& [key, value] : wanted) {
        const std::string* other = lookup(got, key);
        if (other == nullptr || *other != value) overrides_[i].emplace_back(key, value);
      }
      for (const auto& [key, value] : got)
        if (lookup(wanted, key) == nullptr) overrides_[i].emplace_back(key, "null");
      any = any || !overrides_[i].empty();
    }
    return any;
  }

  // Patterns that the reader of the text refuses are not said. False if the error is of something else.
  bool drop(const Error& error) {
    bool any = false;
    for (const Diagnostic& d : error.diagnostics()) {
      size_t at = groups_.size();
      for (const auto& [line, group] : lines_)
        if (static_cast<size_t>(line) <= d.where.line) at = group;
      if (at >= groups_.size() || d.where.line == 0) continue;
      for (size_t i : groups_[at].entries)
        if (!dead_[i]) bury(i, d.text, false), any = true;
    }
    return any;
  }

  const BackendConfig& config_;
  const zeropoint::TextOptions& options_;
  BackendText* out_;
  DTypeNames dtypes_;
  std::vector<Group> groups_;
  std::vector<bool> dead_;
  std::vector<std::vector<std::pair<std::string, std::string>>> overrides_;
  std::vector<std::pair<long, size_t>> lines_;
};

}  // namespace
}  // namespace zp::backend

namespace zeropoint {

BackendText BackendConfig::to_zpb(const TextOptions& options) const {
  BackendText out;
  out.notes = notes_;
  out.errors = problems_;
  zp::backend::Writer(*this, options, &out).run();
  return out;
}

}  // namespace zeropoint
