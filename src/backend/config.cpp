// The builder of backend configurations: setters that can be wrong, the order of the list, merging. Turning
// it into text is import_config.cpp's, reading and writing JSON config_json.cpp's.
#include <fmt/format.h>

#include <algorithm>

#include "backend/torch_names.h"
#include "zeropoint/backend.h"

namespace zeropoint {

PatternTree PatternTree::of_chain(const std::vector<std::string>& forward) {
  PatternTree tree;
  for (const std::string& name : forward) {
    PatternTree leaf = op(name);
    tree =
        tree.name.empty() && tree.parts.empty() ? std::move(leaf) : tuple({std::move(leaf), std::move(tree)});
  }
  return tree;
}

PatternConfig& PatternConfig::set_pattern(std::string op) {
  if (complex_format) problems.push_back("only one of 'pattern' and 'pattern_complex_format' can be set");
  pattern = {std::move(op)};
  is_tuple = false;
  return *this;
}

PatternConfig& PatternConfig::set_pattern(std::vector<std::string> forward) {
  if (complex_format) problems.push_back("only one of 'pattern' and 'pattern_complex_format' can be set");
  pattern = std::move(forward);
  is_tuple = true;
  return *this;
}

PatternConfig& PatternConfig::set_pattern_complex_format(PatternTree nested) {
  if (!pattern.empty()) problems.push_back("only one of 'pattern' and 'pattern_complex_format' can be set");
  complex_format = std::move(nested);
  return *this;
}

std::optional<PatternTree> PatternConfig::key() const {
  if (complex_format) return complex_format;
  if (pattern.empty()) return std::nullopt;
  return PatternTree::of_chain(pattern);
}

namespace {

constexpr size_t kMaxConfigs = 4096;  // the largest table of PyTorch has 221

// What PyTorch says when a configuration is added, and what it never says.
void check(const PatternConfig& c, std::vector<std::string>* problems) {
  const std::string what = zp::backend::pattern_label(c);
  for (const std::string& p : c.problems) problems->push_back(fmt::format("{}: {}", what, p));
  if (!c.complex_format && c.pattern.empty())
    problems->push_back("either 'pattern' or 'pattern_complex_format' must be specified");
  if (!c.complex_format && c.is_tuple && (c.pattern.size() < 2 || c.pattern.size() > 3))
    problems->push_back(fmt::format("expected a tuple with 2 or 3 elements, got {}: ({})", c.pattern.size(),
                                    fmt::join(c.pattern, ", ")));
  const bool fuser = !c.fuser_method.empty() || c.action.index() != 0;
  if (fuser && !c.complex_format && !c.is_tuple && !c.pattern.empty())
    problems->push_back(
        fmt::format("{}: expected pattern to be a tuple for a fuser, got one operator", what));
  for (const DTypeConfig& d : c.dtype_configs) {
    const std::pair<const char*, const std::optional<DTypeWithConstraints>*> slots[] = {
        {"input_dtype", &d.input_dtype},
        {"output_dtype", &d.output_dtype},
        {"weight_dtype", &d.weight_dtype}};
    for (const auto& [name, slot] : slots) {
      if (!*slot) continue;
      const DTypeWithConstraints& s = **slot;
      if (s.dtype && !zp::backend::torch_dtype(*s.dtype))
        problems->push_back(fmt::format(
            "{}: expected {} to be a dtype or a dtype with constraints, got \"{}\"", what, name, *s.dtype));
      const bool exact = s.scale_exact_match || s.zero_point_exact_match;
      if (exact && s.scale_min_lower_bound)
        problems->push_back(
            fmt::format("{}: scale_min_lower_bound is invalid for fixed parameters ({})", what, name));
      if (exact && s.scale_max_upper_bound)
        problems->push_back(
            fmt::format("{}: scale_max_upper_bound is invalid for fixed parameters ({})", what, name));
    }
    if (d.bias_dtype && !zp::backend::torch_dtype(*d.bias_dtype))
      problems->push_back(
          fmt::format("{}: expected bias_dtype to be a dtype, got \"{}\"", what, *d.bias_dtype));
  }
}

void append_key(const PatternTree& tree, std::string* out) {
  switch (tree.kind) {
    case PatternTree::Op: *out += tree.name; return;
    case PatternTree::Any: *out += '_'; return;
    case PatternTree::Literal: *out += fmt::format("{}", tree.literal); return;
    case PatternTree::Tuple: break;
  }
  *out += '(';
  for (const PatternTree& part : tree.parts) {
    append_key(part, out);
    *out += ',';
  }
  *out += ')';
}

std::string key_text(const std::optional<PatternTree>& tree) {
  std::string text;
  if (tree) append_key(*tree, &text);
  return text;
}

}  // namespace

BackendConfig& BackendConfig::set_backend_pattern_config(PatternConfig config) {
  check(config, &problems_);
  std::string key = key_text(config.key());
  if (key.empty()) return *this;
  const auto mine = std::find(keys_.begin(), keys_.end(), key);
  if (mine != keys_.end()) {
    notes_.push_back(
        fmt::format("{} is given twice, the later one counts", zp::backend::pattern_label(config)));
    configs_[static_cast<size_t>(mine - keys_.begin())] = std::move(config);
    return *this;
  }
  if (configs_.size() >= kMaxConfigs) {
    if (configs_.size() == kMaxConfigs && problems_.empty())
      problems_.push_back(fmt::format("more than {} patterns", kMaxConfigs));
    return *this;
  }
  keys_.push_back(std::move(key));
  configs_.push_back(std::move(config));
  return *this;
}

BackendConfig& BackendConfig::set_backend_pattern_configs(std::vector<PatternConfig> configs) {
  for (PatternConfig& c : configs) set_backend_pattern_config(std::move(c));
  return *this;
}

bool BackendConfig::remove(const PatternTree& key) {
  const auto at = std::find(keys_.begin(), keys_.end(), key_text(key));
  if (at == keys_.end()) return false;
  configs_.erase(configs_.begin() + (at - keys_.begin()));
  keys_.erase(at);
  return true;
}

BackendConfig& BackendConfig::merge(const BackendConfig& other, Precedence precedence) {
  problems_.insert(problems_.end(), other.problems_.begin(), other.problems_.end());
  for (size_t i = 0; i < other.configs_.size(); ++i) {
    const PatternConfig& theirs = other.configs_[i];
    const auto mine = std::find(keys_.begin(), keys_.end(), other.keys_[i]);
    if (mine == keys_.end()) {
      keys_.push_back(other.keys_[i]);
      configs_.push_back(theirs);
    } else if (precedence == Precedence::Error) {
      problems_.push_back(
          fmt::format("{} is in {} and in {}", zp::backend::pattern_label(theirs), name_, other.name_));
    } else {
      notes_.push_back(fmt::format("{}: that of {} counts", zp::backend::pattern_label(theirs),
                                   precedence == Precedence::Theirs ? other.name_ : name_));
      if (precedence == Precedence::Theirs) configs_[static_cast<size_t>(mine - keys_.begin())] = theirs;
    }
  }
  return *this;
}

}  // namespace zeropoint
