#include "vibnet/device.h"

#include "core/device_scope.h"
#include "core/gpu_runtime.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

GpuRuntime*& registered_runtime() {
  static GpuRuntime* runtime = nullptr;
  return runtime;
}

thread_local Device current;

}  // namespace

GpuOutOfMemory::GpuOutOfMemory(const std::string& asked, std::size_t free, std::size_t total)
    : Error("the GPU is out of memory: " + asked + " were asked for and " + std::to_string(free) +
            " of " + std::to_string(total) + " are free"),
      free_(free) {}

GpuRuntime* gpu_runtime() { return registered_runtime(); }

bool register_gpu_runtime(GpuRuntime* runtime) {
  registered_runtime() = runtime;
  return true;
}

const char* name(DeviceType type) { return type == DeviceType::CPU ? "CPU" : "GPU"; }

GpuMath& gpu_math() {
  static GpuMath math;
  return math;
}

int gpu_count() { return gpu_runtime() == nullptr ? 0 : gpu_runtime()->device_count(); }

Device parse_device(const std::string& text) {
  if (text == "cpu") return {};
  const std::string digits = text == "gpu" ? "0" : text.rfind("gpu:", 0) == 0 ? text.substr(4) : "";
  if (digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    fail("device '", text, "' is not known: it is cpu, gpu or gpu:N");
  return {DeviceType::GPU, std::stoi(digits)};
}

bool thread_uses_gpu() { return current.type == DeviceType::GPU; }

void use_device(const Device& device) {
  current = Device();
  if (device.type == DeviceType::CPU) return;
  if (gpu_runtime() == nullptr)
    fail("device gpu:", device.index, ": this vibnet was built without CUDA; use cpu");
  if (gpu_count() == 0)
    fail("device gpu:", device.index,
         ": this machine has no usable GPU: ", gpu_runtime()->why_none());
  if (device.index >= gpu_count())
    fail("device gpu:", device.index, ": this machine has ", gpu_count(), " usable GPU(s)");
  gpu_runtime()->use(device.index);
  current = device;
}

DeviceScope::DeviceScope() : before_(current) {}

DeviceScope::~DeviceScope() {  // NOLINT(bugprone-exception-escape)
  if (!(current == before_)) use_device(before_);
}

}  // namespace vibnet
