#include "support/random_graphs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>

#include "compress/compressor.h"
#include "core/gate_rule.h"
#include "support/error_of.h"
#include "support/outputs.h"
#include "support/random_graph.h"
#include "support/trained_net.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;

struct Liveliness {
  int graphs = 0;
  int changed_by_masks = 0;
  int changed_by_input = 0;
};

bool is_bounded(const NamedValues& outputs) {
  for (const auto& [name, output] : outputs)
    if (!(largest_of(output.values) < 1e5F)) return false;
  return true;
}

/// The same weights with every bottleneck letting all through as it is.
NetParameter without_masks(NetParameter weights) {
  for (LayerParameter& layer : *weights.mutable_layer()) {
    if (!is_gate(layer.type())) continue;
    const bool is_l0 = layer.type() == "HardConcrete";
    for (float& value : *layer.mutable_blobs(0)->mutable_data()) value = is_l0 ? 9 : 1;
    if (is_l0) continue;
    for (float& log_sigma2 : *layer.mutable_blobs(1)->mutable_data()) log_sigma2 = -9;
  }
  return weights;
}

void run_graph(std::uint32_t seed, Liveliness* lively) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NetParameter weights = random_graph_weights(graph, seed);
  const NamedValues inputs = noise_for(model, 1);
  const NamedValues outputs = outputs_of(model, weights, inputs);
  ASSERT_TRUE(is_bounded(outputs));
  ++lively->graphs;
  if (difference(outputs, outputs_of(model, without_masks(weights), inputs)) > 1e-3)
    ++lively->changed_by_masks;
  if (difference(outputs, outputs_of(model, weights, noise_for(model, 2))) > 1e-3)
    ++lively->changed_by_input;
}

TEST(RandomGraphs, AreLively) {
  const auto lively = on_random_graphs(run_graph);
  if (lively.graphs == 1) return;
  EXPECT_GE(lively.changed_by_masks, lively.graphs * 9 / 10);
  EXPECT_GE(lively.changed_by_input, lively.graphs * 3 / 4);
}

/// What compression came to, to show that the graphs reach every case.
struct Reached {
  int graphs = 0;
  int refused = 0;
  int cut_by_a_quarter = 0;
  int with_notes = 0;
  int with_picks = 0;
  int shorter_input = 0;
};

bool has_gates(const NetParameter& net) {
  return std::any_of(net.layer().begin(), net.layer().end(),
                     [](const LayerParameter& layer) { return is_gate(layer.type()); });
}

int count_type(const NetParameter& net, const std::string& type) {
  return static_cast<int>(
      std::count_if(net.layer().begin(), net.layer().end(),
                    [&](const LayerParameter& layer) { return layer.type() == type; }));
}

/// Whether every output is the same for other inputs; of a loss, the scores that it reads.
bool has_constant_outputs(const NetParameter& model, const NetParameter& weights) {
  const NamedValues outputs = outputs_of(model, weights, noise_for(model, 1));
  const NamedValues others = outputs_of(model, weights, noise_for(model, 2));
  for (const auto& [name, output] : outputs)
    if (difference({{name, output}}, {{name, others.at(name)}}) >= 1e-6) return false;
  return true;
}

void compress_graph(std::uint32_t seed, Reached* reached) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NetParameter weights = random_graph_weights(graph, seed);
  CompressOptions options;
  options.fold_batchnorm = seed % 2 == 1;
  CompressedNet compressed;
  const std::string refusal = error_of([&] { compressed = compress(model, weights, options); });
  ++reached->graphs;
  if (!refusal.empty()) {
    EXPECT_TRUE(has_constant_outputs(without_heads(model), weights)) << refusal;
    ++reached->refused;
    return;
  }
  EXPECT_EQ(to_prototxt(Compressor(model, weights, options).plan()),
            to_prototxt(compressed.deploy));
  if (std::getenv("VIBNET_SEED") != nullptr) std::cout << to_prototxt(compressed.model);
  EXPECT_LE(difference_of_outputs(model, weights, compressed), kTolerance);
  EXPECT_LE(difference_in_training(model, weights, compressed), kTolerance);
  for (const NetParameter* net : {&compressed.model, &compressed.deploy, &compressed.weights})
    EXPECT_FALSE(has_gates(*net));
  NetOptions training;
  training.phase = TRAIN;
  // One in place on its input may be none to train.
  const bool can_train = error_of([&] { Net(model, training); }).empty();
  EXPECT_TRUE(!can_train || error_of([&] { Net(compressed.model, training); }).empty());
  if (compressed.weights.ByteSizeLong() < weights.ByteSizeLong() * 3 / 4)
    ++reached->cut_by_a_quarter;
  if (!compressed.report.notes.empty()) ++reached->with_notes;
  if (!compressed.report.kept_inputs.empty()) ++reached->shorter_input;
  if (count_type(compressed.model, "Slice") > count_type(model, "Slice")) ++reached->with_picks;
}

TEST(RandomGraphs, ComputeTheSameAfterCompression) {
  const auto reached = on_random_graphs(compress_graph);
  if (reached.graphs == 1) return;
  EXPECT_LE(reached.refused, reached.graphs / 8);
  EXPECT_GE(reached.cut_by_a_quarter, reached.graphs / 2);
  EXPECT_GE(reached.with_notes, reached.graphs / 20);
  EXPECT_GE(reached.with_picks, reached.graphs / 50);
  EXPECT_GE(reached.shorter_input, reached.graphs / 100);
}

}  // namespace
}  // namespace vibnet
