// Cuts OpenCV's digits.png, 50 rows of 100 digits of 20x20 pixels, five rows a digit, into 5,000
// pictures, and lists them for vibnet-convert-imageset: every fifth of a digit for testing.

#include <filesystem>
#include <iostream>
#include <string>

#include "data/image.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace {

constexpr int kSide = 20;
constexpr int kRows = 50;
constexpr int kColumns = 100;
constexpr int kRowsOfADigit = 5;
constexpr int kTestedOf = 5;

vibnet::Image cut(const vibnet::Image& sheet, int row, int column) {
  vibnet::Image digit{1, kSide, kSide, ""};
  for (int y = 0; y < kSide; ++y)
    digit.pixels += sheet.pixels.substr((row * kSide + y) * sheet.width + column * kSide, kSide);
  return digit;
}

void cut_sheet(const std::string& path, const std::filesystem::path& folder) {
  const vibnet::Image sheet =
      vibnet::decode_image(vibnet::read_file(path), vibnet::ImageColor::GRAY, path);
  if (sheet.height != kRows * kSide || sheet.width != kColumns * kSide)
    vibnet::fail(path, ": is ", sheet.height, "x", sheet.width, ", and the sheet is 1000x2000");
  std::filesystem::create_directories(folder / "pictures");
  std::string train;
  std::string test;
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      const int digit = row / kRowsOfADigit;
      const int number = row % kRowsOfADigit * kColumns + column;
      const std::string name =
          "pictures/" + std::to_string(digit) + "_" + std::to_string(number) + ".png";
      vibnet::write_file(folder / name, vibnet::encode_image(cut(sheet, row, column), ".png"));
      (number % kTestedOf == 0 ? test : train) += name + " " + std::to_string(digit) + "\n";
    }
  }
  vibnet::write_file(folder / "train.txt", train);
  vibnet::write_file(folder / "test.txt", test);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: cut_sheet digits.png DIR\n";
    return 2;
  }
  try {
    cut_sheet(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "cut_sheet: " << error.what() << "\n";
    return 1;
  }
}
