// A diagnostic is what a person reads: place, severity, constraint id, text. Its printed form is
//   FILE:LINE:COLUMN: node 'NAME' (module.path): error: CONSTRAINT-ID: text
// with the parts that are unknown left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace zp {

enum class Severity : uint8_t { Note, Warning, Error };

struct Location {
  std::string file;
  uint32_t line = 0;    // from 1; 0: unknown
  uint32_t column = 0;  // from 1; 0: unknown
  std::string node;     // name of the node in its source
  std::string module;   // module path, e.g. features.0.conv
};

struct Diagnostic {
  Severity severity = Severity::Error;
  std::string id;  // numbered constraint, e.g. conv2d.c3; may be empty
  Location where;
  std::string text;  // lower-case, no final period, numbers included

  std::string str() const;
};

}  // namespace zp
