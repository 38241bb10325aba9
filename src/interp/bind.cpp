// Checks user inputs against the graph's and finds the numbers that the symbols stand for. A symbol is bound
// by the first dim that determines it: s0 itself, or a dim linear in one unbound symbol (2*s0 + 1); every
// other dim is then checked.
#include <fmt/format.h>

#include "interp/interp.h"

namespace zp {
namespace {

struct OpenDim {
  Dim wanted;
  int64_t found;
  std::string place;  // "input 'x': axis 0"
};

std::string input_label(const Model& model, size_t index) {
  const std::string& user = model.inputs[index].user_name;
  const std::string name(model.graph->inputs()[index]->name());
  return user.empty() || user == name ? fmt::format("input '{}'", name)
                                      : fmt::format("input '{}' ({})", name, user);
}

// Solves expr == target for the one symbol in it that is unbound. False if the form is not linear or does not
// divide.
bool solve(const DimContext& dims, const DimExpr* expr, int64_t target, DimBinding* binding) {
  for (int depth = 0; depth < 64; ++depth) {
    if (expr->op == DimOp::Symbol) { return binding->emplace(expr->symbol, target).second; }
    if (expr->op != DimOp::Add && expr->op != DimOp::Mul) return false;
    const DimExpr* open = nullptr;
    __int128 rest = expr->op == DimOp::Add ? 0 : 1;
    for (const DimExpr* arg : expr->args) {
      const auto value = dims.evaluate(Dim(arg), *binding);
      if (!value) {
        if (open != nullptr) return false;
        open = arg;
      } else if (expr->op == DimOp::Add) {
        rest += *value;
      } else {
        rest *= *value;
      }
      if (rest > INT64_MAX || rest < INT64_MIN) return false;
    }
    if (open == nullptr) return false;
    if (expr->op == DimOp::Add) {
      const __int128 next = static_cast<__int128>(target) - rest;
      if (next > INT64_MAX || next < INT64_MIN) return false;
      target = static_cast<int64_t>(next);
    } else {
      if (rest == 0 || target % static_cast<int64_t>(rest) != 0) return false;
      target /= static_cast<int64_t>(rest);
    }
    expr = open;
  }
  return false;
}

Status check_dim(const DimContext& dims, const OpenDim& dim, const DimBinding& binding) {
  const auto value = dims.evaluate(dim.wanted, binding);
  if (!value) {
    return Error("run.input", fmt::format("{} must be {}, found {}, which leaves its symbols open", dim.place,
                                          dim.wanted.str(), dim.found));
  }
  if (*value != dim.found) {
    return Error("run.input",
                 fmt::format("{} must be {} = {}, found {}", dim.place, dim.wanted.str(), *value, dim.found));
  }
  return {};
}

// The lower bounds 0, 1 and 2 of exported programs are specialization, not a promise of the user: they are
// not enforced.
Status check_range(const DimContext& dims, const OpenDim& dim) {
  const DimExpr* expr = dim.wanted.expr();
  if (expr->op != DimOp::Symbol) return {};
  const SymbolInfo* info = dims.info(expr->symbol);
  if (info == nullptr) return {};
  const bool low = info->min > 2 && dim.found < info->min;
  if (!low && dim.found <= info->max) return {};
  const std::string max = info->max == kDimUnbounded ? std::string("any") : std::to_string(info->max);
  return Error("run.input", fmt::format("{} must be {} in {}..{}, found {}", dim.place, dim.wanted.str(),
                                        info->min, max, dim.found));
}

// A number that is an input: its symbol gets it, and it must be within the symbol's range.
Status check_scalar(const DimContext& dims, const Value& input, const Tensor& given, const std::string& label,
                    DimBinding* binding) {
  if (given.elements() != 1)
    return Error("run.input", fmt::format("{} is one number, found {} elements", label, given.elements()));
  const Type& type = input.type();
  if (type.kind == TypeKind::Int && type.value.is_symbolic() && type.value.expr()->op == DimOp::Symbol) {
    const std::string_view symbol = type.value.expr()->symbol;
    const int64_t found = given.get_int(0);
    binding->emplace(symbol, found);
    const SymbolInfo* info = dims.info(symbol);
    if (info != nullptr && (found < info->min || found > info->max)) {
      const bool bounded = info->max != kDimUnbounded;
      return Error("run.input", fmt::format("{} must be {}, found {}", label,
                                            bounded ? fmt::format("in {}..{}", info->min, info->max)
                                                    : fmt::format("{} or more", info->min),
                                            found));
    }
  }
  return {};
}

}  // namespace

Result<DimBinding> bind_inputs(const Model& model, std::span<const Tensor> user_inputs) {
  const std::vector<size_t> users = model.user_inputs();
  if (users.size() != user_inputs.size()) {
    std::string names;
    for (size_t i : users)
      names += (names.empty() ? "" : ", ") + std::string(model.graph->inputs()[i]->name());
    return Error("run.inputs", fmt::format("the model takes {} inputs ({}), found {}", users.size(), names,
                                           user_inputs.size()));
  }
  const DimContext& dims = model.context->dims();
  DimBinding binding;
  std::vector<OpenDim> open;
  for (size_t k = 0; k < users.size(); ++k) {
    const Value& input = *model.graph->inputs()[users[k]];
    const Type& type = input.type();
    const Tensor& given = user_inputs[k];
    const std::string label = input_label(model, users[k]);
    if (type.kind == TypeKind::None) continue;
    if (!type.is_tensor()) {
      ZP_CHECK(check_scalar(dims, input, given, label, &binding));
      continue;
    }
    if (type.dtype != DType::Unknown && given.dtype() != type.dtype) {
      return Error("run.input", fmt::format("{} must be {}, found {}", label, dtype_name(type.dtype),
                                            dtype_name(given.dtype())));
    }
    if (!type.ranked) continue;
    if (given.rank() != type.rank()) {
      return Error("run.input",
                   fmt::format("{} must have rank {}, found {}", label, type.rank(), given.rank()));
    }
    for (size_t d = 0; d < type.shape.size(); ++d) {
      const Dim wanted = type.shape[d];
      const int64_t found = given.shape()[d];
      const std::string place = fmt::format("{}: axis {}", label, d);
      if (wanted.is_known() && wanted.value() != found) {
        return Error("run.input", fmt::format("{} must be {}, found {}", place, wanted.value(), found));
      }
      if (wanted.is_symbolic()) open.push_back({wanted, found, place});
    }
  }
  // Plain symbols first, then whatever becomes linear in one symbol; each round binds one or ends.
  for (const OpenDim& dim : open)
    if (dim.wanted.expr()->op == DimOp::Symbol) binding.emplace(dim.wanted.expr()->symbol, dim.found);
  bool bound = true;
  while (bound) {
    bound = false;
    for (const OpenDim& dim : open)
      if (!dims.evaluate(dim.wanted, binding) && solve(dims, dim.wanted.expr(), dim.found, &binding))
        bound = true;
  }
  for (const OpenDim& dim : open) {
    ZP_CHECK(check_dim(dims, dim, binding));
    ZP_CHECK(check_range(dims, dim));
  }
  return binding;
}

}  // namespace zp
