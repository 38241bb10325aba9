// libFuzzer target of the container: any bytes as a zip archive, every entry read and compared with its
// checksum, then read as a torch.export archive. Seeds: test/formats/data/*.pt2.
#include <cstdint>

#include "exercise.h"
#include "formats/pt2/import.h"
#include "formats/pt2/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  zp::pt2::ZipLimits limits;
  limits.max_inflated = 1 << 24;
  const auto zip = zp::pt2::Zip::open(zp::Blob(bytes.data(), bytes.size(), nullptr), limits);
  if (zip) {
    for (const zp::pt2::ZipEntry& entry : zip->entries()) {
      const auto payload = zip->payload(entry);
      if (payload && payload->size() != entry.size) __builtin_trap();
      (void)zip->verify(entry);
    }
  } else {
    zp::fuzz::expect_refused(zip.error());
  }
  const zp::fuzz::MemoryFile file(data, size);
  const auto model = zp::import_pt2(file.path());
  if (model) (void)zp::check_payloads(**model);
  else zp::fuzz::expect_refused(model.error());
  return 0;
}
