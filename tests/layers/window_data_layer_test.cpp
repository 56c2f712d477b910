#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "data/image.h"
#include "layers/dataset_layer.h"
#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kHeight = 20;
constexpr int kWidth = 30;

/// Of the picture's ramps: blue rises by 5 a column, green by 7 a row, red by 3 a column from 100.
float ramp(int channel, double y, double x) {
  return static_cast<float>(channel == 0 ? 5 * x : channel == 1 ? 7 * y : 100 + 3 * x);
}

/// Where a pixel of `to` that `from` pixels are warped to lies in them.
double warped_from(int pixel, int from, int to) { return (pixel + 0.5) * from / to - 0.5; }

class WindowDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string error = error_of([] { resize_image({1, 1, 1, "a"}, 1, 1); });
    if (error.find("WITH_OPENCV") != std::string::npos) GTEST_SKIP() << error;
    Image image{3, kHeight, kWidth, {}};
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x) image.pixels += static_cast<char>(ramp(c, y, x));
    folder_.write("ramp.png", encode_image(image, ".png"));
  }

  /// A window file of one picture.
  std::string source(const std::vector<std::string>& windows) {
    std::string text = "# 0\nramp.png\n3\n20\n30\n" + std::to_string(windows.size()) + "\n";
    for (const std::string& window : windows) text += window + "\n";
    return folder_.write("windows.txt", text);
  }

  std::string prototxt(const std::string& source, const std::string& fields,
                       const std::string& transform = "crop_size: 8") const {
    return "name: 'windows' type: 'WindowData' window_data_param { source: '" + source +
           "' root_folder: '" + folder_.path().string() + "/' " + fields + " } transform_param { " +
           transform + " }";
  }

  /// The one window of a file, cut out by these fields.
  std::unique_ptr<LayerFixture> cut(const std::string& window, const std::string& fields,
                                    const std::string& transform = "crop_size: 8", int batch = 0) {
    auto fixture = std::make_unique<LayerFixture>(
        prototxt(source({window}), "batch_size: 1 fg_fraction: 1 " + fields, transform),
        std::vector<Shape>{}, 2);
    fixture->context().iteration = batch;
    fixture->forward();
    return fixture;
  }

  /// Expects rows and columns of the crop, from (top, left) on, to be the picture's from (y, x) on,
  /// so many of them warped to so many; what is outside is 0.
  struct Place {
    int y, rows, top, to_rows;
    int x, columns, left, to_columns;
  };
  static void expect_ramp(LayerFixture* fixture, const Place& place, int side, double tolerance) {
    const float* value = fixture->top().cpu_data();
    for (int c = 0; c < 3; ++c)
      for (int h = 0; h < side; ++h)
        for (int w = 0; w < side; ++w, ++value) {
          const int y = h - place.top;
          const int x = w - place.left;
          const bool is_inside = y >= 0 && y < place.to_rows && x >= 0 && x < place.to_columns;
          const double expected =
              is_inside ? ramp(c, place.y + warped_from(y, place.rows, place.to_rows),
                               place.x + warped_from(x, place.columns, place.to_columns))
                        : 0;
          ASSERT_NEAR(*value, expected, tolerance) << c << ", " << h << ", " << w;
        }
  }

  std::string error_for(const std::string& text) {
    return error_of([&] {
      LayerFixture fixture(text, {}, 2);
      fixture.forward();
    });
  }

  TemporaryFolder folder_;
};

TEST_F(WindowDataTest, CutsAWindowOutAsItIs) {
  const auto fixture = cut("4 0.9 3 5 10 12", "");
  EXPECT_EQ(fixture->top().shape(), (Shape{1, 3, 8, 8}));
  EXPECT_EQ(fixture->top(1).shape(), (Shape{1}));
  EXPECT_EQ(fixture->top(1).cpu_data()[0], 4);
  expect_ramp(fixture.get(), {5, 8, 0, 8, 3, 8, 0, 8}, 8, 0);
}

TEST_F(WindowDataTest, WarpsAWindowOfAnotherSize) {
  // Twice as wide and as high, so that every pixel lies between two.
  const auto fixture = cut("1 1 2 1 17 16", "crop_mode: 'warp'");
  expect_ramp(fixture.get(), {1, 16, 0, 8, 2, 16, 0, 8}, 8, 1.01);
}

