#include <hdf5.h>

#include <algorithm>

#include "data/hdf5/module.h"

namespace vibnet {

struct Hdf5Output {
  hid_t file;
};

namespace {

/// One of HDF5's objects, closed at the end.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  Close close_;
};

/// A data set of numbers, opened for reading.
class Dataset {
 public:
  Dataset(const std::string& file, const std::string& name)
      : access_(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
        // Without a lock, which some disks refuse: nobody writes to what is read here.
        has_no_lock_(H5Pset_file_locking(access_, 0, 1) >= 0),
        file_(H5Fopen(file.c_str(), H5F_ACC_RDONLY, access_), H5Fclose),
        dataset_(file_ < 0 ? -1 : H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose) {}

  std::string error(const std::string& name) const {
    if (file_ < 0) return "is no HDF5 file";
    if (dataset_ < 0) return "has no data set '" + name + "'";
    const Handle type(H5Dget_type(dataset_), H5Tclose);
    const H5T_class_t kind = H5Tget_class(type);
    if (kind != H5T_FLOAT && kind != H5T_INTEGER) return "data set '" + name + "' holds no numbers";
    return is_plausible() ? "" : "data set '" + name + "' is cut off or damaged";
  }

  Hdf5Shape shape() const {
    const Handle space(H5Dget_space(dataset_), H5Sclose);
    const int axes = std::max(0, H5Sget_simple_extent_ndims(space));
    std::vector<hsize_t> sizes(axes);
    if (axes > 0) H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
    return {sizes.begin(), sizes.end()};
  }

  /// False where the file is far too small for its values, however they are packed: a damaged one
  /// may claim any number.
  bool is_plausible() const {
    constexpr double kUnwritten = 1 << 26;  // such a data set takes no bytes
    constexpr double kBestPacking = 1032;   // deflate's, in bytes
    const Handle type(H5Dget_type(dataset_), H5Tclose);
    double count = 1;
    for (const std::uint64_t size : shape()) count *= static_cast<double>(size);
    const double values_of_a_byte = kBestPacking / static_cast<double>(H5Tget_size(type));
    return count <= kUnwritten + values_of_a_byte * stored_bytes();
  }

  /// What the data set says, and no more than its file has, unless the values stand in others.
  double stored_bytes() const {
    const auto claimed = static_cast<double>(H5Dget_storage_size(dataset_));
    const Handle properties(H5Dget_create_plist(dataset_), H5Pclose);
    hsize_t whole = 0;
    if (H5Pget_external_count(properties) > 0 || H5Fget_filesize(file_, &whole) < 0) return claimed;
    return std::min(claimed, static_cast<double>(whole));
  }

  bool read(float* values) const {
    return H5Dread(dataset_, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
  }

 private:
  Handle access_;
  bool has_no_lock_;
  Handle file_;
  Handle dataset_;
};

std::string read_shape(const std::string& file, const std::string& name, Hdf5Shape* shape) {
  const Dataset dataset(file, name);
  if (std::string error = dataset.error(name); !error.empty()) return error;
  *shape = dataset.shape();
  return "";
}

std::string read(const std::string& file, const std::string& name, std::size_t count,
                 float* values) {
  const Dataset dataset(file, name);
  if (std::string error = dataset.error(name); !error.empty()) return error;
  std::size_t found = 1;
  for (const std::uint64_t size : dataset.shape()) found *= size;
  if (found != count) return "data set '" + name + "' has changed since it was opened";
  if (count > 0 && !dataset.read(values)) return "data set '" + name + "' is cut off or damaged";
  return "";
}

std::string create(const std::string& file, Hdf5Output** output) {
  const hid_t id = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  if (id < 0) return "cannot be written";
  *output = new Hdf5Output{id};
  return "";
}

/// A data set of no rows yet, that can grow.
hid_t make_dataset(hid_t file, const std::string& name, const std::vector<hsize_t>& shape) {
  constexpr hsize_t kChunkValues = 1 << 18;
  std::vector<hsize_t> size = shape;
  std::vector<hsize_t> most = shape;
  std::vector<hsize_t> chunk = shape;
  hsize_t row = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis) {
    chunk[axis] = std::clamp<hsize_t>(shape[axis], 1, std::max<hsize_t>(1, kChunkValues / row));
    row *= chunk[axis];
  }
  size[0] = 0;
  most[0] = H5S_UNLIMITED;
  chunk[0] = std::clamp<hsize_t>(shape[0], 1, std::max<hsize_t>(1, kChunkValues / row));
  const int axes = static_cast<int>(shape.size());
  const Handle space(H5Screate_simple(axes, size.data(), most.data()), H5Sclose);
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (H5Pset_chunk(properties, axes, chunk.data()) < 0) return -1;
  return H5Dcreate2(file, name.c_str(), H5T_NATIVE_FLOAT, space, H5P_DEFAULT, properties,
                    H5P_DEFAULT);
}

std::string append(Hdf5Output* output, const std::string& name, const Hdf5Shape& shape,
                   const float* values) {
  const std::vector<hsize_t> rows(shape.begin(), shape.end());
  const bool exists = H5Lexists(output->file, name.c_str(), H5P_DEFAULT) > 0;
  const Handle dataset(exists ? H5Dopen2(output->file, name.c_str(), H5P_DEFAULT)
                              : make_dataset(output->file, name, rows),
                       H5Dclose);
  if (dataset < 0) return "data set '" + name + "' cannot be made";
  std::vector<hsize_t> size(rows.size());
  const Handle before(H5Dget_space(dataset), H5Sclose);
  H5Sget_simple_extent_dims(before, size.data(), nullptr);
  if (!std::equal(rows.begin() + 1, rows.end(), size.begin() + 1))
    return "the rows of '" + name + "' have another shape than those before";
  std::vector<hsize_t> begin(rows.size());
  begin[0] = size[0];
  size[0] += rows[0];
  if (H5Dset_extent(dataset, size.data()) < 0) return "cannot be written: is the disk full?";
  const Handle place(H5Dget_space(dataset), H5Sclose);
  const Handle memory(H5Screate_simple(static_cast<int>(rows.size()), rows.data(), nullptr),
                      H5Sclose);
  H5Sselect_hyperslab(place, H5S_SELECT_SET, begin.data(), nullptr, rows.data(), nullptr);
  if (H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, place, H5P_DEFAULT, values) < 0 ||
      H5Fflush(output->file, H5F_SCOPE_LOCAL) < 0)
    return "cannot be written: is the disk full?";
  return "";
}

void close(Hdf5Output* output) {
  H5Fclose(output->file);
  delete output;
}

}  // namespace
}  // namespace vibnet

extern "C" const void* vibnet_hdf5_module() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static const vibnet::Hdf5Module module{vibnet::read_shape, vibnet::read, vibnet::create,
                                         vibnet::append, vibnet::close};
  return &module;
}
