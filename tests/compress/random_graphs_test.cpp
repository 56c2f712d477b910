#include "support/random_graph.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>

#include "support/outputs.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

/// VIBNET_NIGHTLY=1 draws many more graphs; VIBNET_SEED=N that one alone, and prints it.
struct Seeds {
  int begin = 0;
  int end = std::getenv("VIBNET_NIGHTLY") == nullptr ? 200 : 5000;

  Seeds() {
    const char* only = std::getenv("VIBNET_SEED");
    if (only == nullptr) return;
    begin = std::atoi(only);
    end = begin + 1;
    std::cout << random_graph(begin).prototxt;
  }
};

struct Liveliness {
  int graphs = 0;
  int changed_by_masks = 0;
  int changed_by_input = 0;
};

bool is_finite(const NamedValues& outputs) {
  for (const auto& [name, output] : outputs)
    if (!(largest_of(output.values) < 1e5F)) return false;
  return true;
}

/// The same weights with every bottleneck letting all through as it is.
NetParameter without_masks(NetParameter weights) {
  for (LayerParameter& layer : *weights.mutable_layer()) {
    if (layer.type() != "InformationBottleneck") continue;
    for (float& mu : *layer.mutable_blobs(0)->mutable_data()) mu = 1;
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
  ASSERT_TRUE(is_finite(outputs));
  ++lively->graphs;
  if (difference(outputs, outputs_of(model, without_masks(weights), inputs)) > 1e-3)
    ++lively->changed_by_masks;
  if (difference(outputs, outputs_of(model, weights, noise_for(model, 2))) > 1e-3)
    ++lively->changed_by_input;
}

TEST(RandomGraphs, AreLively) {
  Liveliness lively;
  const Seeds seeds;
  for (int seed = seeds.begin; seed < seeds.end; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ASSERT_NO_THROW(run_graph(seed, &lively));
    if (HasFailure()) return;
  }
  if (lively.graphs == 1) return;
  EXPECT_GE(lively.changed_by_masks, lively.graphs * 9 / 10);
  EXPECT_GE(lively.changed_by_input, lively.graphs * 3 / 4);
}

}  // namespace
}  // namespace vibnet
