#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "solver/compaction.h"
#include "support/error_of.h"
#include "support/outputs.h"
#include "support/random_graphs.h"
#include "support/trained_graph.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;
constexpr float kKlWeight = 0.01F;

NetOptions training() {
  NetOptions options;
  options.phase = TRAIN;
  return options;
}

void freeze(const LivingUnits& living, Net* net) {
  for (GateLayer* gate : net->gates()) {
    std::vector<bool> dead = living.at(gate->name());
    dead.flip();
    gate->freeze(dead);
  }
}

LivingUnits living_in(const Net& net) {
  LivingUnits living;
  for (const GateLayer* gate : net.gates()) living[gate->name()] = gate->kept();
  return living;
}

struct Compacted {
  int graphs = 0;
  int smaller = 0;
};

/// Those of a cut net's gates' units that were dead before and had to stay.
LivingUnits left_of(const LivingUnits& living, const CompactedNet& cut) {
  LivingUnits left;
  for (const auto& [name, units] : cut.kept)
    for (const int unit : units) left[name].push_back(living.at(name)[unit]);
  return left;
}

/// The same with every other dead unit still living.
LivingUnits half_of(LivingUnits living) {
  for (auto& entry : living)
    for (std::size_t unit = 0; unit < entry.second.size(); unit += 2) entry.second[unit] = true;
  return living;
}

void compact_for_training(std::uint32_t seed, Compacted* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = for_training(net_of(graph.prototxt), InPlace::NO);
  const NetParameter weights = random_graph_weights(graph, seed);
  const NamedValues inputs = noise_for(model, 1);
  Net whole(model, training());
  whole.context().kl_weight = kKlWeight;
  whole.copy_weights(weights, "weights", Missing::FAIL);
  const LivingUnits living = living_in(whole);
  freeze(living, &whole);
  const NamedValues expected = forward(inputs, &whole);
  whole.backward();
  // Every other seed cuts in two steps.
  const CompactedNet first =
      compact(model, whole, {gradients_of(whole)}, seed % 2 == 0 ? living : half_of(living));
  Net between(first.model, training());
  between.copy_weights(first.weights, "weights after one cut", Missing::FAIL);
  const LivingUnits rest = left_of(living, first);
  const CompactedNet cut = compact(first.model, between, first.companions, rest);

  ++counts->graphs;
  if (cut.weights.ByteSizeLong() < weights.ByteSizeLong() * 3 / 4) ++counts->smaller;
  Net smaller(cut.model, training());
  smaller.context().kl_weight = kKlWeight;
  smaller.copy_weights(cut.weights, "smaller weights", Missing::FAIL);
  freeze(left_of(rest, cut), &smaller);
  EXPECT_LE(difference(expected, forward(inputs, &smaller)), kTolerance);
  smaller.backward();
  EXPECT_LE(difference(as_one(cut.companions[0]), as_one(gradients_of(smaller))), kTolerance);
}

TEST(RandomCompaction, LeavesTheGradientsOfTheFrozenNet) {
  const auto counts = on_random_graphs(compact_for_training);
  if (counts.graphs == 1) return;
  EXPECT_GE(counts.smaller, counts.graphs / 4);
}

/// With layers in place, and such that are only there in TRAIN.
void compact_for_test(std::uint32_t seed, Compacted* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NamedValues inputs = noise_for(model, 1);
  Net whole(model, NetOptions());
  whole.copy_weights(random_graph_weights(graph, seed), "weights", Missing::FAIL);
  const LivingUnits living = living_in(whole);
  freeze(living, &whole);
  const CompactedNet cut = compact(model, whole, {}, living);
  ++counts->graphs;
  Net smaller(cut.model, NetOptions());
  smaller.copy_weights(cut.weights, "smaller weights", Missing::FAIL);
  freeze(left_of(living, cut), &smaller);
  EXPECT_LE(difference(forward(inputs, &whole), forward(inputs, &smaller)), kTolerance);
  const bool can_train = error_of([&] { Net(model, training()); }).empty();
  EXPECT_TRUE(!can_train || error_of([&] { Net(cut.model, training()); }).empty());
}

TEST(RandomCompaction, LeavesWhatTheFrozenNetComputes) { on_random_graphs(compact_for_test); }

}  // namespace
}  // namespace vibnet
