#pragma once

/// Marks a function that runs on the CPU and in a GPU's kernels alike.
#ifdef __CUDACC__
#define VIBNET_HOST_DEVICE __host__ __device__
#else
#define VIBNET_HOST_DEVICE
#endif
