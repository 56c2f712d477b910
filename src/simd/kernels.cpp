#include "simd/kernels.h"

#include <cstdlib>
#include <string>

#include "vibnet/error.h"

namespace vibnet {

namespace baseline {
extern const Kernels kKernels;
}
#ifdef VIBNET_X86
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#endif

namespace {

bool has_avx2() {
#ifdef VIBNET_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool has_avx512() {
#ifdef VIBNET_X86
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

}  // namespace

const Kernels& kernels_for(const std::string& name) {
#ifdef VIBNET_X86
  if (has_avx512() && (name.empty() || name == "avx512")) return avx512::kKernels;
  if (has_avx2() && (name.empty() || name == "avx2")) return avx2::kKernels;
#endif
  if (name.empty() || name == "baseline") return baseline::kKernels;
  fail("VIBNET_SIMD: this processor runs baseline", has_avx2() ? ", avx2" : "",
       has_avx512() ? ", avx512" : "", ", and '", name, "' was asked for");
}

const Kernels& kernels() {
  static const char* asked = std::getenv("VIBNET_SIMD");
  static const Kernels& chosen = kernels_for(asked != nullptr ? asked : "");
  return chosen;
}

}  // namespace vibnet
