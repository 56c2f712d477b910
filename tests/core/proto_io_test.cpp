#include "vibnet/proto_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ProtoIo, ANetPassesThroughBothFormsUnchanged) {
  const TemporaryFolder folder;
  NetParameter net;
  parse_prototxt(
      "name: 'n' layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' param { lr_mult: 0.1 "
      "} "
      "inner_product_param { num_output: 3 weight_filler { type: 'gaussian' std: 0.012345678 } } "
      "blobs { shape { dim: 3 } data: 0.1 data: -1e-30 data: 3e38 } }",
      "text", &net);
  write_prototxt(net, folder / "net.prototxt");
  write_binary(net, folder / "net.caffemodel");
  EXPECT_EQ(read_net_prototxt(folder / "net.prototxt").SerializeAsString(),
            net.SerializeAsString());
  EXPECT_EQ(read_caffemodel(folder / "net.caffemodel").SerializeAsString(),
            net.SerializeAsString());
}

TEST(ProtoIo, NamesFileLineAndColumn) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    const std::string path = folder.write("net.prototxt", text);
    NetParameter net;
    const std::string message = error_of([&] { read_prototxt(path, &net); });
    EXPECT_THAT(message, StartsWith(path));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(path.size());
  };
  EXPECT_THAT(error("name: 'n'\nlayer { nme: 'x' }"), StartsWith(":2:"));
  EXPECT_THAT(error("name: 'n'\nname: 'm'"), StartsWith(":2:"));
  EXPECT_THAT(error("layer { name: 'x'"), StartsWith(":1:"));
  EXPECT_THAT(error("layer {\n type: 3 }"), HasSubstr("3"));
  EXPECT_EQ(error(""), ": is empty");
}

TEST(ProtoIo, ReplacesAFileOrLeavesIt) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  write_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_NE(error_of([&] { write_files({{folder / "a", "newer"}, {folder / "no/b", "x"}}); }), "");
  EXPECT_EQ(read_file(folder / "a"), "new");
  int files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder.path()))
    ++files;
  EXPECT_EQ(files, 1) << "temporary files are left";
}

NetParameter upgraded(const std::string& text) {
  const TemporaryFolder folder;
  return read_net_prototxt(folder.write("net.prototxt", text));
}

TEST(Upgrade, V1LayersBecomeLayers) {
  const NetParameter net = upgraded(
      "layers { name: 'd' type: DATA top: 'data' data_param { source: 's' scale: 0.5 "
      "  mean_file: 'm' crop_size: 20 mirror: true batch_size: 4 } include { phase: TRAIN } }"
      "layers { name: 'c' type: CONVOLUTION bottom: 'data' top: 'c' blobs_lr: 1 blobs_lr: 2 "
      "  weight_decay: 1 weight_decay: 0 convolution_param { num_output: 3 kernel_size: 2 } }"
      "layers { name: 'l' type: SOFTMAX_LOSS bottom: 'c' bottom: 'c' top: 'l' loss_weight: 2 }"
      "layers { name: 'h' type: HDF5_DATA top: 'h' param: 'shared' blob_share_mode: PERMISSIVE }");
  ASSERT_EQ(net.layer_size(), 4);
  EXPECT_EQ(net.layers_size(), 0);
  EXPECT_EQ(net.layer(0).type(), "Data");
  EXPECT_EQ(net.layer(0).include(0).phase(), TRAIN);
  EXPECT_FLOAT_EQ(net.layer(0).transform_param().scale(), 0.5f);
  EXPECT_EQ(net.layer(0).transform_param().mean_file(), "m");
  EXPECT_EQ(net.layer(0).transform_param().crop_size(), 20u);
  EXPECT_TRUE(net.layer(0).transform_param().mirror());
  EXPECT_FALSE(net.layer(0).data_param().has_scale());
  EXPECT_EQ(net.layer(0).data_param().batch_size(), 4u);
  EXPECT_EQ(net.layer(1).type(), "Convolution");
  EXPECT_EQ(net.layer(1).convolution_param().num_output(), 3u);
  EXPECT_FLOAT_EQ(net.layer(1).param(1).lr_mult(), 2);
  EXPECT_FLOAT_EQ(net.layer(1).param(1).decay_mult(), 0);
  EXPECT_EQ(net.layer(2).type(), "SoftmaxWithLoss");
  EXPECT_FLOAT_EQ(net.layer(2).loss_weight(0), 2);
  EXPECT_EQ(net.layer(3).type(), "HDF5Data");
  EXPECT_EQ(net.layer(3).param(0).name(), "shared");
  EXPECT_EQ(net.layer(3).param(0).share_mode(), ParamSpec::PERMISSIVE);
}

TEST(Upgrade, InputFieldsBecomeAnInputLayer) {
  for (const char* input : {"input: 'data' input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }",
                            "input: 'data' input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9"}) {
    const NetParameter net = upgraded(std::string(input) + " layer { name: 'r' type: 'ReLU' }");
    ASSERT_EQ(net.layer_size(), 2);
    EXPECT_EQ(net.layer(0).type(), "Input");
    EXPECT_EQ(net.layer(0).top(0), "data");
    EXPECT_EQ(net.layer(0).input_param().shape(0).dim(3), 9);
    EXPECT_EQ(net.input_size(), 0);
  }
}

TEST(Upgrade, NamesWhatCannotBe) {
  const auto error = [](const std::string& text) { return error_of([&] { upgraded(text); }); };
  EXPECT_THAT(error("layers { name: 'a' type: RELU } layer { name: 'b' type: 'ReLU' }"),
              HasSubstr("mixes `layers`, the old form, with `layer`"));
  EXPECT_THAT(error("input: 'd' input_dim: 1 layer { name: 'b' }"),
              HasSubstr("has 1 input_dim for 1 input(s); 4 are needed for each"));
  EXPECT_THAT(error("layers { layer { name: 'old' type: 'conv' } }"), HasSubstr("V0"));
}

}  // namespace
}  // namespace vibnet
