#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/image.h"
#include "layers/record_layer.h"
#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImageDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string error = error_of([] { resize_image({1, 1, 1, "a"}, 1, 1); });
    if (error.find("WITH_OPENCV") != std::string::npos) GTEST_SKIP() << error;
    std::string list;
    for (int i = 0; i < 10; ++i) {
      const std::string name = "picture " + std::to_string(i) + ".png";
      write_picture(name, 4, 6, 20 * i);
      list += name + " " + std::to_string(i) + "\n";
    }
    list_ = folder_.write("list.txt", list);
  }

  /// In colour: blue is `value`, green `value` + 1, red `value` + 2 in every pixel.
  void write_picture(const std::string& name, int height, int width, int value) {
    Image image{3, height, width, {}};
    for (int c = 0; c < 3; ++c)
      image.pixels += std::string(height * width, static_cast<char>(value + c));
    folder_.write(name, encode_image(image, ".png"));
  }

  std::string prototxt(const std::string& fields, const std::string& source = "") const {
    return "name: 'pictures' type: 'ImageData' top: 'data' top: 'label' image_data_param { "
           "source: '" +
           (source.empty() ? list_ : source) + "' root_folder: '" + folder_.path().string() +
           "/' " + fields + " }";
  }

  static std::vector<float> labels(LayerFixture* fixture, int begin, int end) {
    std::vector<float> all;
    for (int batch = begin; batch < end; ++batch) {
      fixture->context().iteration = batch;
      fixture->forward();
      const Blob& label = fixture->top(1);
      const Blob& data = fixture->top();
      for (int i = 0; i < label.count(); ++i) {
        all.push_back(label.cpu_data()[i]);
        EXPECT_EQ(data.cpu_data()[i * data.count(1)], 20 * all.back());
      }
    }
    return all;
  }

  std::string error_for(const std::string& text) {
    return error_of([&] {
      LayerFixture fixture(text, {}, 2);
      fixture.forward();
    });
  }

  TemporaryFolder folder_;
  std::string list_;
};

TEST_F(ImageDataTest, ReadsPicturesInColourInTheListsOrder) {
  LayerFixture fixture(prototxt("batch_size: 4"), {}, 2);
  EXPECT_EQ(fixture.top().shape(), (Shape{4, 3, 4, 6}));
  EXPECT_EQ(fixture.top(1).shape(), (Shape{4}));
  EXPECT_THAT(labels(&fixture, 1, 4), ElementsAre(4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5));
  const float* last = fixture.top().cpu_data() + 3 * 3 * 24;
  for (int i = 0; i < 3 * 24; ++i) EXPECT_EQ(last[i], 100 + i / 24);
}

TEST_F(ImageDataTest, ABatchIsOneByDefault) {
  LayerFixture fixture(prototxt(""), {}, 2);
  EXPECT_EQ(fixture.top().shape(), (Shape{1, 3, 4, 6}));
}

TEST_F(ImageDataTest, ReadsGreyAndScales) {
  LayerFixture grey(prototxt("is_color: false new_height: 2 new_width: 9"), {}, 2);
  grey.context().iteration = 3;
  grey.forward();
  EXPECT_EQ(grey.top().shape(), (Shape{1, 1, 2, 9}));
  // 0.114 B + 0.587 G + 0.299 R of 60, 61 and 62.
  for (int i = 0; i < 18; ++i) EXPECT_EQ(grey.top().cpu_data()[i], 61);
}

TEST_F(ImageDataTest, Transforms) {
  LayerFixture fixture(prototxt("batch_size: 2") +
                           " transform_param { scale: 0.5 crop_size: 3 mean_value: 1 "
                           "mean_value: 2 mean_value: 3 mirror: true }",
                       {}, 2);
  fixture.context().iteration = 1;
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 3, 3, 3}));
  for (int i = 0; i < 27; ++i) EXPECT_EQ(fixture.top().cpu_data()[i], 0.5f * (40 - 1));
}

