#include "core/rank_sum.h"

#include <vector>

#include "core/gpu_runtime.h"

namespace vibnet {

void sum_on_gpu(Communicator* ranks, double* values, std::size_t count) {
  if (ranks->size() == 1) return;
  if (ranks->sums_on_gpu()) return ranks->sum_on_gpu(values, count);
  std::vector<double> sums(count);
  gpu_runtime()->copy_to_host(sums.data(), values, count * sizeof(double));
  ranks->sum(sums.data(), count);
  gpu_runtime()->copy_to_device(values, sums.data(), count * sizeof(double));
}

}  // namespace vibnet
