// Figures of backend descriptions: matching the largest preset, reading a dictionary.
#pragma once

#include <string>
#include <vector>

namespace zp::bench {

struct Figure {
  std::string what, measured, target;
  bool met = false;
};
std::vector<Figure> backend_figures(bool quick);

}  // namespace zp::bench
