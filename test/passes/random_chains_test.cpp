// Random chains behind convolutions: see random_chains.h.
#include "random_chains.h"

#include <gtest/gtest.h>

namespace zp {
namespace {

TEST(RandomChains, KeepWhatFoldsPromise) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    const std::string what = test::check_random_chain(seed);
    ASSERT_TRUE(what.empty()) << what;
  }
}

}  // namespace
}  // namespace zp
