#pragma once

#include <cstddef>

namespace vibnet {

/// What Linux counts of this process, in bytes: resident now, and the most since it began, or since
/// forget_peak. Throws Error where /proc does not tell.
std::size_t resident_bytes();
std::size_t peak_resident_bytes();
void forget_peak();

}  // namespace vibnet
