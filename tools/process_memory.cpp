#include "process_memory.h"

#include <fstream>
#include <string>

#include "vibnet/error.h"

namespace vibnet {
namespace {

/// A field of /proc/self/status that is in kB.
std::size_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kb = 0;
    if (word == field && status >> kb) return kb * 1024;
  }
  fail("/proc/self/status has no ", field);
}

}  // namespace

std::size_t resident_bytes() { return status_bytes("VmRSS:"); }
std::size_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

void forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << 5 << std::flush;
  if (!file) fail("/proc/self/clear_refs cannot be written");
}

}  // namespace vibnet
