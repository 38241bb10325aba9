// Every pattern of `cpu` and `vulkan`, read from the backend itself: for each of its dtype configurations a
// graph that fits, and for each constraint of each slot one graph that keeps it and one that breaks it. What
// fuses keeps every bit, what does not has a reason. A pattern that is added to a file is swept from then on;
// one whose operator has no place to stand yet (pattern_sites.cpp) fails here, and so does a condition that
// no graph meets or none misses.
#include <fmt/format.h>

#include <map>
#include <set>

#include "backend/legality.h"
#include "fuse_util.h"
#include "ops/conv.h"
#include "pattern_sites.h"

namespace zp {
namespace {

using namespace test;
using backend::PatternDef;
using backend::SlotTypes;
using backend::TypesDef;
using rewrite::Match;
using rewrite::SlotName;
using rewrite::Variant;

class PatternSweep {
 public:
  explicit PatternSweep(const Backend& backend) : backend_(backend) {}

  void run() {
    for (size_t p = 0; p < backend_.patterns().size(); ++p) {
      def_ = &backend_.patterns()[p];
      for (const Variant& variant : backend_.pattern_set().variants_of(p))
        for (const OpDef* root : variant.steps[variant.root].ops) sweep(variant, *root);
      if (testing::Test::HasFailure()) return;
    }
    check_coverage();
    testing::Test::RecordProperty("graphs", graphs_);
  }

  size_t graphs() const { return static_cast<size_t>(graphs_); }
  size_t constraints() const { return sides_.size(); }

 private:
  struct Sides {
    int kept = 0, broken = 0;
  };

  void sweep(const Variant& variant, const OpDef& root) {
    const std::vector<Site> sites = sites_of(root);
    ASSERT_FALSE(sites.empty()) << root.name << " of pattern " << def_->pattern.name
                                << " has no place to stand: add one to pattern_sites.cpp";
    const bool whole = variant.length() == 1;
    for (const auto& [name, at] : def_->types) {
      const auto& typesets = backend_.tree().typesets;
      const auto types = std::find_if(typesets.begin(), typesets.end(),
                                      [&, n = name](const TypesDef& t) { return t.name == n; });
      ASSERT_NE(types, typesets.end());
      for (const Site& site : sites) {
        Drawing base{&variant, &root, site, {}, 0, {}};
        if (!fill(base, *types)) return;
        check(base, types->name, "");
        check(on_one_grid(base), types->name, "");
        if (&site != &sites.front()) continue;
        if (whole) slots(base, *types);
        size_t alternatives = 1;
        for (size_t s = 0; s < variant.steps.size(); ++s)
          if (s != variant.root) alternatives = std::max(alternatives, variant.steps[s].ops.size());
        for (base.alternative = 1; base.alternative < alternatives; ++base.alternative)
          check(base, types->name, "");
        base.alternative = 0;
        for (size_t s = 0; s < variant.steps.size(); ++s) {
          base.reader = s;
          check(base, types->name, "");
        }
      }
    }
  }

  rewrite::WeightAxes axes_at(const Drawing& d, const SlotName& slot, int* rank) const {
    const auto& shapes = d.site.shapes;
    const size_t operand = slot.argument >= 0 ? static_cast<size_t>(slot.argument) : slot.operand;
    *rank = static_cast<int>(shapes[std::min(operand, shapes.size() - 1)].size());
    return slot.role == Role::Weight ? rewrite::weight_axes(*d.root, operand, *rank) : rewrite::WeightAxes{};
  }

  const std::vector<SlotName>& names(const Drawing& d) const {
    return d.variant->slots[d.variant->root_choice(*d.root)];
  }

  // The result with the parameters of the input: bytes may move.
  Drawing on_one_grid(Drawing d) const {
    const auto input = std::find_if(d.values.begin(), d.values.end(), [](const SlotValue& v) {
      return v.kind == SlotValue::Integer && !v.constant && !v.dynamic;
    });
    SlotValue& result = d.values.back();
    if (input != d.values.end() && result.kind == SlotValue::Integer) result = *input;
    return d;
  }

