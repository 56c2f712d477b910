#include "data/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "data/whole_picture.h"
#include "support/error_of.h"
#include "vibnet/random.h"

namespace vibnet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// 2 x 1 pixels, red and then blue, as text anybody can check.
const std::string kRedBlue = "P3 2 1 255 255 0 0 0 0 255\n";

Image gradient(int channels) {
  Image image{channels, 20, 30, {}};
  for (int i = 0; i < channels * 20 * 30; ++i) image.pixels += static_cast<char>(i * 7 % 251);
  return image;
}

class ImageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string error =
        error_of([] { decode_image(kRedBlue, ImageColor::AS_STORED, "probe"); });
    if (error.find("WITH_OPENCV") != std::string::npos) GTEST_SKIP() << error;
  }
};

TEST(ImageBound, StandsBeforeTheFirstPicture) {
  EXPECT_NE(std::getenv("OPENCV_IO_MAX_IMAGE_PIXELS"), nullptr);
}

TEST_F(ImageTest, ColoursStandInTheOrderBlueGreenRed) {
  const Image image = decode_image(kRedBlue, ImageColor::AS_STORED, "test");
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.height, 1);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.pixels, std::string("\x00\xff\x00\x00\xff\x00", 6));
}

TEST_F(ImageTest, TurnsToGrayAndToColour) {
  const Image gray = decode_image(kRedBlue, ImageColor::GRAY, "test");
  EXPECT_EQ(gray.channels, 1);
  EXPECT_EQ(gray.pixels, "\x4c\x1d");  // 0.299 and 0.114 of 255
  const std::string png = encode_image(gray, ".png");
  EXPECT_EQ(decode_image(png, ImageColor::AS_STORED, "test").channels, 1);
  EXPECT_EQ(decode_image(png, ImageColor::COLOR, "test").pixels, "\x4c\x1d\x4c\x1d\x4c\x1d");
}

TEST_F(ImageTest, PngKeepsEveryPixel) {
  for (const int channels : {1, 3, 4}) {
    const Image image = gradient(channels);
    const Image read = decode_image(encode_image(image, ".png"), ImageColor::AS_STORED, "test");
    EXPECT_EQ(read.pixels, image.pixels);
    EXPECT_EQ(read.channels, channels);
    EXPECT_EQ(read.height, 20);
    EXPECT_EQ(read.width, 30);
  }
}

TEST_F(ImageTest, Resizes) {
  const Image flat{1, 4, 4, std::string(16, 'a')};
  const Image resized = resize_image(flat, 2, 3);
  EXPECT_EQ(resized.height, 2);
  EXPECT_EQ(resized.width, 3);
  EXPECT_EQ(resized.pixels, std::string(6, 'a'));
}

TEST_F(ImageTest, NamesAKindItCannotWrite) {
  EXPECT_THAT(error_of([] { encode_image(gradient(1), ".xyz"); }), HasSubstr("'.xyz'"));
  EXPECT_THAT(error_of([] { encode_image(gradient(1), ""); }), HasSubstr(".png and .jpg work"));
}

TEST_F(ImageTest, RefusesACutOffPictureAtAnyLength) {
  for (const char* extension : {".png", ".jpg"}) {
    const std::string whole = encode_image(gradient(3), extension);
    EXPECT_TRUE(is_whole_picture(whole));
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
      ASSERT_THAT(error_of([&] {
                    decode_image(whole.substr(0, bytes), ImageColor::COLOR,
                                 "cut" + std::string(extension));
                  }),
                  StartsWith("cut."))
          << bytes;
  }
}

TEST_F(ImageTest, RefusesAPngWithAWrongByte) {
  std::string png = encode_image(gradient(1), ".png");
  png[png.size() / 2] ^= 1;
  EXPECT_THAT(error_of([&] { decode_image(png, ImageColor::GRAY, "a.png"); }),
              HasSubstr("a.png: the picture is cut off or damaged"));
}

TEST_F(ImageTest, RefusesRandomBytesAndSaysNothingElse) {
  ::testing::internal::CaptureStderr();
  for (const std::string start : {"", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "BM", "P6 9 9 255\n"}) {
    RandomSequence random(RandomKey{11});
    std::string bytes = start;
    for (int i = 0; i < 200; ++i) bytes += static_cast<char>(random.bits());
    EXPECT_THAT(error_of([&] { decode_image(bytes, ImageColor::COLOR, "noise"); }),
                StartsWith("noise: "))
        << start;
  }
  std::cerr << "heard";
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "heard");
}

}  // namespace
}  // namespace vibnet
