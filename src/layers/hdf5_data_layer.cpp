#include <algorithm>
#include <sstream>

#include "data/hdf5.h"
#include "data/record_order.h"
#include "layers/dataset_layer.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Batches from HDF5 files (Caffe's HDF5Data): `source` lists the files, one word each.
///
/// Tops: each is batch_size rows of the data set of its own name. Rows come as they stand, file
/// after file; with `shuffle` each epoch draws anew the order of the files, and of the rows in
/// each. One file is held in memory at a time. Errors: a transform_param, a file or data set that
/// is missing or holds no numbers, data sets of a file with other rows, files with rows of other
/// shapes.
class HDF5DataLayer : public DatasetLayer {
 public:
  using DatasetLayer::DatasetLayer;

  BlobCount top_count() const override { return {1, BlobCount::kAny}; }
  std::int64_t size() const override { return size_; }
  int batch_size() const override {
    return static_cast<int>(parameter_.hdf5_data_param().batch_size());
  }

  void set_up(const Blobs& /*bottom*/, const Blobs& top) override {
    if (parameter_.has_transform_param())
      fail("takes no transform_param: HDF5 data come as they are");
    if (parameter_.hdf5_data_param().source().empty()) fail("hdf5_data_param has no source");
    if (batch_size() < 1) fail("needs a batch_size of at least 1");
    samples_ = share_of(batch_size());
    read_list();
    for (std::size_t file = 0; file < files_.size(); ++file) read_shapes(file, top.size());
    if (size_ == 0) fail(parameter_.hdf5_data_param().source(), ": no file in it has a row");
    file_order_ = RecordOrder(static_cast<std::int64_t>(files_.size()), shuffles(), key("files"));
    blobs_of_file_.resize(top.size());
    for (std::size_t i = 0; i < top.size(); ++i) {
      Shape shape = row_shapes_[i];
      shape.insert(shape.begin(), samples_);
      top[i]->reshape(shape);
    }
  }

  void forward(const Blobs& /*bottom*/, const Blobs& top) override try {
    for (int i = 0; i < samples_; ++i) {
      const std::int64_t row = go_to(context_.first_sample(context_.batch(), samples_) + i);
      for (std::size_t t = 0; t < top.size(); ++t) {
        const std::int64_t values = top[t]->count(1);
        std::copy_n(blobs_of_file_[t].cpu_data() + row * values, values,
                    top[t]->mutable_cpu_data() + i * values);
      }
    }
  } catch (const Error& error) {
    fail(error.what());
  }

 private:
  bool shuffles() const { return parameter_.hdf5_data_param().shuffle(); }
  const std::string& dataset(std::size_t top) const {
    return parameter_.top(static_cast<int>(top));
  }
  RandomKey key(const std::string& what) const {
    return vibnet::random_key(context_.seed, name() + "/" + what);
  }

  void read_list() {
    const std::string& source = parameter_.hdf5_data_param().source();
    std::istringstream words(read_file(source));
    for (std::string file; words >> file;) files_.push_back(file);
    if (files_.empty()) fail(source, ": lists no HDF5 file");
  }

  /// Checks a file's data sets against each other and against the first file's.
  void read_shapes(std::size_t file, std::size_t tops) {
    for (std::size_t top = 0; top < tops; ++top) {
      Shape shape = hdf5_shape(files_[file], dataset(top));
      if (shape.empty()) fail(files_[file], ": data set '", dataset(top), "' has no axis of rows");
      const int rows = shape[0];
      shape.erase(shape.begin());
      if (top == 0) rows_.push_back(rows);
      if (file == 0) row_shapes_.push_back(shape);
      if (rows != rows_[file])
        fail(files_[file], ": data set '", dataset(top), "' has ", rows, " rows, and '", dataset(0),
             "' ", rows_[file]);
      if (shape != row_shapes_[top])
        fail(files_[file], ": the rows of '", dataset(top), "' are ", to_string(shape),
             ", and those of ", files_[0], " ", to_string(row_shapes_[top]));
    }
    size_ += rows_[file];
  }

  /// Loads the file that the sample stands in, and returns the sample's row.
  std::int64_t go_to(std::int64_t sample) {
    const std::int64_t epoch = sample / size_;
    std::int64_t left = sample % size_;
    std::int64_t place = epoch * file_order_.size();
    std::int64_t file = file_order_.position_of(place);
    while (left >= rows_[file]) {
      left -= rows_[file];
      file = file_order_.position_of(++place);
    }
    if (file != loaded_) load(file);
    return row_order_.position_of(epoch * rows_[file] + left);
  }

  void load(std::int64_t file) {
    loaded_ = -1;
    for (std::size_t top = 0; top < blobs_of_file_.size(); ++top) {
      Blob& blob = blobs_of_file_[top];
      read_hdf5(files_[file], dataset(top), &blob);
      if (blob.count(1) != count(row_shapes_[top], 0, static_cast<int>(row_shapes_[top].size())) ||
          blob.shape(0) != rows_[file])
        vibnet::fail(files_[file], ": has changed since it was opened");
    }
    row_order_ = RecordOrder(rows_[file], shuffles(), key("rows/" + std::to_string(file)));
    loaded_ = file;
  }

  /// This rank's of a batch.
  int samples_ = 0;
  std::vector<std::string> files_;
  std::vector<int> rows_;
  std::vector<Shape> row_shapes_;
  std::int64_t size_ = 0;
  RecordOrder file_order_;
  /// The file in memory, by its place in the list, and what is read of it, by top.
  std::int64_t loaded_ = -1;
  std::vector<Blob> blobs_of_file_;
  RecordOrder row_order_;
};

REGISTER_LAYER(HDF5Data, CPU, HDF5DataLayer);

}  // namespace vibnet