TEST_F(WindowDataTest, PadsWithContext) {
  // Its 4 x 4 pixels and as many around them; Caffe's rounding makes that 9 of 8.
  const auto middle = cut("1 1 12 8 15 11", "context_pad: 2");
  expect_ramp(middle.get(), {6, 9, 0, 8, 10, 9, 0, 8}, 8, 1.01);
  // At the picture's front corner one of the 9 lies outside, and 8 are warped to 7.
  const auto front = cut("1 1 1 1 4 4", "context_pad: 2");
  expect_ramp(front.get(), {0, 8, 1, 7, 0, 8, 1, 7}, 8, 1.01);
  // At the back 2 of 9 lie outside, and 7 are warped to 6.
  const auto back = cut("1 1 25 15 28 18", "context_pad: 2");
  expect_ramp(back.get(), {13, 7, 0, 6, 23, 7, 0, 6}, 8, 1.01);
}

TEST_F(WindowDataTest, WidensToASquare) {
  const auto fixture = cut("1 1 10 9 17 10", "crop_mode: 'square'");
  // 8 x 2 around (14, 10) becomes 9 x 9.
  expect_ramp(fixture.get(), {6, 9, 0, 8, 10, 9, 0, 8}, 8, 1.01);
}

TEST_F(WindowDataTest, MirrorsHalfOfTheWindowsWithTheirPadding) {
  int mirrored = 0;
  const auto plain = cut("1 1 1 8 4 11", "context_pad: 2");
  for (int batch = 0; batch < 60; ++batch) {
    const auto fixture = cut("1 1 1 8 4 11", "context_pad: 2", "crop_size: 8 mirror: true", batch);
    const float* value = fixture->top().cpu_data();
    const bool is_mirrored = value[2 * 64 + 7] == 0;  // red is over 100 in the picture
    mirrored += is_mirrored ? 1 : 0;
    for (int row = 0; row < 24; ++row)
      for (int x = 0; x < 8; ++x)
        ASSERT_EQ(value[row * 8 + (is_mirrored ? 7 - x : x)], plain->top().cpu_data()[row * 8 + x]);
  }
  EXPECT_GT(mirrored, 15);
  EXPECT_LT(mirrored, 45);
}

TEST_F(WindowDataTest, TakesTheMeanOffWithinThePictureAlone) {
  const auto values =
      cut("1 1 1 1 4 4", "context_pad: 2", "crop_size: 8 scale: 0.5 mean_value: 10");
  const auto plain = cut("1 1 1 1 4 4", "context_pad: 2");
  BlobProto mean;
  mean.set_num(1);
  mean.set_channels(3);
  mean.set_height(10);
  mean.set_width(12);
  for (int i = 0; i < 3 * 120; ++i) mean.add_data(static_cast<float>(i));
  write_binary(mean, folder_ / "mean.binaryproto");
  const auto file = cut("1 1 1 1 4 4", "context_pad: 2",
                        "crop_size: 8 mean_file: '" + (folder_ / "mean.binaryproto") + "'");
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x) {
        const int i = (c * 8 + y) * 8 + x;
        const float raw = plain->top().cpu_data()[i];
        const bool is_inside = x > 0 && y > 0;
        EXPECT_EQ(values->top().cpu_data()[i], is_inside ? (raw - 10) * 0.5f : 0);
        // Both offsets are half of what the mean is wider, as in Caffe.
        const float mean_here = static_cast<float>((c * 10 + y + 2) * 12 + x + 2);
        EXPECT_EQ(file->top().cpu_data()[i], is_inside ? raw - mean_here : 0);
      }
}

TEST_F(WindowDataTest, ABatchIsBackgroundAndThenForeground) {
  const std::string windows = source(
      {"1 0.5 0 0 7 7", "2 0.8 8 0 15 7", "3 0.49 0 8 7 15", "9 0.1 8 8 15 15", "5 0.3 16 0 23 7"});
  const std::string fields = "batch_size: 8 bg_threshold: 0.4";
  LayerFixture fixture(prototxt(windows, fields), {}, 2);
  LayerFixture cached(prototxt(windows, fields + " cache_images: true"), {}, 2);
  EXPECT_EQ(dynamic_cast<DatasetLayer&>(fixture.layer()).size(), 4);
  std::set<float> foreground;
  std::set<float> background_columns;
  std::vector<std::vector<float>> batches;
  for (int batch = 0; batch < 12; ++batch) {
    fixture.context().iteration = batch;
    fixture.forward();
    const float* labels = fixture.top(1).cpu_data();
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(labels[i], 0);
      background_columns.insert(fixture.top().cpu_data()[i * 192]);
    }
    foreground.insert(labels + 6, labels + 8);
    batches.emplace_back(fixture.top().cpu_data(), fixture.top().cpu_data() + 8 * 192);
  }
  EXPECT_THAT(foreground, ElementsAre(1, 2));
  EXPECT_THAT(background_columns, ElementsAre(5 * 8, 5 * 16));
  std::filesystem::remove(folder_ / "ramp.png");
  for (int batch = 7; batch < 12; ++batch) {
    cached.context().iteration = batch;
    cached.forward();
    EXPECT_EQ(std::vector<float>(cached.top().cpu_data(), cached.top().cpu_data() + 8 * 192),
              batches[batch]);
  }
  fixture.context().iteration = 100;
  EXPECT_THAT(error_of([&] { fixture.forward(); }), HasSubstr("ramp.png: cannot be read"));
}

