#include "core/upgrade.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using testing::HasSubstr;

NetParameter upgraded(const std::string& text) {
  const TemporaryFolder folder;
  return read_net_prototxt(folder.write("net.prototxt", text));
}

/// The old text says what today's says.
void expect_equal(const std::string& old, const std::string& today) {
  NetParameter expected;
  parse_prototxt(today, "expected", &expected);
  EXPECT_EQ(to_prototxt(upgraded(old)), to_prototxt(expected));
}

/// What AlexNet's files looked like in early 2014.
TEST(UpgradeV0, AClassifierOfEarly2014) {
  expect_equal(R"(
    name: 'CaffeNet'
    layers { layer { name: 'data' type: 'data' source: 'ilsvrc12_train_leveldb'
        meanfile: 'ilsvrc12_mean.binaryproto' batchsize: 256 cropsize: 227 mirror: true
        scale: 0.00390625 rand_skip: 3 }
      top: 'data' top: 'label' }
    layers { layer { name: 'pad1' type: 'padding' pad: 2 } bottom: 'data' top: 'pad1' }
    layers { layer { name: 'conv1' type: 'conv' num_output: 96 kernelsize: 11 stride: 4 group: 2
        biasterm: true weight_filler { type: 'gaussian' std: 0.01 }
        bias_filler { type: 'constant' value: 1 }
        blobs_lr: 1. blobs_lr: 2. weight_decay: 1. weight_decay: 0. }
      bottom: 'pad1' top: 'conv1' }
    layers { layer { name: 'relu1' type: 'relu' } bottom: 'conv1' top: 'conv1' }
    layers { layer { name: 'pad2' type: 'padding' pad: 1 } bottom: 'conv1' top: 'pad2' }
    layers { layer { name: 'pool1' type: 'pool' pool: AVE kernelsize: 3 stride: 2 }
      bottom: 'pad2' top: 'pool1' }
    layers { layer { name: 'norm1' type: 'lrn' local_size: 3 alpha: 0.0001 beta: 0.5 k: 2 }
      bottom: 'pool1' top: 'norm1' }
    layers { layer { name: 'fc8' type: 'innerproduct' num_output: 1000 biasterm: false
        weight_filler { type: 'xavier' } blobs_lr: 10 }
      bottom: 'norm1' top: 'fc8' }
    layers { layer { name: 'drop' type: 'dropout' dropout_ratio: 0.4 } bottom: 'fc8' top: 'fc8' }
    layers { layer { name: 'loss' type: 'softmax_loss' } bottom: 'fc8' bottom: 'label' })",
               R"(
    name: 'CaffeNet'
    layer { name: 'data' type: 'Data' top: 'data' top: 'label'
      data_param { source: 'ilsvrc12_train_leveldb' batch_size: 256 rand_skip: 3 }
      transform_param { mean_file: 'ilsvrc12_mean.binaryproto' crop_size: 227 mirror: true
        scale: 0.00390625 } }
    layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
      param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
      convolution_param { num_output: 96 kernel_size: 11 stride: 4 group: 2 bias_term: true pad: 2
        weight_filler { type: 'gaussian' std: 0.01 } bias_filler { type: 'constant' value: 1 } } }
    layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
    layer { name: 'pool1' type: 'Pooling' bottom: 'conv1' top: 'pool1'
      pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
    layer { name: 'norm1' type: 'LRN' bottom: 'pool1' top: 'norm1'
      lrn_param { local_size: 3 alpha: 0.0001 beta: 0.5 k: 2 } }
    layer { name: 'fc8' type: 'InnerProduct' bottom: 'norm1' top: 'fc8' param { lr_mult: 10 }
      inner_product_param { num_output: 1000 bias_term: false weight_filler { type: 'xavier' } } }
    layer { name: 'drop' type: 'Dropout' bottom: 'fc8' top: 'fc8'
      dropout_param { dropout_ratio: 0.4 } }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc8' bottom: 'label' })");
}

