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

const Kernels& choose() {
  const char* asked = std::getenv("VIBNET_SIMD");
  const std::string name = asked != nullptr ? asked : "";
#ifdef VIBNET_X86
  if (has_avx512() && (name.empty() || name == "avx512")) return avx512::kKernels;
  if (has_avx2() && (name.empty() || name == "avx2")) return avx2::kKernels;
#endif
  if (name.empty() || name == "baseline") return baseline::kKernels;
  fail("VIBNET_SIMD: this processor runs baseline", has_avx2() ? ", avx2" : "",
       has_avx512() ? ", avx512" : "", ", and '", name, "' was asked for");
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace vibnet