  // The value that the first element of each slot asks for.
  bool fill(Drawing& d, const TypesDef& types) {
    const auto& slots = names(d);
    const std::vector<int> spoken_of = backend::slots_of(types, slots);
    for (const SlotName& slot : slots) {
      SlotValue value;
      value.constant = slot.role == Role::Weight || slot.role == Role::Bias;
      bool covered = false;
      for (size_t i = 0; i < types.slots.size(); ++i) {
        const SlotTypes& st = types.slots[i];
        if (spoken_of[i] < 0 || &slots[static_cast<size_t>(spoken_of[i])] != &slot) continue;
        int rank = 0;
        const auto axes = axes_at(d, slot, &rank);
        const auto values = values_for(st.accepted.front(), slot, rank, axes);
        EXPECT_TRUE(values.has_value())
            << print_elem(st.accepted.front()) << ": write it in pattern_sites.cpp";
        if (!values) return false;
        value = values->inside;
        covered = true;
      }
      if (!covered && slot.optional) value.kind = SlotValue::Absent;
      d.values.push_back(value);
    }
    return true;
  }

  void slots(Drawing base, const TypesDef& types) {
    const auto& names_of = names(base);
    const std::vector<int> spoken_of = backend::slots_of(types, names_of);
    for (size_t i = 0; i < types.slots.size(); ++i) {
      const SlotTypes& st = types.slots[i];
      if (spoken_of[i] < 0) continue;
      const auto index = static_cast<size_t>(spoken_of[i]);
      const SlotName& slot = names_of[index];
      int rank = 0;
      const auto axes = axes_at(base, slot, &rank);
      const SlotValue before = base.values[index];
      for (const backend::Elem& elem : st.accepted) {
        const auto values = values_for(elem, slot, rank, axes);
        ASSERT_TRUE(values.has_value()) << print_elem(elem) << ": write it in pattern_sites.cpp";
        const std::string what =
            fmt::format("{} {}.{} {}", def_->pattern.name, types.name, st.slot, print_elem(elem));
        base.values[index] = values->inside;
        elem_ = &elem, slot_ = &slot;
        check(base, types.name, what);
        for (const SlotValue& outside : values->outside) {
          base.values[index] = outside;
          check(base, types.name, what);
        }
        elem_ = nullptr;
      }
      if (slot.optional) {
        base.values[index].kind = SlotValue::Absent;
        check(base, types.name, "");
      }
      base.values[index] = before;
    }
  }

  void check(const Drawing& d, const std::string& types, const std::string& constraint) {
    if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) return;
    const std::string text = draw(d);
    SCOPED_TRACE(fmt::format("pattern {}, types {}, {} {}\n{}", def_->pattern.name, types, d.root->name,
                             constraint, text));
    ++graphs_;
    const auto reference = parse(text);
    if (reference == nullptr) return;
    judge(d, *reference, constraint);
    Fused f;
    f.model = parse(text);
    f.records = run_pass(*f.model, kFuseQdqPass, &backend_);
    expect_reasons(f);
    const auto inputs = inputs_for(*reference);
    const auto before = run_model(*reference, inputs), after = run_model(*f.model, inputs);
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i)
      EXPECT_EQ(std::memcmp(before[i].data<std::byte>(), after[i].data<std::byte>(),
                            static_cast<size_t>(before[i].bytes())),
                0)
          << print(*f.model);
    for (const RewriteRecord& r : f.records.rewrites)
      if (r.note.find(fmt::format("pattern {} of", def_->pattern.name)) != std::string::npos)
        fused_.insert(def_->pattern.name + " " + types);
  }

