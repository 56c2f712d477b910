#pragma once

#include <string>

#include "vibnet/blob.h"

namespace vibnet {

struct Hdf5Output;

/// The shape of a data set of numbers in an HDF5 file. This and the rest throw Error, the file
/// first, for what is missing, of another kind or damaged, and in a build without HDF5.
Shape hdf5_shape(const std::string& file, const std::string& dataset);

/// Reads a whole data set into the blob's data, and shapes it.
void read_hdf5(const std::string& file, const std::string& dataset, Blob* blob);

/// Writes a new HDF5 file, over what stood there.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::string& file);
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;
  ~Hdf5Writer();

  /// Appends the values, rows along the first axis, to a data set, and hands them to the system.
  void append(const std::string& dataset, const Shape& shape, const float* values);

 private:
  std::string file_;
  Hdf5Output* output_ = nullptr;
};

}  // namespace vibnet
