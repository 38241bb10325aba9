#include "support/diagnostic.h"

#include "support/result.h"

namespace zp {

std::string Diagnostic::str() const {
  std::string out;
  if (!where.file.empty()) {
    out += where.file;
    if (where.line != 0) out += ":" + std::to_string(where.line);
    if (where.line != 0 && where.column != 0) out += ":" + std::to_string(where.column);
    out += ": ";
  } else if (where.line != 0) {
    out += "line " + std::to_string(where.line) + ":" + std::to_string(where.column) + ": ";
  }
  if (!where.node.empty()) {
    out += "node '" + where.node + "'";
    if (!where.module.empty()) out += " (" + where.module + ")";
    out += ": ";
  }
  switch (severity) {
    case Severity::Note: out += "note: "; break;
    case Severity::Warning: out += "warning: "; break;
    case Severity::Error: out += "error: "; break;
  }
  if (!id.empty()) out += id + ": ";
  out += text;
  return out;
}

Error::Error(Diagnostic diagnostic, ErrorKind kind)
    : diagnostics_(std::make_unique<std::vector<Diagnostic>>()), kind_(kind) {
  diagnostics_->push_back(std::move(diagnostic));
}

Error::Error(std::vector<Diagnostic> diagnostics, ErrorKind kind)
    : diagnostics_(std::make_unique<std::vector<Diagnostic>>(std::move(diagnostics))), kind_(kind) {
  assert(!diagnostics_->empty());
}

Error::Error(std::string id, std::string text, ErrorKind kind)
    : Error(Diagnostic{Severity::Error, std::move(id), {}, std::move(text)}, kind) {}

Error&& Error::at(const Location& where) && {
  for (Diagnostic& d : *diagnostics_) {
    if (d.where.file.empty()) d.where.file = where.file;
    if (d.where.line == 0) d.where.line = where.line, d.where.column = where.column;
    if (d.where.node.empty()) d.where.node = where.node;
    if (d.where.module.empty()) d.where.module = where.module;
  }
  return std::move(*this);
}

Error&& Error::in_file(std::string_view file) && {
  Location where;
  where.file = file;
  return std::move(*this).at(where);
}

Error&& Error::at_node(std::string_view node, std::string_view module) && {
  Location where;
  where.node = node;
  where.module = module;
  return std::move(*this).at(where);
}

std::string Error::str() const {
  std::string out;
  for (const Diagnostic& d : *diagnostics_) {
    if (!out.empty()) out += '\n';
    out += d.str();
  }
  return out;
}

}  // namespace zp
