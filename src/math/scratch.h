#pragma once

#include <cstddef>

namespace vibnet {

/// Memory of so many floats for the calling thread to work in, aligned to a cache line, until its
/// next call: all layers work in the same. Not cleared.
float* scratch(std::size_t floats);

}  // namespace vibnet
