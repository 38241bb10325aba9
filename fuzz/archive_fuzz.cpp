// libFuzzer target of torch.export archives behind their container. The input is text: the line
// `%%% RECORD` begins a record of that name, and the archive is built from the records in memory, so that all
// checksums are right. What is read is verified, run, compiled, written and read again. Seeds:
// fuzz/corpus/archive.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../test/formats/zip_builder.h"
#include "exercise.h"
#include "json_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 8 == 0 || size == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::string text(reinterpret_cast<const char*>(data), size);
  for (unsigned n = 1 + random() % 3; n > 0; --n) zp::fuzz::mutate_json(text, random);
  size = std::min(text.size(), max_size);
  std::memcpy(data, text.data(), size);
  return size;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  zp::fuzz::set_limits();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::string_view kMark = "%%% ";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<zp::test::ZipItem> items;
  for (size_t at = text.find(kMark); at != std::string_view::npos;) {
    const size_t name = at + kMark.size(), line = std::min(text.find('\n', at), text.size());
    const size_t begin = std::min(line + 1, text.size());
    at = text.find(kMark, begin);
    items.push_back({std::string(text.substr(name, line - name)),
                     std::string(text.substr(begin, at == std::string_view::npos ? at : at - begin))});
  }
  const std::string zip = zp::test::build_zip(items);
  const zp::fuzz::MemoryFile file(zip.data(), zip.size());
  zp::fuzz::exercise_archive(file.path(), static_cast<uint32_t>(std::hash<std::string_view>()(text)));
  return 0;
}
