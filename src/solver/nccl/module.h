#pragma once

#include <memory>

#include "vibnet/communicator.h"

namespace vibnet {

/// What the module that links NCCL can do.
struct NcclModule {
  /// The same ranks, which sum on the GPU that each has in use, another one each. Throws Error.
  std::unique_ptr<Communicator> (*join)(Communicator* ranks);
};

}  // namespace vibnet
