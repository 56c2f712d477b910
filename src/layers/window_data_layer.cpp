#include <algorithm>
#include <memory>

#include "core/gpu_runtime.h"
#include "data/image.h"
#include "data/prefetcher.h"
#include "data/window_crop.h"
#include "data/window_file.h"
#include "layers/dataset_layer.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Windows drawn from pictures, for a detector in R-CNN's manner (Caffe's WindowData).
///
/// Tops: data, batch_size x 3 x crop_size x crop_size; labels, batch_size. `source` is the window
/// file, root_folder stands before its paths. Windows that overlap an object by fg_threshold or
/// more are foreground; those below bg_threshold are background, of label 0. A batch is background
/// first and then fg_fraction of foreground, each window drawn from the seed and the sample's
/// number, and cut as crop_mode (warp or square) and context_pad say. transform_param: crop_size,
/// mirror, scale (which Caffe reads here and does not apply), mean_file or mean_value; the pixels
/// where the picture ends are 0. cache_images keeps the picture files in memory.
class WindowDataLayer : public DatasetLayer {
 public:
  using DatasetLayer::DatasetLayer;

  BlobCount top_count() const override { return {2, 2}; }
  std::int64_t size() const override {
    return static_cast<std::int64_t>(foreground_.size() + background_.size());
  }
  double seconds_waited() const override { return prefetcher_->seconds_waited(); }
  int batch_size() const override { return static_cast<int>(parameter().batch_size()); }

  void set_up(const Blobs& /*bottom*/, const Blobs& top) override {
    check_parameter();
    read_windows();
    read_mean();
    top[0]->reshape({samples_, kChannels, cut_.side, cut_.side});
    top[1]->reshape({samples_});
    prefetcher_ = std::make_unique<Prefetcher>(
        [this](std::int64_t index, Batch* batch) { read(index, batch); },
        static_cast<int>(DataParameter().prefetch()), context_.device);
  }

  void forward(const Blobs& /*bottom*/, const Blobs& top) override try {
    prefetcher_->take(context_.batch(), &batch_);
    batch_.copy_to(top, context_.device);
  } catch (const GpuOutOfMemory&) {
    throw;  // the net says more of it
  } catch (const Error& error) {
    fail(error.what());
  }

 private:
  static constexpr int kChannels = 3;

  const WindowDataParameter& parameter() const { return parameter_.window_data_param(); }
  const TransformationParameter& transform() const { return parameter_.transform_param(); }
  int foreground_of_batch() const {
    return static_cast<int>(static_cast<float>(batch_size()) * parameter().fg_fraction());
  }

  void check_parameter() {
    constexpr std::uint32_t kLargestSide = 1 << 12;
    const std::uint32_t side = transform().crop_size();
    if (parameter().source().empty()) fail("window_data_param has no source");
    if (batch_size() < 1) fail("needs a batch_size of at least 1");
    samples_ = share_of(batch_size());
    if (side == 0 || side > kLargestSide)
      fail("needs a crop_size from 1 to ", kLargestSide, " in its transform_param");
    if (parameter().crop_mode() != "warp" && parameter().crop_mode() != "square")
      fail("crop_mode: '", parameter().crop_mode(), "' is neither 'warp' nor 'square'");
    if (parameter().context_pad() > (side - 1) / 2)
      fail("context_pad: ", parameter().context_pad(), " leaves nothing of crop_size: ", side);
    if (!(parameter().fg_fraction() >= 0 && parameter().fg_fraction() <= 1))
      fail("fg_fraction: ", parameter().fg_fraction(), " is not from 0 to 1");
    if (transform().pad() > 0) fail("takes no pad; context_pad is what it has");
    cut_ = {static_cast<int>(side), static_cast<int>(parameter().context_pad()),
            parameter().crop_mode() == "square"};
  }

  void read_windows() {
    WindowFile file = read_window_file(parameter().source());
    for (std::string& image : file.images) {
      image.insert(0, parameter().root_folder());
      if (parameter().cache_images()) cache_.push_back(read_file(image));
    }
    images_ = std::move(file.images);
    for (PictureWindow& window : file.windows) {
      if (window.overlap >= parameter().fg_threshold()) {
        if (window.label == 0)
          fail(parameter().source(), ": a window of picture ", window.image, " overlaps by ",
               window.overlap, ", and has the background's class, 0");
        foreground_.push_back(window);
      } else if (window.overlap < parameter().bg_threshold()) {
        window.label = 0;
        background_.push_back(window);
      }
    }
    if (foreground_of_batch() > 0 && foreground_.empty())
      fail(parameter().source(), ": has no window that overlaps by fg_threshold");
    if (foreground_of_batch() < batch_size() && background_.empty())
      fail(parameter().source(), ": has no window that overlaps by less than bg_threshold");
  }