TEST(UpgradeV0, TheOtherKindsOfData) {
  expect_equal(R"(
    input: 'x' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 force_backward: true
    layers { layer { name: 'i' type: 'images' source: 'list' batchsize: 5 rand_skip: 1
      shuffle_images: true new_height: 256 new_width: 128 cropsize: 9 } top: 'i' }
    layers { layer { name: 'h' type: 'hdf5_data' source: 'list' batchsize: 2 } top: 'h' }
    layers { layer { name: 'w' type: 'window_data' source: 'list' batchsize: 3
      det_fg_threshold: 0.6 det_bg_threshold: 0.4 det_fg_fraction: 0.3 det_context_pad: 16
      det_crop_mode: 'square' mirror: true meanfile: 'mean' } top: 'w' }
    layers { layer { name: 'c' type: 'concat' concat_dim: 2 } bottom: 'i' bottom: 'h' top: 'c' }
    layers { layer { name: 'g' type: 'infogain_loss' source: 'H' } bottom: 'c' bottom: 'w' }
    layers { layer { name: 'o' type: 'hdf5_output' hdf5_output_param { file_name: 'out' } }
      bottom: 'c' })",
               R"(
    force_backward: true
    layer { name: 'input' type: 'Input' top: 'x'
      input_param { shape { dim: 1 dim: 2 dim: 3 dim: 4 } } }
    layer { name: 'i' type: 'ImageData' top: 'i' transform_param { crop_size: 9 }
      image_data_param { source: 'list' batch_size: 5 rand_skip: 1 shuffle: true new_height: 256
        new_width: 128 } }
    layer { name: 'h' type: 'HDF5Data' top: 'h'
      hdf5_data_param { source: 'list' batch_size: 2 } }
    layer { name: 'w' type: 'WindowData' top: 'w' transform_param { mirror: true mean_file: 'mean' }
      window_data_param { source: 'list' batch_size: 3 fg_threshold: 0.6 bg_threshold: 0.4
        fg_fraction: 0.3 context_pad: 16 crop_mode: 'square' } }
    layer { name: 'c' type: 'Concat' bottom: 'i' bottom: 'h' top: 'c'
      concat_param { concat_dim: 2 } }
    layer { name: 'g' type: 'InfogainLoss' bottom: 'c' bottom: 'w'
      infogain_loss_param { source: 'H' } }
    layer { name: 'o' type: 'HDF5Output' bottom: 'c' hdf5_output_param { file_name: 'out' } })");
}

TEST(UpgradeV0, EveryTypeHasItsName) {
  const std::map<std::string, std::string> types = {
      {"accuracy", "Accuracy"},
      {"bnll", "BNLL"},
      {"euclidean_loss", "EuclideanLoss"},
      {"flatten", "Flatten"},
      {"im2col", "Im2col"},
      {"multinomial_logistic_loss", "MultinomialLogisticLoss"},
      {"sigmoid", "Sigmoid"},
      {"softmax", "Softmax"},
      {"split", "Split"},
      {"tanh", "TanH"}};
  for (const auto& [old, today] : types)
    EXPECT_EQ(upgraded("layers { layer { name: 'l' type: '" + old + "' } }").layer(0).type(),
              today);
}

TEST(UpgradeV0, AFieldThatTheTypeDoesNotHaveIsPassedOver) {
  expect_equal("layers { layer { name: 'r' type: 'relu' num_output: 3 } }",
               "layer { name: 'r' type: 'ReLU' }");
  expect_equal("layers { layer { name: 'p' type: 'pool' group: 3 kernelsize: 2 } }",
               "layer { name: 'p' type: 'Pooling' pooling_param { kernel_size: 2 } }");
}

TEST(UpgradeV0, NamesWhatCannotBe) {
  const auto error = [](const std::string& text) { return error_of([&] { upgraded(text); }); };
  EXPECT_THAT(error("layers { layer { name: 'a' type: 'convolution' } }"),
              HasSubstr("layer 'a': the V0 type 'convolution' is not known"));
  const std::string padding =
      "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'p' }";
  EXPECT_THAT(error(padding + "layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }"),
              HasSubstr("layer 'r' (relu): stands behind a padding layer"));
  EXPECT_THAT(
      error(padding + "layers { layer { name: 'c' type: 'conv' } bottom: 'p' bottom: 'x' }"),
      HasSubstr("layer 'c' (conv): stands behind a padding layer"));
  EXPECT_THAT(error("layers { layer { name: 'p' type: 'padding' } top: 'p' }"),
              HasSubstr("needs one bottom and one top"));
  EXPECT_THAT(error("layers { layer { name: 'i' type: 'images' new_height: -1 } }"),
              HasSubstr("new_height: -1"));
}

