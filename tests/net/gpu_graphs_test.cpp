// Whole nets on the GPU against the same on the CPU, where no layers run together.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/outputs.h"
#include "support/random_graphs.h"
#include "support/trained_graph.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;
constexpr double kGradientTolerance = 1e-3;

struct Compared {
  int graphs = 0;
  /// A hundred layers may raise a gradient beyond what a float holds.
  int finite = 0;
  /// And what BatchNorm makes of a channel without variance, which is rounding alone, beyond what
  /// can be compared.
  int apart = 0;
};

NetOptions on_cpu(Phase phase) {
  NetOptions options;
  options.phase = phase;
  options.keeps_blobs = true;
  return options;
}

NetOptions on_gpu(Phase phase) {
  NetOptions options;
  options.phase = phase;
  options.device = {DeviceType::GPU, 0};
  return options;
}

void expect_same_training(const NetParameter& model, const NetParameter& weights,
                          Compared* counts) {
  Net expected_of(model, on_cpu(TRAIN));
  const std::vector<NamedValues> expected = two_passes(model, weights, &expected_of);
  ++counts->graphs;
  if (!is_finite(expected[1])) return;
  ++counts->finite;
  Net found_in(model, on_gpu(TRAIN));
  const std::vector<NamedValues> found = two_passes(model, weights, &found_in);
  bool is_apart = false;
  for (int i = 0; i < 4; ++i) {
    const double apart = difference(expected[i], found[i]);
    EXPECT_TRUE(std::isfinite(apart)) << i;
    is_apart = is_apart || apart > (i % 2 == 0 ? kTolerance : kGradientTolerance);
  }
  if (is_apart) ++counts->apart;
}

void train(std::uint32_t seed, Compared* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter weights = random_graph_weights(graph, seed);
  const NetParameter model = for_training(net_of(graph.prototxt), InPlace::NO);
  expect_same_training(model, weights, counts);
  expect_same_training(with_exceptions(model, seed), weights, counts);
}

void test(std::uint32_t seed, Compared* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NetParameter weights = random_graph_weights(graph, seed);
  Net expected(model, on_cpu(TEST));
  Net found(model, on_gpu(TEST));
  for (Net* net : {&expected, &found}) net->copy_weights(weights, "weights", Missing::FAIL);
  for (const std::uint64_t key : {1, 2}) {
    const NamedValues inputs = noise_for(model, key);
    EXPECT_LE(difference(forward(inputs, &expected), forward(inputs, &found)), kTolerance);
  }
  ++counts->graphs;
}

TEST(GpuGraphs, HaveTheCpusOutputsAndGradients) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  const auto counts = on_random_graphs(train);
  EXPECT_GE(counts.finite, counts.graphs * 9 / 10);
  EXPECT_LE(counts.apart, counts.graphs / 50);
}

TEST(GpuGraphs, HaveTheCpusScores) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  on_random_graphs(test);
}

}  // namespace
}  // namespace vibnet
