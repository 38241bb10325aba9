// Rewrites a text cannot say, by name: `becomes ... with ACTION`. What each does is implemented by the
// passes.
#pragma once

#include <span>
#include <string_view>

namespace zp::backend {

struct ActionDef {
  std::string_view name;
  std::string_view doc;
};

inline constexpr ActionDef kActions[] = {
    {"fold-batch-norm", "the batch norm of the match goes into weight and bias"},
    {"transpose-weight", "the right factor [in, out] of a product becomes a weight [out, in]"},
};

}  // namespace zp::backend
