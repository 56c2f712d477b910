// Channelwise layers that a GPU runs as one pass, against the same layers one by one.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "support/layer_fixture.h"
#include "support/near.h"
#include "support/thread_ranks.h"
#include "support/trained_graph.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 2e-5;

/// What a letter of a chain's name stands for.
const std::map<char, std::string> kLayers = {
    {'B', "type: 'BatchNorm'"},
    {'G', "type: 'BatchNorm' batch_norm_param { use_global_stats: true }"},
    {'S',
     "type: 'Scale' scale_param { bias_term: true filler { type: 'gaussian' mean: 1 std: 0.3 }"
     " bias_filler { type: 'gaussian' std: 0.3 } }"},
    {'b', "type: 'Bias' bias_param { filler { type: 'gaussian' std: 0.3 } }"},
    {'R', "type: 'ReLU'"},
    {'r', "type: 'ReLU' relu_param { negative_slope: 0.1 }"},
    {'6', "type: 'ReLU6'"},
    {'P', "type: 'PReLU'"},
    {'p', "type: 'PReLU' prelu_param { channel_shared: true }"},
    {'I',
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.01 "
     "mu_filler { type: 'gaussian' mean: 1 std: 0.5 } log_sigma2_filler { value: -2 } }"},
    {'H',
     "type: 'HardConcrete' hard_concrete_param { gamma: 0.01 "
     "log_alpha_filler { type: 'gaussian' } }"},
    {'a', "type: 'AbsVal'"},
    {'n', "type: 'BNLL'"},
    {'c', "type: 'Clip' clip_param { min: -0.6 max: 0.9 }"},
    {'e', "type: 'ELU' elu_param { alpha: 0.7 }"},
    {'x', "type: 'Exp' exp_param { base: 2 scale: 0.5 shift: 0.1 }"},
    {'h', "type: 'HardSwish'"},
    {'l', "type: 'Log' log_param { scale: 2 shift: 0.5 }"},
    {'o', "type: 'Power' power_param { power: 2 scale: 0.5 shift: 0.3 }"},
    {'s', "type: 'Sigmoid'"},
    {'w', "type: 'Swish' swish_param { beta: 1.5 }"},
    {'t', "type: 'TanH'"}};

/// The chain behind a layer that joins no pass, which keeps the first in place off the input.
NetParameter chain(const std::string& letters, const Shape& shape, bool in_place) {
  std::string text = input_of(shape) +
                     "layer { name: 'maker' type: 'Tile' bottom: 'data' top: 'made' "
                     "tile_param { tiles: 1 } }";
  std::string bottom = "made";
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const bool is_gate = letters[i] == 'I' || letters[i] == 'H';
    const std::string top = in_place && !is_gate ? bottom : "top" + std::to_string(i);
    text += "layer { name: 'layer" + std::to_string(i) + "' bottom: '" + bottom + "' top: '" + top +
            "' " + kLayers.at(letters[i]) + " }";
    bottom = top;
  }
  NetParameter net = net_of(text);
  net.set_force_backward(true);
  return net;
}

struct Run {
  NamedValues outputs;
  NamedValues gradients;
  std::vector<float> bottom;
  bool is_one_pass = true;
};

/// The second of two passes, as what the first leaves in memory must not matter.
Run run(const NetParameter& model, const NetParameter& weights, Phase phase, bool fuses,
        const Device& device) {
  NetOptions options;
  options.phase = phase;
  options.device = device;
  options.keeps_blobs = !fuses;
  Net net(model, options);
  net.copy_weights(weights, "weights", Missing::FAIL);
  constexpr int kFirst = 2;
  Run run;
  for (int i = kFirst; i < static_cast<int>(net.layers().size()); ++i)
    run.is_one_pass = run.is_one_pass && net.pass_of(i) == kFirst;
  const NamedValues inputs = noise_for(model, 3);
  for (int pass = 0; pass < 2; ++pass) {
    run.outputs = forward(inputs, &net);
    if (phase == TEST) continue;
    net.backward();
    run.gradients = as_one(gradients_of(net));
    const Blob& data = *net.blob("data");
    run.bottom = values_of(data.cpu_diff(), data);
  }
  return run;
}

/// Outputs by another name hold the same.
double difference_of(const NamedValues& expected, const NamedValues& found) {
  EXPECT_EQ(expected.size(), 1u);
  EXPECT_EQ(found.size(), 1u);
  return difference({{"", expected.begin()->second}}, {{"", found.begin()->second}});
}

void expect_same(const Run& expected, const Run& found, Phase phase) {
  EXPECT_LE(difference_of(expected.outputs, found.outputs), kTolerance);
  if (phase == TEST) return;
  EXPECT_LE(difference(expected.gradients, found.gradients), kTolerance);
  expect_near(expected.bottom, found.bottom, "gradient of the bottom");
}

