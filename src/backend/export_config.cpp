// A backend as a PyTorch dictionary: every pattern under all spellings that PyTorch's tables know of it, or
// under those its aliases name. What a dictionary has no word for is noted, never dropped in silence.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "backend/backend.h"
#include "backend/config_access.h"
#include "backend/config_dtypes.h"
#include "backend/import_pattern.h"
#include "backend/torch_names.h"

namespace zp::backend {

using zeropoint::BackendConfig;
using zeropoint::ConfigAccess;
using zeropoint::ObservationType;
using zeropoint::PatternConfig;

namespace {

constexpr size_t kMaxChains = 4096;

// "conv2d, batch_norm, relu" -> spellings of PyTorch's tables.
const std::multimap<std::string, std::string>& spellings() {
  static const std::multimap<std::string, std::string> map = [] {
    std::multimap<std::string, std::string> m;
    for (std::string_view spelled : table_spellings()) {
      const auto config = unspell(spelled);
      if (!config) continue;
      const CanonPattern canon = canonical(*config);
      if (!canon.ok() || !canon.chain()) continue;
      std::vector<std::string> chains = {""};
      for (const CanonNode& node : canon.nodes) {
        std::vector<std::string> longer;
        for (const std::string& head : chains)
          for (const std::string& op : node.ops) longer.push_back(head + (head.empty() ? "" : ", ") + op);
        chains = std::move(longer);
      }
      for (std::string& chain : chains) m.emplace(std::move(chain), spelled);
    }
    return m;
  }();
  return map;
}

class Exporter {
 public:
  Exporter(const Backend& backend, BackendConfig* out) : backend_(backend), out_(out) {}

  void run() {
    out_->set_name(std::string(backend_.name()));
    for (size_t p = 0; p < backend_.patterns().size(); ++p) {
      const PatternDef& def = backend_.patterns()[p];
      if (def.aliases.empty()) all_spellings(def, p);
      for (const Alias& alias : def.aliases)
        if (!alias.pattern.empty()) one_alias(def, alias);
    }
    for (const std::string& json : backend_.tree().foreign) {
      PatternConfig c = ConfigAccess::read_entry(json, &ConfigAccess::problems(*out_));
      keep(std::move(c));
    }
  }

 private:
  void note(std::string text) {
    if (noted_.insert(text).second) ConfigAccess::notes(*out_).push_back(std::move(text));
  }

  void keep(PatternConfig c) {
    if (seen_.insert(spell(c)).second) out_->set_backend_pattern_config(std::move(c));
  }

  void one_alias(const PatternDef& def, const Alias& alias) {
    auto config = unspell(alias.pattern);
    const CanonPattern canon = config ? canonical(*config) : CanonPattern();
    if (!config || !canon.ok() || canon.nodes.empty())
      return note(fmt::format("pattern {}: \"{}\" spells no pattern", def.pattern.name, alias.pattern));
    fill_from_table(alias.pattern, &*config);
    fill(def, canon.root_op(), &*config);
    for (const auto& [key, json] : alias.keys) ConfigAccess::set_key(&*config, key, json);
    keep(std::move(*config));
  }

  void all_spellings(const PatternDef& def, size_t p) {
    if (def.pattern.form != rewrite::Pattern::Chain && spell_single(def, p)) return;
    bool any = false;
    for (const rewrite::Variant& variant : backend_.pattern_set().variants_of(p)) {
      std::vector<std::vector<const OpDef*>> chains = {{}};
      for (const rewrite::Variant::Step& step : variant.steps) {
        std::vector<std::vector<const OpDef*>> longer;
        for (const auto& head : chains) {
          for (const OpDef* op : step.ops) {
            longer.push_back(head);
            longer.back().push_back(op);
            if (longer.size() > kMaxChains) break;
          }
        }
        chains = std::move(longer);
      }
      for (const auto& chain : chains) any = spell_chain(def, chain, chain[variant.root]) || any;
    }
    if (!any) note(fmt::format("pattern {}: PyTorch has no spelling for it", def.pattern.name));
  }

