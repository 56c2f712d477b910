#include <memory>
#include <string>

#include "data/hdf5.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Writes its bottoms to the HDF5 file file_name (Caffe's HDF5Output): the first as the data set
/// `data`, the second as `label`, N x C x H x W both, and as many N. Each pass appends its rows
/// (Caffe's writes one pass and fails at the next). What stood in the file is gone at the first
/// pass, and not before: who only makes the net, to look at it say, loses nothing.
class HDF5OutputLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  BlobCount top_count() const override { return {0, 0}; }
  bool has_gradient(int /*bottom*/) const override { return false; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    if (file().empty()) fail("hdf5_output_param has no file_name");
  }

  void reshape(const Blobs& bottom, const Blobs& /*top*/) override {
    for (const Blob* blob : bottom)
      if (blob->axes() > 4) fail("a bottom is ", to_string(blob->shape()), "; 4 axes are the most");
    if (shape_of_four(*bottom[0])[0] != shape_of_four(*bottom[1])[0])
      fail("the data are ", to_string(bottom[0]->shape()), ", and the labels ",
           to_string(bottom[1]->shape()), "; both need as many rows");
  }

  void forward(const Blobs& bottom, const Blobs& /*top*/) override try {
    if (writer_ == nullptr) writer_ = std::make_unique<Hdf5Writer>(file());
    writer_->append("data", shape_of_four(*bottom[0]), bottom[0]->cpu_data());
    writer_->append("label", shape_of_four(*bottom[1]), bottom[1]->cpu_data());
  } catch (const Error& error) {
    fail(error.what());
  }

  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}

 private:
  const std::string& file() const { return parameter_.hdf5_output_param().file_name(); }

  static Shape shape_of_four(const Blob& blob) {
    Shape shape = blob.shape();
    shape.resize(4, 1);
    return shape;
  }

  std::unique_ptr<Hdf5Writer> writer_;
};

REGISTER_LAYER(HDF5Output, CPU, HDF5OutputLayer);

}  // namespace vibnet
