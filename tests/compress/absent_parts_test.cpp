#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/cut_graph.h"
#include "support/error_of.h"
#include "support/outputs.h"
#include "support/random_weights.h"
#include "support/trained_net.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"

// Nets of which an output is cut off, or a layer has no weights: what is left is compressed.

namespace vibnet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Two heads behind one convolution, each with a hidden layer; the padding and the biases keep the
/// dead one's values from being plain.
const char* const kHeads = R"(
  layer { name: 'a' type: 'Convolution' bottom: 'data' top: 'a' convolution_param {
    num_output: 6 kernel_size: 3 } }
  layer { name: 'ib' type: 'InformationBottleneck' bottom: 'a' top: 'ib' }
  layer { name: 'h1' type: 'Convolution' bottom: 'ib' top: 'h1' convolution_param {
    num_output: 5 kernel_size: 3 pad: 1 } }
  layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'h1' top: 'ib1' }
  layer { name: 'first' type: 'InnerProduct' bottom: 'ib1' top: 'first' inner_product_param {
    num_output: 3 } }
  layer { name: 'h2' type: 'InnerProduct' bottom: 'ib' top: 'h2' inner_product_param {
    num_output: 7 } }
  layer { name: 'ib2' type: 'InformationBottleneck' bottom: 'h2' top: 'ib2' }
  layer { name: 'second' type: 'InnerProduct' bottom: 'ib2' top: 'second' inner_product_param {
    num_output: 4 } }
)";

NetParameter weights_of_heads(const NetParameter& model, bool first_lives, bool second_lives) {
  NetParameter weights = random_weights_with_masks(model, 1, {});
  set_bottleneck("ib", {1, 1, 1, 1, 1, 1}, {true, false, true, true, true, true}, &weights);
  set_bottleneck("ib1", {1, 1, 1, 1, 1}, std::vector<bool>(5, first_lives), &weights);
  set_bottleneck("ib2", {1, 1, 1, 1, 1, 1, 1}, std::vector<bool>(7, second_lives), &weights);
  return weights;
}

TEST(CompressCutOutput, StaysAsTheConstantThatItIs) {
  const NetParameter model = net_of(input_of({2, 4, 6, 6}) + kHeads);
  for (const bool first_lives : {false, true}) {
    const NetParameter weights = weights_of_heads(model, first_lives, !first_lives);
    const CompressedNet net = compress(model, weights, {});
    EXPECT_LE(difference_of_outputs(model, weights, net), 1e-4);
    const std::string dead = first_lives ? "second" : "first";
    EXPECT_THAT(net.report.notes, Contains(HasSubstr("output '" + dead + "' is the same for")));
    EXPECT_THAT(filters(net, "h" + std::string(first_lives ? "2" : "1")), Contains(1));
  }
}

TEST(CompressCutOutput, MayBeWhatALossReads) {
  const std::string target =
      "layer { name: 'y' type: 'Input' top: 'y' top: 'z' input_param { shape { dim: 2 dim: 3 } "
      "shape { dim: 2 dim: 4 } } }";
  const NetParameter model =
      net_of(input_of({2, 4, 6, 6}) + target + kHeads +
             "layer { name: 'l1' type: 'EuclideanLoss' bottom: 'first' bottom: 'y' top: 'l1' }"
             "layer { name: 'l2' type: 'EuclideanLoss' bottom: 'second' bottom: 'z' top: 'l2' }");
  const NetParameter weights = weights_of_heads(model, true, false);
  EXPECT_LE(difference_of_outputs(model, weights, compress(model, weights, {})), 1e-4);
  EXPECT_THAT(error_of([&] { compress(model, weights_of_heads(model, false, false), {}); }),
              HasSubstr("'ib1' would lose every unit"));
}

const char* const kTail = R"(
  layer { name: 'a' type: 'Convolution' bottom: 'data' top: 'a' convolution_param {
    num_output: 6 kernel_size: 3 weight_filler { type: 'msra' } } }
  layer { name: 'ib' type: 'InformationBottleneck' bottom: 'a' top: 'ib' }
  layer { name: 'b' type: 'InnerProduct' bottom: 'ib' top: 'b' inner_product_param {
    num_output: 3 weight_filler { type: 'xavier' } } }
)";

/// A branch with a layer of every kind that has weights. RULE stands where its rules go.
std::string branch(const std::string& rule) {
  std::string text = R"(
    layer { name: 'aux' type: 'Convolution' bottom: 'ib' top: 'aux' RULE convolution_param {
      num_output: 8 kernel_size: 3 group: 2 pad: 1 bias_term: false
      weight_filler { type: 'msra' } } }
    layer { name: 'aux_bn' type: 'BatchNorm' bottom: 'aux' top: 'aux' RULE }
    layer { name: 'aux_scale' type: 'Scale' bottom: 'aux' top: 'aux' RULE
      scale_param { bias_term: true } }
    layer { name: 'aux_relu' type: 'PReLU' bottom: 'aux' top: 'aux' RULE }
    layer { name: 'aux_ib' type: 'InformationBottleneck' bottom: 'aux' top: 'aux_ib' RULE }
    layer { name: 'aux_out' type: 'InnerProduct' bottom: 'aux_ib' top: 'aux_out' RULE
      inner_product_param { num_output: 2 weight_filler { type: 'xavier' } } })";
  for (std::size_t at = 0; (at = text.find("RULE", at)) != std::string::npos;)
    text.replace(at, 4, rule);
  return text;
}

TEST(CompressUnstoredLayer, IsCutToFitWhereTestDoesWithoutIt) {
  for (const std::string rule : {"include { phase: TRAIN }", "include { stage: 'distill' }"}) {
    const NetParameter model = net_of(input_of({2, 4, 6, 6}) + kTail + branch(rule));
    NetParameter weights = random_weights_with_masks(model, 1, {});
    set_bottleneck("ib", {1, 2, 3, 1, 2, 3}, {true, false, true, true, true, false}, &weights);
    const CompressedNet net = compress(model, weights, {});
    EXPECT_LE(difference_of_outputs(model, weights, net), 1e-4);
    EXPECT_THAT(filters(net, "a"), ElementsAre(4, 4, 3, 3));
    EXPECT_THAT(find_layer(net.weights, "aux")->blobs(), IsEmpty());
    EXPECT_THAT(net.report.notes, Contains(HasSubstr("'aux' (Convolution) is not in TEST")));
    NetOptions training;
    training.phase = TRAIN;
    training.stages = {"distill"};
    Net trained(net.model, training);
    trained.copy_weights(net.weights, "weights", Missing::KEEP);
    EXPECT_EQ(trained.layer("aux_out")->blobs()[0]->shape(), Shape({2, 8 * 16}));
  }
}

TEST(CompressUnstoredLayer, MustHaveAllItsBlobsIfAny) {
  const NetParameter model =
      net_of(input_of({2, 4, 6, 6}) + kTail + branch("include { phase: TRAIN }"));
  NetParameter weights = random_weights_with_masks(model, 1, {});
  LayerParameter* half = weights.add_layer();
  half->set_name("aux_out");
  half->add_blobs();
  EXPECT_THAT(error_of([&] { compress(model, weights, {}); }),
              HasSubstr("'aux_out' (InnerProduct): the weights hold 1 blob(s)"));
}

}  // namespace
}  // namespace vibnet
