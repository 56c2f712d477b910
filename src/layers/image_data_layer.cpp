#include <utility>

#include "data/image.h"
#include "data/picture_list.h"
#include "layers/record_layer.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

class ListedPictures : public RecordSource {
 public:
  explicit ListedPictures(const ImageDataParameter& parameter)
      : parameter_(parameter), pictures_(read_picture_list(parameter.source())) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(pictures_.size()); }

  std::string name_of(std::int64_t position) override {
    return pictures_[position].line + ": " + path_of(position);
  }

  void read(std::int64_t position, Datum* datum) override try {
    const std::string path = path_of(position);
    Image image = decode_image(read_file(path),
                               parameter_.is_color() ? ImageColor::COLOR : ImageColor::GRAY, path);
    if (parameter_.new_height() > 0)
      image = resize_image(image, static_cast<int>(parameter_.new_height()),
                           static_cast<int>(parameter_.new_width()));
    datum->set_channels(image.channels);
    datum->set_height(image.height);
    datum->set_width(image.width);
    datum->set_data(std::move(image.pixels));
    datum->set_label(pictures_[position].label);
  } catch (const Error& error) {
    fail(pictures_[position].line, ": ", error.what());
  }

 private:
  std::string path_of(std::int64_t position) const {
    return parameter_.root_folder() + pictures_[position].path;
  }

  const ImageDataParameter& parameter_;
  std::vector<ListedPicture> pictures_;
};

}  // namespace

/// Batches of picture files (Caffe's ImageData): `source` lists "path label" lines, root_folder
/// stands before each path; pictures are read in colour, or in grey without is_color, and scaled to
/// new_height x new_width where given. batch_size, shuffle, rand_skip and transform_param are
/// RecordLayer's, labels are always a top.
class ImageDataLayer : public RecordLayer {
 public:
  using RecordLayer::RecordLayer;

  BlobCount top_count() const override { return {2, 2}; }
  int batch_size() const override {
    return static_cast<int>(parameter_.image_data_param().batch_size());
  }

 protected:
  std::unique_ptr<RecordSource> open() override {
    constexpr std::uint32_t kLargestSide = 1 << 15;
    const ImageDataParameter& parameter = parameter_.image_data_param();
    if (parameter.source().empty()) fail("image_data_param has no source");
    if ((parameter.new_height() > 0) != (parameter.new_width() > 0))
      fail("needs both of new_height and new_width, or none");
    if (parameter.new_height() > kLargestSide || parameter.new_width() > kLargestSide)
      fail("cannot scale pictures to ", parameter.new_height(), "x", parameter.new_width());
    return std::make_unique<ListedPictures>(parameter);
  }

  Reading reading() const override {
    const ImageDataParameter& parameter = parameter_.image_data_param();
    return {parameter.shuffle(), parameter.rand_skip(), DataParameter().prefetch()};
  }
};

REGISTER_LAYER(ImageData, CPU, ImageDataLayer);

}  // namespace vibnet
