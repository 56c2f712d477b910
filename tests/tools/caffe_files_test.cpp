// Files that BVLC Caffe wrote, and what Caffe got from them (tests/data/caffe/README.md).

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/paths.h"
#include "support/run_tool.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

const std::string kCaffe = source_dir() + "/tests/data/caffe/";
const std::string kMnist = source_dir() + "/../shared/data/mnist/";

/// What vibnet-test prints for one of Caffe's nets, `iterations` batches, in a folder where
/// test.lmdb stands.
std::string tested(const std::string& net, const std::string& iterations,
                   const TemporaryFolder& folder) {
  const ToolResult result = run_tool("vibnet-test",
                                     {"--model", kCaffe + net + ".prototxt", "--weights",
                                      kCaffe + net + ".caffemodel", "--iterations", iterations},
                                     folder.path().string());
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return result.output;
}

TEST(CaffeFiles, MnistGivesCaffesAccuracyAndLoss) {
  const std::string images = kMnist + "t10k-images-idx3-ubyte.gz";
  if (!std::filesystem::exists(images)) GTEST_SKIP() << "needs MNIST in " << kMnist;
  const TemporaryFolder folder;
  const ToolResult converted =
      run_tool("vibnet-convert-mnist", {images, kMnist + "t10k-labels-idx1-ubyte.gz", "test.lmdb"},
               folder.path().string());
  ASSERT_EQ(converted.exit_code, 0) << converted.errors;
  EXPECT_EQ(tested("lenet_v1", "100", folder), "accuracy = 0.9636\nloss = 0.118246\n");
  EXPECT_EQ(tested("lenet_bn", "100", folder), "accuracy = 0.966\nloss = 0.11109\n");
}

TEST(CaffeFiles, CaffesLmdbGivesCaffesAccuracyAndLoss) {
  const TemporaryFolder folder;
  std::filesystem::create_directory_symlink(kCaffe + "t10k_first500.lmdb", folder / "test.lmdb");
  EXPECT_EQ(tested("lenet_bn", "5", folder), "accuracy = 0.96\nloss = 0.11929\n");
}

}  // namespace
}  // namespace vibnet
