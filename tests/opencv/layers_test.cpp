#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "opencv/dnn.h"
#include "support/trained_net.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;

/// One layer, or a few, that reads the inputs "a", "b", ... of these shapes.
struct LayerCase {
  const char* name;
  const char* prototxt;
  std::vector<Shape> inputs = {{2, 6, 9, 8}};
};

std::ostream& operator<<(std::ostream& out, const LayerCase& one) { return out << one.name; }

/// A layer of this type that reads "a" and makes "y".
#define UNARY(type, parameter) \
  "layer { name: 'y' type: '" type "' bottom: 'a' top: 'y' " parameter " }"
#define BINARY(type, parameter) \
  "layer { name: 'y' type: '" type "' bottom: 'a' bottom: 'b' top: 'y' " parameter " }"

const std::vector<Shape> kTwo = {{2, 6, 9, 8}, {2, 6, 9, 8}};
const std::vector<Shape> kMatrix = {{3, 10}};

const LayerCase kCases[] = {
    {"Convolution", UNARY("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }")},
    {"ConvolutionPadStride",
     UNARY("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 }")},
    {"ConvolutionRectangle",
     UNARY("Convolution",
           "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad_h: 1 "
           "pad_w: 0 stride_h: 1 stride_w: 2 }")},
    {"ConvolutionDilation",
     UNARY("Convolution", "convolution_param { num_output: 4 kernel_size: 3 dilation: 2 pad: 2 }")},
    {"ConvolutionGroup",
     UNARY("Convolution", "convolution_param { num_output: 4 kernel_size: 3 group: 2 }")},
    {"ConvolutionDepthwise",
     UNARY("Convolution", "convolution_param { num_output: 6 kernel_size: 3 pad: 1 group: 6 }")},
    {"ConvolutionDepthwiseMultiplier",
     UNARY("Convolution", "convolution_param { num_output: 12 kernel_size: 3 group: 6 }")},
    {"ConvolutionNoBias", UNARY("Convolution",
                                "convolution_param { num_output: 4 kernel_size: 1 bias_term: false "
                                "weight_filler { type: 'msra' } }")},
    {"Deconvolution",
     UNARY("Deconvolution", "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }")},
    {"DeconvolutionRectangle",
     UNARY("Deconvolution",
           "convolution_param { num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 2 "
           "stride_w: 1 }")},
    {"DeconvolutionGroup",
     UNARY("Deconvolution",
           "convolution_param { num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 6 "
           "bias_term: false weight_filler { type: 'bilinear' } }")},
    {"PoolingMax", UNARY("Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")},
    {"PoolingMaxRoundedUp",
     UNARY("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")},
    {"PoolingMaxPad",
     UNARY("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }")},
    {"PoolingMaxRectangle", UNARY("Pooling",
                                  "pooling_param { pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 1 "
                                  "stride_w: 2 }")},
    {"PoolingAve", UNARY("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }")},
    {"PoolingAvePad", UNARY("Pooling", "pooling_param { pool: AVE kernel_size: 3 pad: 1 }")},
    {"PoolingGlobalAve", UNARY("Pooling", "pooling_param { pool: AVE global_pooling: true }")},
    {"PoolingGlobalMax", UNARY("Pooling", "pooling_param { pool: MAX global_pooling: true }")},
    {"LrnAcross", UNARY("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 }")},
    {"LrnWithin",
     UNARY("LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }")},
    {"InnerProduct", UNARY("InnerProduct", "inner_product_param { num_output: 7 }"), kMatrix},
    {"InnerProductOfPicture",
     UNARY("InnerProduct", "inner_product_param { num_output: 7 weight_filler { type: 'msra' } }")},
    {"InnerProductNoBias",
     UNARY("InnerProduct",
           "inner_product_param { num_output: 7 bias_term: false weight_filler { type: 'msra' } }"),
     kMatrix},
    {"ReLU", UNARY("ReLU", "")},
    {"ReLULeaky", UNARY("ReLU", "relu_param { negative_slope: 0.1 }")},
    {"ReLU6", UNARY("ReLU6", "")},
    {"PReLU", UNARY("PReLU", "")},
    {"PReLUShared", UNARY("PReLU", "prelu_param { channel_shared: true }")},
    {"ELU", UNARY("ELU", "")},
    {"ELUAlpha", UNARY("ELU", "elu_param { alpha: 0.3 }")},
    {"Sigmoid", UNARY("Sigmoid", "")},
    {"TanH", UNARY("TanH", "")},
    {"AbsVal", UNARY("AbsVal", "")},
    {"BNLL", UNARY("BNLL", "")},
    {"Power", UNARY("Power", "power_param { power: 2 scale: 0.5 shift: -1 }")},
    {"PowerLinear", UNARY("Power", "power_param { scale: -0.5 shift: 2 }")},
    {"Exp", UNARY("Exp", "exp_param { scale: 0.5 shift: 0.3 }")},
    {"ExpBase", UNARY("Exp", "exp_param { base: 2 scale: 0.5 shift: -0.3 }")},
    {"BatchNorm", UNARY("BatchNorm", "")},
    {"BatchNormEps", UNARY("BatchNorm", "batch_norm_param { eps: 0.1 }")},
    {"Scale", UNARY("Scale", "")},
    {"ScaleBias", UNARY("Scale", "scale_param { bias_term: true }")},
    {"EltwiseSum", BINARY("Eltwise", ""), kTwo},
    {"EltwiseCoefficients", BINARY("Eltwise", "eltwise_param { coeff: 0.5 coeff: -2 }"), kTwo},
    {"EltwiseProduct", BINARY("Eltwise", "eltwise_param { operation: PROD }"), kTwo},
    {"EltwiseMax", BINARY("Eltwise", "eltwise_param { operation: MAX }"), kTwo},
    {"Concat", BINARY("Concat", ""), {{2, 6, 9, 8}, {2, 3, 9, 8}}},
    {"ConcatAxis", BINARY("Concat", "concat_param { axis: 2 }"), {{2, 6, 9, 8}, {2, 6, 2, 8}}},
    {"Slice",
     "layer { name: 's' type: 'Slice' bottom: 'a' top: 'p' top: 'q' top: 'r' "
     "slice_param { slice_point: 1 slice_point: 4 } }"
     "layer { name: 'y' type: 'Concat' bottom: 'r' bottom: 'p' bottom: 'q' top: 'y' }"},
    {"SliceEven",
     "layer { name: 's' type: 'Slice' bottom: 'a' top: 'p' top: 'q' slice_param { axis: 3 } }"
     "layer { name: 'y' type: 'Eltwise' bottom: 'q' bottom: 'p' top: 'y' "
     "eltwise_param { coeff: 1 coeff: -3 } }"},
    {"Split",
     "layer { name: 's' type: 'Split' bottom: 'a' top: 'p' top: 'q' }"
     "layer { name: 'r' type: 'ReLU' bottom: 'p' top: 'r' }"
     "layer { name: 'y' type: 'Concat' bottom: 'r' bottom: 'q' top: 'y' }"},
    {"Softmax", UNARY("Softmax", "")},
    {"SoftmaxAxis", UNARY("Softmax", "softmax_param { axis: 3 }")},
    {"Dropout", UNARY("Dropout", "")},
    {"Flatten", UNARY("Flatten", "")},
    {"FlattenAxes", UNARY("Flatten", "flatten_param { axis: 1 end_axis: 2 }")},
    {"Reshape", UNARY("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 4 } }")},
    {"ReshapeAxis",
     UNARY("Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 9 dim: 6 } }")},
    {"Permute", UNARY("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }")},
    {"Crop",
     BINARY("Crop", "crop_param { axis: 2 offset: 2 offset: 1 }"),
     {{2, 6, 9, 8}, {2, 6, 5, 4}}},
    {"Mvn", UNARY("MVN", "")},
    {"MvnAcross", UNARY("MVN", "mvn_param { across_channels: true }")},
    {"MvnMean", UNARY("MVN", "mvn_param { normalize_variance: false }")},
    {"InPlaceChain",
     "layer { name: 'c' type: 'Convolution' bottom: 'a' top: 'y' "
     "convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'msra' } } }"
     "layer { name: 'b' type: 'BatchNorm' bottom: 'y' top: 'y' }"
     "layer { name: 's' type: 'Scale' bottom: 'y' top: 'y' scale_param { bias_term: true } }"
     "layer { name: 'r' type: 'ReLU' bottom: 'y' top: 'y' }"},
};

NetParameter model_of(const LayerCase& one) {
  std::string text;
  char name = 'a';
  for (const Shape& shape : one.inputs) {
    text += std::string("layer { name: '") + name + "' type: 'Input' top: '" + name +
            "' input_param { shape {";
    for (const int dimension : shape) text += " dim: " + std::to_string(dimension);
    text += " } } }\n";
    ++name;
  }
  return net_of(text + one.prototxt);
}

class OpenCvLayers : public testing::TestWithParam<LayerCase> {};

TEST_P(OpenCvLayers, ComputeTheSame) {
  const NetParameter net = model_of(GetParam());
  const NetParameter weights = random_weights(net, 1);
  const Values inputs = random_inputs(net);
  const Values expected = ours(net, weights, inputs, {"y"});
  EXPECT_LE(difference(expected[0], opencv(net, weights, inputs, {"y"})[0]), kTolerance);
  const auto is_not_zero = [](float value) { return value != 0; };
  EXPECT_TRUE(std::any_of(expected[0].begin(), expected[0].end(), is_not_zero));
}

INSTANTIATE_TEST_SUITE_P(All, OpenCvLayers, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace vibnet
