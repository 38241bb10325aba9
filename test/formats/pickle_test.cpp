// Tensors that a torch.save file describes wrongly. The pickles are seeds of the fuzzer.
#include "formats/pt2/pickle.h"

#include <gtest/gtest.h>

#include "support/atomic_file.h"
#include "zip_builder.h"

namespace zp::pt2 {
namespace {

TEST(TorchFile, StridesWithoutSizesAreRefused) {
  const auto pickle = read_file(std::string(ZP_SOURCE_DIR) + "/fuzz/corpus/pickle/strides_without_sizes");
  ASSERT_TRUE(pickle.ok());
  const std::string zip =
      test::build_zip({{"archive/data.pkl", *pickle}, {"archive/data/0", std::string(64, '\1')}});
  const auto file = TorchFile::open(test::blob_of(zip), "weights");
  ASSERT_TRUE(file.ok()) << file.error().str();
  const PickleValue& root = file->pickle().root();
  int refused = 0;
  auto look = [&](const PickleValue& value) {
    const auto tensor = file->tensor(value);
    if (tensor.ok()) EXPECT_EQ(tensor->sizes.size(), tensor->strides.size());
    else refused += tensor.error().str().find("is a tensor of 0 sizes and 2 strides") != std::string::npos;
  };
  look(root);
  for (size_t k = 0; k < root.items.size(); ++k) look(*file->pickle().item(root, k));
  EXPECT_EQ(refused, 1);
}

}  // namespace
}  // namespace zp::pt2
