#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vibnet {

using Hdf5Shape = std::vector<std::uint64_t>;
struct Hdf5Output;

/// What libvibnet_hdf5.so exports as `vibnet_hdf5_module`. Functions return what went wrong, empty
/// where nothing did, and throw nothing. One call at a time.
struct Hdf5Module {
  std::string (*read_shape)(const std::string& file, const std::string& dataset, Hdf5Shape* shape);
  /// `values` has room for all values of the data set, which are `count`.
  std::string (*read)(const std::string& file, const std::string& dataset, std::size_t count,
                      float* values);
  std::string (*create)(const std::string& file, Hdf5Output** output);
  /// Appends rows, along the first axis of `shape`, to a data set, which the first ones make.
  std::string (*append)(Hdf5Output* output, const std::string& dataset, const Hdf5Shape& shape,
                        const float* values);
  void (*close)(Hdf5Output* output);
};

}  // namespace vibnet
