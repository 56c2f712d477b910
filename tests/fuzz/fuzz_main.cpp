// libFuzzer's entry to the target that VIBNET_FUZZ_TARGET names.

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>

#include "fuzz/fuzz_targets.h"

/// An allocation beyond this fails as on a full machine: a net may honestly ask for more.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=64";
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  FLAGS_minloglevel = google::GLOG_FATAL;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const vibnet::FuzzTarget target = vibnet::fuzz_targets().at(VIBNET_FUZZ_TARGET);
  target(std::string(reinterpret_cast<const char*>(bytes), size));
  return 0;
}
