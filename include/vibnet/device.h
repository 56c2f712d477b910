#pragma once

#include <cstddef>
#include <string>

namespace vibnet {

enum class DeviceType { CPU, GPU };

/// Where a net computes: the CPU, or the GPU with this index.
struct Device {
  DeviceType type = DeviceType::CPU;
  int index = 0;
};

inline bool operator==(const Device& a, const Device& b) {
  return a.type == b.type && a.index == b.index;
}

/// "CPU" or "GPU", as REGISTER_LAYER spells them.
const char* name(DeviceType type);

/// Reads "cpu", "gpu" or "gpu:N". Throws Error on anything else.
Device parse_device(const std::string& text);

/// How GPUs compute, for the whole program; set before the first net is made.
struct GpuMath {
  /// Products in TF32, whose factors have 10 bits behind the point: faster, but not the CPU's
  /// numbers to within rounding.
  bool tf32 = false;
  /// The same bits in each run. Else convolutions take what a clock says is fastest.
  bool deterministic = false;
  /// Bytes that a convolution may work in.
  std::size_t workspace = std::size_t{1} << 30;
};
GpuMath& gpu_math();

/// How many GPUs this build and machine can use.
int gpu_count();

/// Makes the device current for this thread; the CPU always is. Throws Error where the machine or
/// the build has no such GPU.
void use_device(const Device& device);

}  // namespace vibnet
