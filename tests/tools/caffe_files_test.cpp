// Files that BVLC Caffe wrote, and what Caffe got from them (tests/data/caffe/README.md).

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/run_tool.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

const std::string kCaffe = VIBNET_SOURCE_DIR "/tests/data/caffe/";
const std::string kMnist = VIBNET_SOURCE_DIR "/../shared/data/mnist/";

TEST(CaffeFiles, AV1NetGivesCaffesAccuracyAndLoss) {
  const std::string images = kMnist + "t10k-images-idx3-ubyte.gz";
  if (!std::filesystem::exists(images)) GTEST_SKIP() << "needs MNIST in " << kMnist;
  const TemporaryFolder folder;
  const std::string path = folder.path().string();
  const ToolResult converted = run_tool(
      "vibnet-convert-mnist", {images, kMnist + "t10k-labels-idx1-ubyte.gz", "test.lmdb"}, path);
  ASSERT_EQ(converted.exit_code, 0) << converted.errors;
  const ToolResult tested = run_tool(
      "vibnet-test",
      {"--model", kCaffe + "lenet_v1.prototxt", "--weights", kCaffe + "lenet_v1.caffemodel"}, path);
  ASSERT_EQ(tested.exit_code, 0) << tested.errors;
  EXPECT_EQ(tested.output, "accuracy = 0.9636\nloss = 0.118246\n");
}

TEST(CaffeFiles, CaffesLmdbFeedsAV1Net) {
  const TemporaryFolder folder;
  std::filesystem::create_directory_symlink(kCaffe + "t10k_first500.lmdb", folder / "test.lmdb");
  const ToolResult tested = run_tool(
      "vibnet-test",
      {"--model", kCaffe + "lenet_v1.prototxt", "--weights", kCaffe + "lenet_v1.caffemodel"},
      folder.path().string());
  ASSERT_EQ(tested.exit_code, 0) << tested.errors;
  EXPECT_EQ(tested.output.rfind("accuracy = 0.9", 0), 0u) << tested.output;
}

}  // namespace
}  // namespace vibnet