TEST_F(ImageDataTest, ShufflesEachEpochAnewAndResumes) {
  const std::string text = prototxt("batch_size: 3 shuffle: true");
  LayerFixture fixture(text, {}, 2);
  const std::vector<float> all = labels(&fixture, 0, 20);
  std::set<std::vector<float>> orders;
  for (int epoch = 0; epoch < 6; ++epoch) {
    std::vector<float> order(all.begin() + epoch * 10, all.begin() + (epoch + 1) * 10);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
  EXPECT_EQ(orders.size(), 6u);
  LayerFixture resumed(text, {}, 2);
  EXPECT_EQ(labels(&resumed, 11, 20), std::vector<float>(all.begin() + 33, all.end()));
}

TEST_F(ImageDataTest, SkipsADrawnNumberOfPicturesOnce) {
  std::set<float> firsts;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Context context = training_context();
    context.seed = seed;
    LayerFixture fixture(prototxt("rand_skip: 3"), {}, 2, context);
    const std::vector<float> found = labels(&fixture, 0, 12);
    firsts.insert(found[0]);
    for (int i = 0; i < 12; ++i) ASSERT_EQ(found[i], (static_cast<int>(found[0]) + i) % 10);
  }
  EXPECT_THAT(firsts, ElementsAre(0, 1, 2));
}

TEST_F(ImageDataTest, SizesMixInBatchesOfOneOnly) {
  write_picture("small.png", 2, 2, 0);
  const std::string list = folder_.write("mixed.txt", "picture 0.png 0\nsmall.png -7\n");
  LayerFixture single(prototxt("", list), {}, 2);
  single.context().iteration = 1;
  single.forward();
  EXPECT_EQ(single.top().shape(), (Shape{1, 3, 2, 2}));
  EXPECT_EQ(single.top(1).cpu_data()[0], -7);
  EXPECT_THAT(error_for(prototxt("batch_size: 2", list)),
              HasSubstr("mixed.txt:2: " + (folder_ / "small.png") + " comes out as 3x2x2 (12)"));
  LayerFixture scaled(prototxt("batch_size: 2 new_height: 4 new_width: 4", list), {}, 2);
  scaled.forward();
  EXPECT_EQ(scaled.top().shape(), (Shape{2, 3, 4, 4}));
}

TEST_F(ImageDataTest, CountsItsPictures) {
  LayerFixture fixture(prototxt("batch_size: 4"), {}, 2);
  const auto& layer = dynamic_cast<DatasetLayer&>(fixture.layer());
  EXPECT_EQ(layer.size(), 10);
  EXPECT_EQ(layer.batch_size(), 4);
}

TEST_F(ImageDataTest, NamesWhatIsWrong) {
  const auto listed = [&](const std::string& lines) {
    return error_for(prototxt("", folder_.write("bad.txt", lines)));
  };
  EXPECT_THAT(listed(""), HasSubstr("bad.txt: lists no pictures"));
  EXPECT_THAT(listed("picture 0.png 0\npicture\n"), HasSubstr("bad.txt:2: needs a picture's path"));
  EXPECT_THAT(listed("picture 0.png 99999999999\n"), HasSubstr("bad.txt:1: needs a picture's"));
  EXPECT_THAT(listed("none.png 1\n"),
              HasSubstr("bad.txt:1: " + (folder_ / "none.png") + ": cannot be read"));
  folder_.write("text.png", "text");
  EXPECT_THAT(listed("text.png 1\n"), HasSubstr("text.png: is no picture"));
  EXPECT_THAT(error_for(prototxt("", folder_ / "no.txt")), HasSubstr("no.txt: cannot be read"));
  EXPECT_THAT(error_for("type: 'ImageData'"), HasSubstr("no source"));
  EXPECT_THAT(error_for(prototxt("batch_size: 0")), HasSubstr("batch_size of at least 1"));
  EXPECT_THAT(error_for(prototxt("new_height: 3")), HasSubstr("both of new_height and new_width"));
  EXPECT_THAT(error_for(prototxt("new_height: 3 new_width: 4000000000")),
              HasSubstr("cannot scale pictures to 3x4000000000"));
  EXPECT_THAT(error_for(prototxt("") + " transform_param { crop_size: 5 }"),
              HasSubstr("list.txt:1: " + (folder_ / "picture 0.png") + ": crop_size: 5 is larger"));
}

}  // namespace
}  // namespace vibnet