TEST(UpgradeV1, EveryTypeHasCaffesName) {
  const std::map<std::string, std::string> types = {
      {"NONE", ""},
      {"ABSVAL", "AbsVal"},
      {"ACCURACY", "Accuracy"},
      {"ARGMAX", "ArgMax"},
      {"BNLL", "BNLL"},
      {"CONCAT", "Concat"},
      {"CONTRASTIVE_LOSS", "ContrastiveLoss"},
      {"CONVOLUTION", "Convolution"},
      {"DATA", "Data"},
      {"DECONVOLUTION", "Deconvolution"},
      {"DROPOUT", "Dropout"},
      {"DUMMY_DATA", "DummyData"},
      {"EUCLIDEAN_LOSS", "EuclideanLoss"},
      {"ELTWISE", "Eltwise"},
      {"EXP", "Exp"},
      {"FLATTEN", "Flatten"},
      {"HDF5_DATA", "HDF5Data"},
      {"HDF5_OUTPUT", "HDF5Output"},
      {"HINGE_LOSS", "HingeLoss"},
      {"IM2COL", "Im2col"},
      {"IMAGE_DATA", "ImageData"},
      {"INFOGAIN_LOSS", "InfogainLoss"},
      {"INNER_PRODUCT", "InnerProduct"},
      {"LRN", "LRN"},
      {"MEMORY_DATA", "MemoryData"},
      {"MULTINOMIAL_LOGISTIC_LOSS", "MultinomialLogisticLoss"},
      {"MVN", "MVN"},
      {"POOLING", "Pooling"},
      {"POWER", "Power"},
      {"RELU", "ReLU"},
      {"SIGMOID", "Sigmoid"},
      {"SIGMOID_CROSS_ENTROPY_LOSS", "SigmoidCrossEntropyLoss"},
      {"SILENCE", "Silence"},
      {"SLICE", "Slice"},
      {"SOFTMAX", "Softmax"},
      {"SOFTMAX_LOSS", "SoftmaxWithLoss"},
      {"SPLIT", "Split"},
      {"TANH", "TanH"},
      {"THRESHOLD", "Threshold"},
      {"WINDOW_DATA", "WindowData"}};
  const auto* all = V1LayerParameter::LayerType_descriptor();
  ASSERT_EQ(all->value_count(), static_cast<int>(types.size()));
  for (const auto& [old, today] : types)
    EXPECT_EQ(upgraded("layers { name: 'l' type: " + old + " }").layer(0).type(), today);
}

/// Every parameter of V1 comes along, whatever the layer's type.
TEST(UpgradeV1, EveryParameterIsCopied) {
  const auto* old = V1LayerParameter::descriptor();
  int copied = 0;
  for (int i = 0; i < old->field_count(); ++i) {
    const std::string name = old->field(i)->name();
    if (name.size() < 6 || name.substr(name.size() - 6) != "_param") continue;
    const NetParameter net = upgraded("layers { name: 'l' type: POWER " + name + " {} }");
    const auto* field = LayerParameter::descriptor()->FindFieldByName(name);
    ASSERT_NE(field, nullptr) << name;
    EXPECT_TRUE(net.layer(0).GetReflection()->HasField(net.layer(0), field)) << name;
    ++copied;
  }
  EXPECT_EQ(copied, 30);
}

TEST(UpgradeBatchNorm, ThreeParamsBecomeOnesThatDoNotLearn) {
  expect_equal(R"(
    layer { name: 'a' type: 'BatchNorm' param { lr_mult: 1 } param {} param { decay_mult: 2 } }
    layer { name: 'b' type: 'BatchNorm' param { lr_mult: 0 } }
    layer { name: 'c' type: 'Scale' param {} param {} param {} })",
               R"(
    layer { name: 'a' type: 'BatchNorm' param { lr_mult: 0 } param { lr_mult: 0 }
      param { lr_mult: 0 decay_mult: 2 } }
    layer { name: 'b' type: 'BatchNorm' param { lr_mult: 0 } }
    layer { name: 'c' type: 'Scale' param {} param {} param {} })");
}