  // What the backend says of the match before anything is rewritten.
  void judge(const Drawing& d, const Model& model, const std::string& constraint) {
    std::optional<Match> match;
    for (Node* node : model.graph->nodes())
      rewrite::match_at(backend_.pattern_set(), node, [&](Match m) {
        if (m.variant == d.variant && &m.root()->op() == d.root && !match) match = std::move(m);
      });
    if (!match) {
      EXPECT_TRUE(d.reader.has_value());  // an inner value with another reader is no match
      return;
    }
    const backend::Verdict verdict = backend_.accepts(*match);
    if (!verdict.ok()) { EXPECT_FALSE(verdict.refusal->text.empty() || verdict.refusal->clause.empty()); }
    if (verdict.ok() && verdict.types != nullptr)
      accepted_.insert(def_->pattern.name + " " + verdict.types->name);
    const backend::MatchScope scope(backend_, *match, verdict.slots);
    for (const auto& where : def_->where) conjuncts(*where, scope);
    if (constraint.empty() || elem_ == nullptr) return;
    const size_t index = static_cast<size_t>(slot_ - names(d).data());
    const SlotValue& value = d.values[index];
    const rewrite::BoundSlot& bound = verdict.slots[index];
    if (!bound.present() || value.kind == SlotValue::Absent) return;
    int rank = 0;
    rewrite::WeightAxes axes = axes_at(d, *slot_, &rank);
    const backend::ElemAnswer answer = backend::accepts_reading(
        model.graph->context(), std::span(elem_, 1), bound.readings.front(), slot_->role, axes, &scope);
    EXPECT_EQ(answer.ok, value.label == "inside") << value.label << ": " << answer.why;
    if (answer.ok) {
      ++sides_[constraint].kept;
    } else {
      EXPECT_FALSE(answer.why.empty());
      ++sides_[constraint].broken;
    }
    constrained_[constraint] = value.kind != SlotValue::Float || elem_->constant;
  }

  void conjuncts(const rewrite::Expr& expr, const rewrite::ExprScope& scope) {
    const rewrite::Expr* macro =
        expr.kind == rewrite::Expr::Path && expr.path.size() == 1 ? scope.macro(expr.path[0]) : nullptr;
    if (macro != nullptr) return conjuncts(*macro, scope);
    if (expr.kind == rewrite::Expr::Binary && expr.text == "and") {
      conjuncts(*expr.args[0], scope);
      conjuncts(*expr.args[1], scope);
      return;
    }
    const auto value = rewrite::evaluate(expr, scope);
    Sides& sides = sides_[fmt::format("{} where {}", def_->pattern.name, print_expr(expr))];
    (value.is_true() ? sides.kept : sides.broken) += 1;
    constrained_[fmt::format("{} where {}", def_->pattern.name, print_expr(expr))] = true;
  }

  void check_coverage() {
    for (const auto& [what, sides] : sides_) {
      EXPECT_GT(sides.kept, 0) << what << ": no graph keeps it";
      if (constrained_[what]) { EXPECT_GT(sides.broken, 0) << what << ": no graph breaks it"; }
    }
    for (const PatternDef& def : backend_.patterns()) {
      for (const auto& [name, at] : def.types) {
        EXPECT_TRUE(accepted_.contains(def.pattern.name + " " + name))
            << "no graph fits pattern " << def.pattern.name << " with types " << name;
      }
    }
    std::set<std::string> patterns;
    for (const std::string& f : fused_) patterns.insert(f.substr(0, f.find(' ')));
    for (const PatternDef& def : backend_.patterns())
      EXPECT_TRUE(patterns.contains(def.pattern.name)) << "pattern " << def.pattern.name << " never fuses";
  }

  const Backend& backend_;
  const PatternDef* def_ = nullptr;
  const backend::Elem* elem_ = nullptr;  // the element whose sides are tried, and its slot
  const SlotName* slot_ = nullptr;
  std::map<std::string, Sides> sides_;
  std::map<std::string, bool> constrained_;
  std::set<std::string> accepted_, fused_;
  int graphs_ = 0;
};

void sweep(std::string_view name, size_t least_graphs, size_t least_constraints) {
  const auto backend = Backend::load(name);
  ASSERT_TRUE(backend.ok());
  PatternSweep sweep(**backend);
  sweep.run();
  EXPECT_GE(sweep.graphs(), least_graphs);
  EXPECT_GE(sweep.constraints(), least_constraints);
  testing::Test::RecordProperty("constraints", static_cast<int>(sweep.constraints()));
}

TEST(PatternSweep, Vulkan) { sweep("vulkan", 800, 120); }
TEST(PatternSweep, Cpu) { sweep("cpu", 3000, 170); }

}  // namespace
}  // namespace zp
