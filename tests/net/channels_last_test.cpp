// Depthwise convolutions that work with the channels last, against the net that keeps every blob.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "layers/convolution_layer.h"
#include "math/convolution.h"
#include "support/outputs.h"
#include "support/trained_graph.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

NetOptions options_of(bool keeps_blobs) {
  NetOptions options;
  options.phase = TEST;
  options.keeps_blobs = keeps_blobs;
  return options;
}

std::string convolution(const std::string& name, const std::string& bottom, int outputs,
                        const std::string& more = "kernel_size: 1") {
  return "layer { name: '" + name + "' type: 'Convolution' bottom: '" + bottom + "' top: '" + name +
         "' convolution_param { num_output: " + std::to_string(outputs) + " " + more +
         " weight_filler { type: 'msra' } bias_filler { value: 0.1 } } }";
}

std::string layer(const std::string& type, const std::string& bottom, const std::string& top) {
  return "layer { name: '" + type + top + "' type: '" + type + "' bottom: '" + bottom + "' top: '" +
         top + "' }";
}

std::string sum(const std::string& a, const std::string& b, const std::string& top) {
  return "layer { name: 'sum_" + top + "' type: 'Eltwise' bottom: '" + a + "' bottom: '" + b +
         "' top: '" + top + "' }";
}

const std::string kBefore = convolution("before", "data", 80) + layer("ReLU", "before", "before");
const std::string kDepthwise =
    convolution("dw", "before", 80, "kernel_size: 3 pad: 1 group: 80") + layer("ReLU", "dw", "dw");

/// Whether the layer of that name reads and writes channels last.
bool has_channels_last(const Net& net, const std::string& name) {
  const auto* layer = dynamic_cast<const ConvolutionLayer*>(net.layer(name));
  return layer != nullptr && layer->channels_last().maps && layer->channels_last().results;
}

/// The scores of a net, for several batches, and whether its "dw" has the channels last.
void expect_scores(bool is_last, const std::string& layers) {
  const NetParameter model = net_of(input_of({2, 9, 7, 6}) + layers);
  Net whole(model, options_of(true));
  Net fused(model, options_of(false));
  fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
  for (const int batch : {2, 1, 5}) {
    for (Net* net : {&whole, &fused}) {
      net->blob("data")->reshape({batch, 9, 7, 6});
      net->reshape();
    }
    const NamedValues noise = noise_for(whole.to_proto(), batch);
    NamedValues inputs = noise;
    inputs["data"].shape = {batch, 9, 7, 6};
    inputs["data"].values.resize(whole.blob("data")->count(), 0.5f);
    EXPECT_LE(difference(forward(inputs, &whole), forward(inputs, &fused)), 1e-5) << layers;
  }
  const bool is_asked = !asked_convolution().empty();  // for another way, by the suite
  EXPECT_EQ(is_last && !is_asked, has_channels_last(fused, "dw")) << layers;
  EXPECT_FALSE(has_channels_last(whole, "dw")) << layers;
}

TEST(ChannelsLast, AreWhereADepthwiseConvolutionStandsBetweenPointwiseOnes) {
  expect_scores(true, kBefore + kDepthwise + convolution("behind", "dw", 12));
  expect_scores(true, kBefore +
                          convolution("dw", "before", 80, "kernel_size: 5 stride: 2 group: 80") +
                          convolution("behind", "dw", 50) + layer("ReLU", "behind", "behind"));
  expect_scores(true, kBefore + kDepthwise + convolution("next", "dw", 300) +
                          convolution("dw2", "next", 300, "kernel_size: 3 group: 300") +
                          convolution("behind", "dw2", 4));
  expect_scores(true, convolution("skip", "data", 8) + kBefore + kDepthwise +
                          convolution("behind", "dw", 8) + sum("behind", "skip", "y") +
                          layer("ReLU", "y", "y"));
}

TEST(ChannelsLast, AreNotWhereAnotherLayerReads) {
  const std::string behind = convolution("behind", "dw", 80);
  expect_scores(false, kBefore + kDepthwise + behind + layer("TanH", "dw", "other"));
  expect_scores(false, kBefore + kDepthwise + behind + layer("TanH", "before", "other"));
  expect_scores(false, kBefore + kDepthwise + behind + sum("behind", "dw", "y"));
  expect_scores(false, kBefore + kDepthwise + behind + sum("behind", "before", "y"));
  expect_scores(false, kBefore + layer("TanH", "before", "before") + kDepthwise + behind);
  expect_scores(false, kBefore + kDepthwise + layer("TanH", "dw", "dw") + behind);
  expect_scores(false, kBefore + kDepthwise + convolution("behind", "dw", 80, "kernel_size: 3"));
  expect_scores(false,
                kBefore + kDepthwise + convolution("behind", "dw", 80, "kernel_size: 1 group: 2"));
  expect_scores(false, kBefore + kDepthwise + layer("Softmax", "dw", "y"));
  expect_scores(false, convolution("before", "data", 80, "kernel_size: 1 group: 1 stride: 2") +
                           kDepthwise + behind);
  expect_scores(false, convolution("skip", "data", 80) +
                           kBefore.substr(0, kBefore.find("layer { name: 'ReLU")) +
                           sum("skip", "before", "sum") +
                           convolution("dw", "sum", 80, "kernel_size: 3 pad: 1 group: 80") +
                           behind);
  expect_scores(false,
                kBefore + convolution("dw", "before", 160, "kernel_size: 3 group: 80") + behind);
}

TEST(ChannelsLast, AreNotWhereVectorsOfChannelsStayEmpty) {
  for (const int channels : {20, 48, 77}) {
    const std::string group = "kernel_size: 3 pad: 1 group: " + std::to_string(channels);
    expect_scores(false, convolution("before", "data", channels) +
                             convolution("dw", "before", channels, group) +
                             convolution("behind", "dw", 12));
  }
}

TEST(ChannelsLast, AreForTheLayerOfItsOwnTypeToo) {
  expect_scores(true, kBefore +
                          "layer { name: 'dw' type: 'DepthwiseConvolution' bottom: 'before' top: "
                          "'dw' convolution_param { num_output: 80 kernel_size: 3 weight_filler { "
                          "type: 'msra' } } }" +
                          convolution("behind", "dw", 12));
}

}  // namespace
}  // namespace vibnet