/// The form of the published VGG-16 and GoogLeNet files, at a size that is quick.
TEST(UpgradeV1, APublishedDeployFileBuilds) {
  const NetParameter model = upgraded(R"(
    name: "VGG_ILSVRC_16_layers"
    input: "data"
    input_dim: 2
    input_dim: 3
    input_dim: 16
    input_dim: 16
    layers { bottom: "data" top: "conv1_1" name: "conv1_1" type: CONVOLUTION
      convolution_param { num_output: 4 pad: 1 kernel_size: 3 } }
    layers { bottom: "conv1_1" top: "conv1_1" name: "relu1_1" type: RELU }
    layers { bottom: "conv1_1" top: "pool1" name: "pool1" type: POOLING
      pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
    layers { bottom: "pool1" top: "inception/1x1" name: "inception/1x1" type: CONVOLUTION
      blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
      convolution_param { num_output: 5 kernel_size: 1 weight_filler { type: "xavier" std: 0.03 }
        bias_filler { type: "constant" value: 0.2 } } }
    layers { bottom: "pool1" bottom: "inception/1x1" top: "output" name: "output" type: CONCAT }
    layers { bottom: "output" top: "fc6" name: "fc6" type: INNER_PRODUCT
      inner_product_param { num_output: 7 } }
    layers { bottom: "fc6" top: "fc6" name: "drop6" type: DROPOUT
      dropout_param { dropout_ratio: 0.5 } }
    layers { bottom: "fc6" top: "prob" name: "prob" type: SOFTMAX })");
  Net net(model, NetOptions());
  net.forward();
  EXPECT_EQ(net.input_names(), std::vector<std::string>{"data"});
  EXPECT_EQ(net.blob("output")->shape(), (Shape{2, 9, 8, 8}));
  EXPECT_EQ(net.blob("prob")->shape(), (Shape{2, 7}));
  EXPECT_FLOAT_EQ(net.blob("prob")->cpu_data()[0], 1 / 7.0f) << "all weights are 0";
}

/// One net in each of Caffe's forms, with the weights of its only InnerProduct.
const char* const kForms[] = {
    R"(layers { layer { name: 'ip' type: 'innerproduct' num_output: 2
         blobs { num: 1 channels: 1 height: 2 width: 3 data: [1, 2, 3, 4, 5, 6] }
         blobs { num: 1 channels: 1 height: 1 width: 2 data: [7, 8] } } bottom: 'x' top: 'y' })",
    R"(layers { name: 'ip' type: INNER_PRODUCT bottom: 'x' top: 'y'
         blobs { num: 1 channels: 1 height: 2 width: 3 data: [1, 2, 3, 4, 5, 6] }
         blobs { num: 1 channels: 1 height: 1 width: 2 data: [7, 8] }
         inner_product_param { num_output: 2 } })",
    R"(layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y'
         blobs { shape { dim: 2 dim: 3 } double_data: [1, 2, 3, 4, 5, 6] }
         blobs { shape { dim: 2 } data: [7, 8] } inner_product_param { num_output: 2 } })"};

TEST(Upgrade, CaffemodelsOfEveryFormFeedANet) {
  for (const char* form : kForms) {
    const TemporaryFolder folder;
    NetParameter stored;
    parse_prototxt(form, "form", &stored);
    write_binary(stored, folder / "net.caffemodel");
    const NetParameter weights = read_caffemodel(folder / "net.caffemodel");
    const NetParameter model = upgraded(
        "input: 'x' input_dim: 1 input_dim: 3 input_dim: 1 input_dim: 1 "
        "layers { name: 'ip' type: INNER_PRODUCT bottom: 'x' top: 'y' "
        "inner_product_param { num_output: 2 } }");
    for (const bool from_file : {false, true}) {
      Net net(model, NetOptions());
      if (from_file)
        net.copy_weights(folder / "net.caffemodel", Missing::FAIL);
      else
        net.copy_weights(weights, "form", Missing::FAIL);
      net.blob("x")->set_data(1);
      net.forward();
      EXPECT_EQ(net.blob("y")->cpu_data()[0], 1 + 2 + 3 + 7) << form;
      EXPECT_EQ(net.blob("y")->cpu_data()[1], 4 + 5 + 6 + 8) << form;
    }
  }
}

TEST(UpgradeV1, LayersBecomeLayers) {
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
}

}  // namespace
}  // namespace vibnet