void expect_same_as_apart(const std::string& letters, const Shape& shape) {
  const Device gpu{DeviceType::GPU, 0};
  const NetParameter model = chain(letters, shape, false);
  const NetParameter weights = lively_weights(model, 5);
  for (const Phase phase : {TRAIN, TEST}) {
    const Run cpu = run(model, weights, phase, false, Device());
    const Run apart = run(model, weights, phase, false, gpu);
    expect_same(cpu, apart, phase);
    for (const bool in_place : {false, true}) {
      SCOPED_TRACE(letters + " on " + to_string(shape) + (in_place ? " in place, " : ", ") +
                   Phase_Name(phase));
      const NetParameter fused_model = chain(letters, shape, in_place);
      const Run fused = run(fused_model, weights, phase, true, gpu);
      EXPECT_EQ(fused.is_one_pass, letters.size() > 1);
      expect_same(apart, fused, phase);
      const Run again = run(fused_model, weights, phase, true, gpu);
      EXPECT_EQ(fused.bottom, again.bottom);
    }
  }
}

class GpuPasses : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  }
};

TEST_F(GpuPasses, OfEachChainComputeWhatItsLayersDo) {
  for (const char* letters :
       {"BS", "RI", "bR", "BSR", "GSI", "SPI", "BSRI", "GSRI", "BpbH", "SbrPI", "BSR6H", "GrSpb"})
    expect_same_as_apart(letters, {5, 3, 6, 6});
}

TEST_F(GpuPasses, OfEachFormulaComputeWhatTheirLayersDo) {
  for (const char* letters : {"BSw", "hS", "eSI", "wP", "BtboI", "Gsnla", "PxcH"})
    expect_same_as_apart(letters, {5, 3, 6, 6});
  expect_same_as_apart("eSwI", {9, 1, 13, 11});
}

TEST_F(GpuPasses, OfEachShapeComputeWhatTheirLayersDo) {
  for (const Shape& shape : std::vector<Shape>{{1, 1, 1},
                                               {9, 1, 13, 11},
                                               {40, 33},
                                               {6, 33, 2, 2},
                                               {3, 33, 7, 7},
                                               {2, 512, 3, 3},
                                               {2, 512, 4, 4},
                                               {1, 3, 90, 80},
                                               {30, 2, 24, 24}})
    for (const char* letters : {"BSRI", "SP"}) expect_same_as_apart(letters, shape);
}

/// More layers than a kernel takes, and two gates.
TEST_F(GpuPasses, AreCutWhereAKernelTakesNoMore) {
  for (const char* letters : {"BSRSRSRI", "RISRI"}) {
    const NetParameter model = chain(letters, {3, 5, 4, 4}, true);
    const NetParameter weights = lively_weights(model, 5);
    const Device gpu{DeviceType::GPU, 0};
    expect_same(run(model, weights, TRAIN, false, gpu), run(model, weights, TRAIN, true, gpu),
                TRAIN);
  }
}

TEST_F(GpuPasses, TakeAnotherBatch) {
  const NetParameter model = chain("BSRI", {5, 3, 4, 4}, true);
  NetOptions options;
  options.phase = TRAIN;
  options.device = {DeviceType::GPU, 0};
  Net apart(model, options);
  options.keeps_blobs = false;
  Net fused(model, options);
  fused.copy_weights(apart.to_proto(), "weights", Missing::FAIL);
  for (const int batch : {5, 2, 9}) {
    std::vector<std::vector<float>> found;
    for (Net* net : {&apart, &fused}) {
      net->blob("data")->reshape({batch, 3, 4, 4});
      net->reshape();
      fill_gaussian(3, net->blob("data"));
      net->forward();
      const Blob& top = *net->blob("top3");
      found.push_back(values_of(top.cpu_data(), top));
    }
    expect_near(found[0], found[1], "top");
  }
}

/// What a rank makes of its samples of a batch of four: top, gradient of the bottom, and all blobs.
std::vector<std::vector<float>> normalize(int begin, int samples, Communicator* ranks) {
  const Device gpu{DeviceType::GPU, 0};
  use_device(gpu);
  Context context = training_context(gpu);
  context.ranks = ranks;
  LayerFixture fixture("type: 'BatchNorm'", {{samples, 3, 4, 4}}, 1, context);
  Blob whole({4, 3, 4, 4});
  fill_gaussian(3, &whole);
  const int sample = whole.count(1);
  const auto copy_share = [&](float* to) {
    std::copy_n(whole.cpu_data() + begin * sample, samples * sample, to);
  };
  copy_share(fixture.bottom().mutable_cpu_data());
  fixture.forward();
  copy_share(fixture.top().mutable_cpu_diff());
  fixture.layer().backward({&fixture.top()}, {true}, {&fixture.bottom()});
  std::vector<std::vector<float>> found = {
      values_of(fixture.top().cpu_data(), fixture.top()),
      values_of(fixture.bottom().cpu_diff(), fixture.bottom())};
  for (const auto& blob : fixture.layer().blobs())
    found.push_back(values_of(blob->cpu_data(), *blob));
  return found;
}

/// Of so few values that a block sums them: two threads have no GPU of their own.
TEST_F(GpuPasses, NormalizeByTheBatchOfAllRanks) {
  const auto whole = normalize(0, 4, &one_rank());
  std::vector<std::vector<float>> shares[2];
  run_ranks(2, [&](Communicator* ranks) {
    shares[ranks->rank()] = normalize(2 * ranks->rank(), 2, ranks);
  });
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const bool is_map = i < 2;
    std::vector<float> joined = shares[0][i];
    if (is_map) joined.insert(joined.end(), shares[1][i].begin(), shares[1][i].end());
    expect_near(whole[i], joined, "value " + std::to_string(i));
  }
}

}  // namespace
}  // namespace vibnet