  /// Puts the mean of each of the crop's pixels into mean_: the middle of the file's, or the
  /// values.
  void read_mean() {
    const int values = transform().mean_value_size();
    if (transform().has_mean_file() && values > 0)
      fail("mean_file and mean_value are both given; give one");
    if (values > 1 && values != kChannels)
      fail("has ", values, " mean_value; give one, or ", kChannels);
    const int side = cut_.side;
    mean_.assign(std::size_t{kChannels} * side * side, 0);
    if (transform().has_mean_file()) return read_mean_file();
    for (std::size_t i = 0; values > 0 && i < mean_.size(); ++i)
      mean_[i] = transform().mean_value(values == 1 ? 0 : static_cast<int>(i / side / side));
  }

  void read_mean_file() {
    BlobProto proto;
    read_binary(transform().mean_file(), &proto);
    Blob blob;
    blob.from_proto(proto);
    const int side = cut_.side;
    const int height = blob.axes() < 3 ? 0 : blob.shape(-2);
    const int width = blob.axes() < 3 ? 0 : blob.shape(-1);
    const int offset = (width - side) / 2;
    if (width < side || height < offset + side || blob.shape(-3) != kChannels ||
        blob.count() != kChannels * height * width)
      fail("the mean file ", transform().mean_file(), " is ", to_string(blob.shape()),
           ", and must hold ", kChannels, "x", side, "x", side, " around its middle");
    float* mean = mean_.data();
    for (int c = 0; c < kChannels; ++c)
      for (int y = 0; y < side; ++y, mean += side)
        std::copy_n(blob.cpu_data() + (1LL * c * height + y + offset) * width + offset, side, mean);
  }

  void read(std::int64_t index, Batch* batch) {
    const std::size_t values = mean_.size();
    batch->data.reshape({samples_, kChannels, cut_.side, cut_.side});
    batch->data.set_data(0);
    batch->labels.reshape({samples_});
    float* data = batch->data.mutable_cpu_data();
    float* labels = batch->labels.mutable_cpu_data();
    const int background = batch_size() - foreground_of_batch();
    const std::int64_t first = context_.first_sample(index, samples_);
    for (int i = 0; i < samples_; ++i) {
      const bool is_background = (first + i) % batch_size() < background;
      const std::vector<PictureWindow>& windows = is_background ? background_ : foreground_;
      RandomSequence random(random_key(), static_cast<std::uint64_t>(first + i));
      const PictureWindow& window =
          windows[random.below(static_cast<std::uint32_t>(windows.size()))];
      const bool is_mirrored = transform().mirror() && random.below(2) == 1;
      write(cut_out(window, is_mirrored), data + i * values);
      labels[i] = static_cast<float>(window.label);
    }
  }

  WarpedWindow cut_out(const PictureWindow& window, bool is_mirrored) const {
    const std::string& path = images_[window.image];
    const std::string bytes = cache_.empty() ? read_file(path) : "";
    const Image picture =
        decode_image(cache_.empty() ? bytes : cache_[window.image], ImageColor::COLOR, path);
    try {
      return cut_window(picture, window, cut_, is_mirrored);
    } catch (const Error& error) {
      vibnet::fail(parameter().source(), ": ", path, ": ", error.what());
    }
  }

  void write(const WarpedWindow& warped, float* values) const {
    const Image& image = warped.image;
    const auto* pixel = reinterpret_cast<const unsigned char*>(image.pixels.data());
    for (int c = 0; c < kChannels; ++c)
      for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
          const int at = (c * cut_.side + y + warped.top) * cut_.side + x + warped.left;
          values[at] = (static_cast<float>(*pixel++) - mean_[at]) * transform().scale();
        }
  }

  WindowCut cut_{};
  std::vector<std::string> images_;
  std::vector<PictureWindow> foreground_;
  std::vector<PictureWindow> background_;
  /// The picture files' bytes, with cache_images.
  std::vector<std::string> cache_;
  std::vector<float> mean_;
  Batch batch_;
  /// Last, so that its thread ends before what it reads with.
  std::unique_ptr<Prefetcher> prefetcher_;
  /// This rank's of a batch.
  int samples_ = 0;
};

REGISTER_LAYER(WindowData, CPU, WindowDataLayer);

}  // namespace vibnet