  // A graph of one operator is that operator, one of several steps is said by its chain if it is one.
  bool spell_single(const PatternDef& def, size_t p) {
    const auto variants = backend_.pattern_set().variants_of(p);
    if (variants.size() == 1 && variants[0].steps.size() <= 2) return false;
    note(fmt::format("pattern {}: a graph of {} operators is not written to a dictionary", def.pattern.name,
                     variants.empty() ? 0 : variants[0].steps.size()));
    return true;
  }

  bool spell_chain(const PatternDef& def, const std::vector<const OpDef*>& chain, const OpDef* root) {
    std::string key;
    for (const OpDef* op : chain) key += (key.empty() ? "" : ", ") + std::string(op->name);
    const auto [begin, end] = spellings().equal_range(key);
    for (auto at = begin; at != end; ++at) {
      auto config = unspell(at->second);
      fill_from_table(at->second, &*config);
      fill(def, *root, &*config);
      keep(std::move(*config));
    }
    return begin != end;
  }

  // What the pattern says: types and observation.
  void fill(const PatternDef& def, const OpDef& root, PatternConfig* c) {
    const Signature s = signature_of(root, *c, {});
    c->dtype_configs.clear();
    for (const auto& [name, at] : def.types) {
      for (const TypesDef& types : backend_.tree().typesets) {
        if (types.name != name) continue;
        std::vector<std::string> notes;
        for (auto& d : dtype_configs_of(types, s, &notes))
          if (std::find(c->dtype_configs.begin(), c->dtype_configs.end(), d) == c->dtype_configs.end())
            c->dtype_configs.push_back(std::move(d));
        for (std::string& text : notes) note(std::move(text));
      }
    }
    c->observation_type = ObservationType::DifferentObserver;
    c->num_tensor_args_to_observation_type.clear();
    for (const ObserveRule& rule : def.observe) {
      if (rule.slot != "y") continue;
      const ObservationType type = rule.kind == ObserveRule::Own    ? ObservationType::DifferentObserver
                                   : rule.kind == ObserveRule::Like ? ObservationType::ShareWithInput
                                                                    : ObservationType::NotObserved;
      if (!rule.tensors) c->observation_type = type;
      else c->num_tensor_args_to_observation_type.emplace_back(static_cast<int>(*rule.tensors), type);
    }
    if (!c->num_tensor_args_to_observation_type.empty() && def.aliases.empty()) by_count(c);
    else counts_from_zero(c);
  }

  // A pattern for one number of tensors speaks for the operator with any: PyTorch wants all of them.
  static void by_count(PatternConfig* c) {
    c->num_tensor_args_to_observation_type = {{0, ObservationType::DifferentObserver},
                                              {1, ObservationType::ShareWithInput},
                                              {2, ObservationType::DifferentObserver}};
  }
  // An observation that is every operator's own has no line of its own in the text.
  static void counts_from_zero(PatternConfig* c) {
    auto& counts = c->num_tensor_args_to_observation_type;
    std::stable_sort(counts.begin(), counts.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  }

  const Backend& backend_;
  BackendConfig* out_;
  std::set<std::string> seen_, noted_;
};

}  // namespace
}  // namespace zp::backend

namespace zeropoint {

BackendConfig ConfigAccess::of_backend(const zp::Backend& backend) {
  BackendConfig out;
  zp::backend::Exporter(backend, &out).run();
  return out;
}

BackendConfig BackendConfig::from_zpb(const std::string& name_or_path) {
  auto backend = zp::Backend::load(name_or_path);
  if (backend.ok()) return ConfigAccess::of_backend(**backend);
  BackendConfig out;
  out.problems_.push_back(backend.error().str());
  return out;
}

}  // namespace zeropoint
