#include "data/hdf5.h"

#include <filesystem>
#include <limits>
#include <mutex>

#include "data/hdf5/module.h"
#include "data/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kModule = "libvibnet_hdf5.so";

const Hdf5Module& hdf5_module(const std::string& file) {
  static const auto* const module =
      static_cast<const Hdf5Module*>(load_module(kModule, "vibnet_hdf5_module"));
  if (module == nullptr)
    fail(file, ": needs the HDF5 library, and ", kModule,
         " cannot be loaded: build vibnet with -DWITH_HDF5=ON");
  return *module;
}

/// The library is not safe to call from two threads.
std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  return mutex;
}

void check(const std::string& file, const std::string& error) {
  if (!error.empty()) fail(file, ": ", error);
}

void check_exists(const std::string& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) fail(file, ": there is no such file");
}

void check_has_folder(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  std::error_code ignored;
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
    fail(file, ": cannot be written: there is no folder ", folder.string());
}

}  // namespace

Shape hdf5_shape(const std::string& file, const std::string& dataset) {
  check_exists(file);
  Hdf5Shape sizes;
  {
    const std::lock_guard<std::mutex> lock(hdf5_mutex());
    check(file, hdf5_module(file).read_shape(file, dataset, &sizes));
  }
  Shape shape;
  for (const std::uint64_t size : sizes) {
    if (size > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
      fail(file, ": data set '", dataset, "' has an axis of ", size, " values, which is too many");
    shape.push_back(static_cast<int>(size));
  }
  return shape;
}

void read_hdf5(const std::string& file, const std::string& dataset, Blob* blob) {
  blob->reshape(hdf5_shape(file, dataset));
  const std::lock_guard<std::mutex> lock(hdf5_mutex());
  check(file, hdf5_module(file).read(file, dataset, blob->count(), blob->mutable_cpu_data()));
}

Hdf5Writer::Hdf5Writer(const std::string& file) : file_(file) {
  check_has_folder(file_);
  const std::lock_guard<std::mutex> lock(hdf5_mutex());
  check(file_, hdf5_module(file_).create(file_, &output_));
}

Hdf5Writer::~Hdf5Writer() {
  const std::lock_guard<std::mutex> lock(hdf5_mutex());
  if (output_ != nullptr) hdf5_module(file_).close(output_);
}

void Hdf5Writer::append(const std::string& dataset, const Shape& shape, const float* values) {
  const std::lock_guard<std::mutex> lock(hdf5_mutex());
  check(file_, hdf5_module(file_).append(output_, dataset, {shape.begin(), shape.end()}, values));
}

}  // namespace vibnet
