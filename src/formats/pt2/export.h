// Writes a model as a torch.export archive (.pt2) of the layout of torch >= 2.9: raw storages with a
// configuration record, which torch.export.load reads once the operator libraries of needs_import() are
// imported. What an imported archive said beyond the graph (signature, pytrees, guards, metadata, sample
// inputs) is carried over; weights that were not changed are copied by the kernel and not read. Integer
// operators are written in the namespace `zp` (integer_form.h); expand them first for an archive that torch's
// own operators run. Equal models give equal bytes.
#pragma once

#include <string>
#include <vector>

#include "ir/model.h"
#include "support/result.h"

namespace zp {

struct ExportOptions {
  bool carry_sample_inputs = true;  // of the source archive, if it has any
};

// The file appears whole or not at all. `needs_import` (may be null) gets what needs_import() says, for which
// no second walk is needed.
Status export_pt2(const Model& model, const std::string& path, const ExportOptions& options = {},
                  std::vector<std::string>* needs_import = nullptr);

// Python modules that register the operators which the exported model uses beyond plain `import torch`,
// sorted.
std::vector<std::string> needs_import(const Model& model);

}  // namespace zp
