// Reads every record of the archive behind a model and compares its checksum: what plain reading leaves out,
// because it would touch all weights.
#include "formats/pt2/archive.h"
#include "formats/pt2/import.h"
#include "formats/pt2/source.h"

namespace zp {

Status check_payloads(const Model& model) {
  const auto* source = dynamic_cast<const pt2::Pt2Source*>(model.source.get());
  if (source == nullptr || source->archive == nullptr) return {};
  std::vector<Diagnostic> problems;
  for (const pt2::ZipEntry& entry : source->archive->zip().entries()) {
    const Status status = source->archive->zip().verify(entry);
    if (status.ok()) continue;
    for (Diagnostic d : status.error().diagnostics()) {
      d.where.file = model.path;
      problems.push_back(std::move(d));
    }
  }
  if (!problems.empty()) return Error(std::move(problems));
  return {};
}

}  // namespace zp
