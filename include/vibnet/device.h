#pragma once

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

/// How many GPUs this build and machine can use.
int gpu_count();

/// Makes the device current for this thread; the CPU always is. Throws Error where the machine or
/// the build has no such GPU.
void use_device(const Device& device);

}  // namespace vibnet
