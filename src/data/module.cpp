#include "data/module.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>

namespace vibnet {
namespace {

void* open_beside(const char* library) {
  Dl_info here{};
  dladdr(reinterpret_cast<const void*>(&load_module), &here);
  const std::string beside = std::filesystem::path(here.dli_fname).replace_filename(library);
  void* module = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
  return module != nullptr ? module : dlopen(library, RTLD_NOW | RTLD_LOCAL);
}

}  // namespace

const void* load_module(const char* library, const char* entry) {
  void* module = open_beside(library);
  if (module == nullptr) return nullptr;
  using Entry = const void* (*)();
  const auto exported = reinterpret_cast<Entry>(dlsym(module, entry));
  return exported == nullptr ? nullptr : exported();
}

}  // namespace vibnet
