#pragma once

#include <functional>

#include "vibnet/communicator.h"

namespace vibnet {

/// Runs the body on so many threads, each a rank that the others train with, to its end. What the
/// first of them to fail throws, this throws.
void run_ranks(int count, const std::function<void(Communicator* ranks)>& body);

}  // namespace vibnet