TEST_F(WindowDataTest, NamesWhatIsWrongInTheWindowFile) {
  const auto error = [&](const std::string& text) {
    return error_for(prototxt(folder_.write("bad.txt", text), "batch_size: 1"));
  };
  EXPECT_THAT(error(""), HasSubstr("bad.txt: the window file is empty"));
  EXPECT_THAT(error("0 ramp.png 3 20 30 0"), HasSubstr("picture 0 must begin with '# 0'"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30"), HasSubstr("picture 0 must begin with '# 0'"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 99999999999"), HasSubstr("must begin with"));
  EXPECT_THAT(error("# 1 ramp.png 3 20 30 0"), HasSubstr("has the number 1; they count from 0"));
  EXPECT_THAT(error("# 0 ramp.png 1 20 30 0"), HasSubstr("has 1 channels"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 2 1 0.1 0 0 7 7"), HasSubstr("a window that is no"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 -1 0.1 0 0 7 7"), HasSubstr("a window of class -1"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 1 0.1 5 0 4 7"), HasSubstr("from 5,0 to 4,7"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 1 0.1 0 0 7 2000000000"), HasSubstr("to 7,2000000000"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 0 0.9 0 0 7 7"),
              HasSubstr("the background's class, 0"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 1 0.9 0 0 7 7"),
              HasSubstr("no window that overlaps by less than bg_threshold"));
  EXPECT_THAT(error("# 0 ramp.png 3 20 30 1 1 0.1 0 0 30 7"),
              HasSubstr("the window from 0,0 to 30,7 does not lie in the picture of 20x30"));
  EXPECT_THAT(error("# 0 none.png 3 20 30 1 1 0.1 0 0 3 7"), HasSubstr("none.png: cannot be read"));
  EXPECT_THAT(error_for(prototxt(folder_ / "no.txt", "batch_size: 1")),
              HasSubstr("no.txt: cannot be read"));
}

TEST_F(WindowDataTest, NamesWhatIsWrongInThePrototxt) {
  const std::string good = source({"1 0.1 0 0 7 7"});
  const auto error = [&](const std::string& fields, const std::string& transform = "crop_size: 8") {
    return error_for(prototxt(good, "batch_size: 1 " + fields, transform));
  };
  EXPECT_EQ(error(""), "");
  EXPECT_THAT(error_for(prototxt("", "batch_size: 1")), HasSubstr("no source"));
  EXPECT_THAT(error_for(prototxt(good, "")), HasSubstr("batch_size of at least 1"));
  EXPECT_THAT(error("", ""), HasSubstr("needs a crop_size from 1"));
  EXPECT_THAT(error("crop_mode: 'round'"), HasSubstr("crop_mode: 'round' is neither"));
  EXPECT_THAT(error("context_pad: 4"), HasSubstr("context_pad: 4 leaves nothing of crop_size: 8"));
  EXPECT_THAT(error("context_pad: 4000000000"), HasSubstr("leaves nothing"));
  EXPECT_THAT(error("fg_fraction: 1.5"), HasSubstr("fg_fraction: 1.5 is not from 0 to 1"));
  EXPECT_THAT(error("fg_fraction: nan"), HasSubstr("fg_fraction: nan is not from 0 to 1"));
  EXPECT_THAT(error("fg_fraction: 1"), HasSubstr("no window that overlaps by fg_threshold"));
  EXPECT_THAT(error("", "crop_size: 8 pad: 1"), HasSubstr("takes no pad"));
  EXPECT_THAT(error("", "crop_size: 8 mean_value: 1 mean_value: 2"), HasSubstr("has 2 mean_value"));
  BlobProto mean;
  for (const int dimension : {3, 7, 8}) mean.mutable_shape()->add_dim(dimension);
  for (int i = 0; i < 3 * 7 * 8; ++i) mean.add_data(0);
  write_binary(mean, folder_ / "small.binaryproto");
  EXPECT_THAT(error("", "crop_size: 8 mean_file: '" + (folder_ / "small.binaryproto") + "'"),
              HasSubstr("small.binaryproto is 3x7x8 (168), and must hold 3x8x8"));
}

}  // namespace
}  // namespace vibnet
