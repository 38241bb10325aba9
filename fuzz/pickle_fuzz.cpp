// libFuzzer target of the pickle subset: the bytes are `data.pkl` of a torch.save file with two storages.
// Every value that was read is asked for what it may be. Seeds: fuzz/corpus/pickle.
#include <cstdint>

#include "../test/formats/zip_builder.h"
#include "exercise.h"
#include "formats/pt2/pickle.h"

namespace {

void read_tensor(const zp::pt2::TorchFile& file, const zp::pt2::PickleValue& value) {
  const auto tensor = file.tensor(value);
  if (!tensor) return zp::fuzz::expect_refused(tensor.error());
  if (tensor->sizes.size() != tensor->strides.size()) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string zip =
      zp::test::build_zip({{"archive/data.pkl", {reinterpret_cast<const char*>(data), size}},
                           {"archive/data/0", std::string(64, '\1')},
                           {"archive/data/1", std::string(12, '\2')}});
  const auto file = zp::pt2::TorchFile::open(zp::test::blob_of(zip), "fuzz");
  if (!file) {
    zp::fuzz::expect_refused(file.error());
    return 0;
  }
  const zp::pt2::Pickle& pickle = file->pickle();
  const zp::pt2::PickleValue& root = pickle.root();
  read_tensor(*file, root);
  (void)file->subclass_name(root);
  for (size_t k = 0; k < root.items.size() && k < 64; ++k) {
    const zp::pt2::PickleValue& value = *pickle.item(root, k);
    read_tensor(*file, value);
    const auto parts = file->subclass_parts(value);
    if (!parts) zp::fuzz::expect_refused(parts.error());
  }
  return 0;
}
