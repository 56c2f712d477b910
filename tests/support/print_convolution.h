#pragma once

#include <ostream>

#include "math/convolution.h"

namespace vibnet {

/// Found by GoogleTest, which names a case by it.
inline std::ostream& operator<<(std::ostream& out, const Convolution& c) {
  return out << c.samples << " samples of " << c.groups << " x " << c.window.channels << " x "
             << c.window.axes[0].size << " x " << c.window.axes[1].size << ", " << c.filters
             << " filters of " << c.window.axes[0].kernel << " x " << c.window.axes[1].kernel;
}

}  // namespace vibnet
