#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// Writes the batch into the net's sources: Data's batch_size, the first dimension of Input and
/// DummyData. Leaves a net as it is whose first dimensions are no batch.
void set_batch(int batch, NetParameter* net);

}  // namespace vibnet
