// What each layer says of bottoms and parameters that it cannot work on.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kAdded = add_wrong_cases({
    {"ConvolutionKernelTooLarge",
     "type: 'Convolution' convolution_param { num_output: 2 kernel_size: 5 }",
     {{2, 3, 4, 4}},
     "kernel"},
    {"ConvolutionGroups",
     "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 1 group: 2 }",
     {{2, 3, 4, 4}},
     "group"},
    {"ConvolutionNoOutput",
     "type: 'Convolution' convolution_param { kernel_size: 1 }",
     {{2, 3, 4, 4}},
     "num_output"},
    {"ConvolutionNoKernel",
     "type: 'Convolution' convolution_param { num_output: 1 }",
     {{2, 3, 4, 4}},
     "kernel_size"},
    {"ConvolutionStride",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 stride: 0 }",
     {{2, 3, 4, 4}},
     "stride"},
    {"InnerProductNoOutput", "type: 'InnerProduct'", {{2, 3}}, "num_output"},
    {"InnerProductAxis",
     "type: 'InnerProduct' inner_product_param { num_output: 2 axis: 3 }",
     {{2, 3}},
     "axis 3"},
    {"SoftmaxAxis", "type: 'Softmax' softmax_param { axis: -3 }", {{2, 3}}, "axis -3"},
    {"ScaleShape", "type: 'Scale' scale_param { axis: 0 }", {{3, 4}, {4}}, "4"},
    {"ScaleAxes", "type: 'Scale' scale_param { num_axes: 2147483647 }", {{3, 4}}, "num_axes"},
    {"ConvolutionPad",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 pad: 4294967295 }",
     {{2, 3, 4, 4}},
     "pad: 4294967295 is too large"},
    {"ConvolutionDilation",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 300 dilation: 16777216 }",
     {{2, 3, 4, 4}},
     "kernel"},
    {"DummyDataSize",
     "type: 'DummyData' dummy_data_param { shape { dim: 4294967297 } }",
     {},
     "4294967297"},
    {"InputSize", "type: 'Input' input_param { shape { dim: 4294967297 } }", {}, "4294967297"},
    {"FlattenAxes",
     "type: 'Flatten' flatten_param { axis: 2 end_axis: 1 }",
     {{2, 3, 4}},
     "end_axis"},
    {"EltwiseShapes",
     "type: 'Eltwise'",
     {{2, 3}, {2, 4}},
     "bottom 'b1' is 2x4 (8), and the first is 2x3 (6)"},
    {"EltwiseCoefficients",
     "type: 'Eltwise' eltwise_param { coeff: 1 }",
     {{2}, {2}},
     "has 1 coeff for 2 bottoms"},
    {"ConcatShapes",
     "type: 'Concat'",
     {{2, 3}, {3, 3}},
     "bottom 'b1' is 3x3 (9), which differs from 2x3 (6) in more than axis 1"},
    {"SlicePoints",
     "type: 'Slice' slice_param { slice_point: 2 slice_point: 1 }",
     {{2, 3}},
     "slice_point"},
    {"SoftmaxWithLossLabels", "type: 'SoftmaxWithLoss'", {{2, 3}, {3}}, "needs 2 labels"},
    {"EuclideanLossSizes", "type: 'EuclideanLoss'", {{2, 3}, {2, 4}}, "one size"},
    {"AccuracyLabels", "type: 'Accuracy'", {{2, 3}, {1}}, "needs 2 labels"},
    {"BottleneckGamma",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: -1 }",
     {{4, 3}},
     "gamma: -1 cannot be negative"},
    {"BottleneckOfOneAxis",
     "type: 'InformationBottleneck'",
     {{4}},
     "needs a bottom of at least 2 axes"},
});

/// A net of Input layers b0, b1, ... and the layer on top of them.
NetParameter net_of(const WrongCase& one) {
  NetParameter net;
  LayerParameter layer;
  parse_prototxt(one.prototxt, one.name, &layer);
  layer.set_name("layer");
  layer.add_top("top");
  for (std::size_t i = 0; i < one.bottoms.size(); ++i) {
    layer.add_bottom("b" + std::to_string(i));
    LayerParameter* input = net.add_layer();
    input->set_type("Input");
    input->set_name(layer.bottom(static_cast<int>(i)));
    input->add_top(input->name());
    BlobShape* shape = input->mutable_input_param()->add_shape();
    for (const int dimension : one.bottoms[i]) shape->add_dim(dimension);
  }
  *net.add_layer() = layer;
  return net;
}

class WrongShapes : public testing::TestWithParam<WrongCase> {};

TEST_P(WrongShapes, AreNamed) {
  const WrongCase& one = GetParam();
  const std::string error = error_of([&] { Net(net_of(one), NetOptions()); });
  EXPECT_EQ(error.rfind("layer 'layer' (", 0), 0u) << error;
  EXPECT_NE(error.find(one.complaint), std::string::npos) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

TEST(InPlace, IsRefusedWhereItWouldComputeSomethingElse) {
  for (const char* layer :
       {"type: 'InnerProduct' inner_product_param { num_output: 4 }",
        "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 1 }",
        "type: 'Pooling' pooling_param { kernel_size: 1 }", "type: 'InformationBottleneck'",
        "type: 'Flatten'"}) {
    WrongCase one{"in place", layer, {{2, 4, 3, 3}}, ""};
    NetParameter net = net_of(one);
    net.mutable_layer(1)->set_top(0, "b0");
    EXPECT_NE(error_of([&] { Net(net, NetOptions()); }).find("cannot work in place"),
              std::string::npos)
        << layer;
  }
}

TEST(EmptyBlobs, PassThrough) {
  for (const char* layer :
       {"type: 'InformationBottleneck'", "type: 'Softmax'", "type: 'Dropout'", "type: 'Scale'",
        "type: 'BatchNorm'", "type: 'Pooling' pooling_param { kernel_size: 1 }", "type: 'PReLU'",
        "type: 'Bias'", "type: 'Sigmoid'", "type: 'Clip' clip_param { min: 0 max: 1 }"})
    for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{3, 0, 2, 2}}) {
      NetParameter net = net_of({"empty", layer, {shape}, ""});
      net.set_force_backward(true);
      NetOptions options;
      options.phase = TRAIN;
      Net made(net, options);
      made.forward();
      made.backward();
    }
}

INSTANTIATE_TEST_SUITE_P(Layers, WrongShapes, testing::ValuesIn(wrong_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace vibnet
