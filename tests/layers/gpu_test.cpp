// Every layer on the GPU against itself on the CPU.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "layers/gate_layer.h"
#include "support/error_of.h"
#include "support/layer_cases.h"
#include "support/near.h"
#include "vibnet/device.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Indices 0, 1, ... `bound` - 1, 0, ... in a bottom.
std::function<void(LayerFixture*)> with_indices(int bottom, int bound) {
  return [=](LayerFixture* fixture) {
    Blob& indices = fixture->bottom(bottom);
    for (int i = 0; i < indices.count(); ++i)
      indices.mutable_cpu_data()[i] = static_cast<float>(i % bound);
  };
}

/// Beside the cases of the gradients: layers that have none, and sizes and options at which a
/// kernel does something else.
const std::vector<GradientCase> kMoreCases = {
    {"Accuracy", "type: 'Accuracy'", {{7, 4}, {7}}, 2, kSmooth, with_labels(4)},
    {"AccuracyOfPlanes",
     "type: 'Accuracy' accuracy_param { top_k: 2 ignore_label: 1 }",
     {{3, 4, 5}, {3, 5}},
     2,
     kSmooth,
     with_labels(4)},
    {"ArgMax", "type: 'ArgMax'", {{3, 4, 5}}},
    {"ArgMaxBoth", "type: 'ArgMax' argmax_param { top_k: 3 out_max_val: true }", {{3, 4, 5}}},
    {"ArgMaxAxis",
     "type: 'ArgMax' argmax_param { top_k: 2 axis: 1 out_max_val: true }",
     {{3, 4, 5}}},
    {"Threshold", "type: 'Threshold' threshold_param { threshold: 0.3 }", {{3, 4, 5}}},
    {"Silence", "type: 'Silence'", {{3, 4}, {2}}, 0},
    {"Im2col",
     "type: 'Im2col' convolution_param { kernel_size: 3 stride: 2 pad: 1 }",
     {{2, 3, 6, 5}}},
    {"Im2colOfThreeAxes",
     "type: 'Im2col' convolution_param { kernel_size: 2 kernel_size: 3 kernel_size: 1 "
     "dilation: 1 dilation: 2 dilation: 1 stride: 1 stride: 1 stride: 2 pad: 1 }",
     {{2, 2, 3, 4, 5}}},
    {"Im2colOfOneAxis", "type: 'Im2col' convolution_param { kernel_size: 3 }", {{2, 3, 7}}},
    {"InterpOfOnePixel", "type: 'Interp' interp_param { height: 1 width: 1 }", {{1, 2, 3, 4}}},
    {"InterpFromOnePixel", "type: 'Interp' interp_param { height: 3 width: 4 }", {{2, 2, 1, 1}}},
    {"InterpZoom",
     "type: 'Interp' interp_param { zoom_factor: 3 pad_beg: -1 pad_end: -2 }",
     {{1, 2, 6, 7}}},
    {"InterpShrink", "type: 'Interp' interp_param { shrink_factor: 3 }", {{1, 2, 13, 11}}},
    {"CropOfChannels", "type: 'Crop' crop_param { axis: 1 offset: 1 }", {{2, 4, 5}, {2, 2, 3}}},
    {"TileOfSamples", "type: 'Tile' tile_param { axis: 0 tiles: 2 }", {{2, 3, 2}}},
    {"ConcatOfSamples", "type: 'Concat' concat_param { axis: 0 }", {{2, 3}, {1, 3}, {4, 3}}},
    {"SliceOfSamples", "type: 'Slice' slice_param { axis: 0 }", {{6, 3}}, 2},
    {"SplitForOne", "type: 'Split'", {{2, 5, 3}}, 1},
    {"EltwiseOfManyBottoms", "type: 'Eltwise' eltwise_param { operation: PROD }",
     std::vector<Shape>(70, {2})},
    {"EltwiseMaxOfTwo", "type: 'Eltwise' eltwise_param { operation: MAX }", {{2, 30}, {2, 30}}},
    {"EmbedWithoutBias",
     "type: 'Embed' embed_param { num_output: 3 input_dim: 70 bias_term: false "
     "weight_filler { type: 'gaussian' } }",
     {{9, 10}},
     1,
     kSmooth,
     with_indices(0, 70)},
    {"BatchReindexTwice", "type: 'BatchReindex'", {{3, 2, 2}, {7}}, 1, kSmooth, with_indices(1, 2)},
    {"ScaleOfFewChannels",
     "type: 'Scale' scale_param { filler { type: 'gaussian' } bias_term: true }",
     {{3, 2, 150, 150}}},
    {"ConvolutionToFewChannels",
     "type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 "
     "weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
     {{3, 2, 150, 150}}},
    {"BiasOfFewChannels", "type: 'Bias'", {{3, 2, 150, 150}}},
    {"PReLUOfFewChannels", "type: 'PReLU'", {{3, 2, 150, 150}}},
    {"EuclideanLossOfMany", "type: 'EuclideanLoss'", {{5, 11000}, {5, 11000}}},
    {"SoftmaxWithLossOfManyClasses",
     "type: 'SoftmaxWithLoss'",
     {{4, 700}, {4}},
     2,
     kSmooth,
     with_labels(700)},
    {"BottleneckOfFewChannels",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 "
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 } }",
     {{3, 2, 150, 150}}},
    {"BottleneckOfUnits",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 "
     "unit: 7 unit: 2 unit: 9 unit: 30 unit: 31 "
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 } }",
     {{40, 5, 3}}},
    {"MVNOfALargeSample", "type: 'MVN' mvn_param { across_channels: true }", {{1, 3, 90, 80}}},
    {"ReductionOfAll", "type: 'Reduction' reduction_param { operation: MEAN }", {{3, 90, 80}}},
};

std::vector<GradientCase> all_cases() {
  std::vector<GradientCase> cases = gradient_cases();
  cases.insert(cases.end(), kMoreCases.begin(), kMoreCases.end());
  return cases;
}

std::string type_of(const GradientCase& one) {
  LayerParameter parameter;
  parse_prototxt(one.prototxt, one.name, &parameter);
  return parameter.type();
}

/// The types that this build has for a device.
std::set<std::string> types_for(DeviceType device) {
  std::set<std::string> types;
  for (const RegisteredLayer& layer : registered_layers())
    if (std::count(layer.devices.begin(), layer.devices.end(), device) > 0)
      types.insert(layer.type);
  return types;
}

/// Whether backward is there to be run.
bool has_backward(LayerFixture* fixture) {
  return error_of([&] { fixture->backward(); }).find("has no gradient") == std::string::npos;
}

Blobs bottoms_of(LayerFixture* fixture) {
  Blobs bottoms;
  for (int b = 0; b < fixture->bottoms(); ++b) bottoms.push_back(&fixture->bottom(b));
  return bottoms;
}

Context context_of(Phase phase, DeviceType device, int index = 0) {
  Context context = training_context({device, index});
  context.phase = phase;
  return context;
}

/// All that a pass makes: tops, gradients, parameters and the penalty, with their names.
struct Result {
  std::vector<std::string> names;
  std::vector<std::vector<float>> values;

  void add(const std::string& name, const float* data, const Blob& blob) {
    names.push_back(name);
    values.push_back(values_of(data, blob));
  }
};

Result run(const GradientCase& one, Phase phase, DeviceType device, int index = 0) {
  LayerFixture fixture(one.prototxt, one.bottoms, one.tops, context_of(phase, device, index));
  if (one.prepare) one.prepare(&fixture);
  Layer& layer = fixture.layer();
  fixture.forward();
  layer.check(bottoms_of(&fixture));
  Result result;
  for (int t = 0; t < fixture.tops(); ++t)
    result.add("top", fixture.top(t).cpu_data(), fixture.top(t));
  const bool goes_back = has_backward(&fixture);
  for (int b = 0; goes_back && b < fixture.bottoms(); ++b)
    if (layer.has_gradient(b))
      result.add("gradient of a bottom", fixture.bottom(b).cpu_diff(), fixture.bottom(b));
  for (std::size_t i = 0; i < layer.blobs().size(); ++i) {
    const Blob& blob = *layer.blobs()[i];
    result.add("parameter", blob.cpu_data(), blob);
    if (goes_back && layer.is_learnable(static_cast<int>(i)))
      result.add("gradient of a parameter", blob.cpu_diff(), blob);
  }
  result.names.push_back("penalty");
  result.values.push_back({static_cast<float>(layer.penalty())});
  return result;
}

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() > 0) return;
    GTEST_SKIP() << (types_for(DeviceType::GPU).empty()
                         ? "this build has no GPU layers"
                         : "no GPU here: its layers were compiled, not run");
  }

  /// Calls body(case) for each case of a layer that has a GPU implementation.
  template <typename Body>
  static void for_each_case(const Body& body) {
    const std::set<std::string> types = types_for(DeviceType::GPU);
    for (const GradientCase& one : all_cases()) {
      if (types.count(type_of(one)) == 0) continue;
      SCOPED_TRACE(one.name);
      body(one);
    }
  }
};

bool is_convolution(const GradientCase& one) {
  return type_of(one).find("onvolution") != std::string::npos;
}

/// A clock may choose convolutions that round otherwise, by Winograd or Fourier.
float tolerance_of(const GradientCase& one) {
  return is_convolution(one) && !gpu_math().deterministic ? 1e-4f : kNear;
}

void expect_the_cpus_results(const GradientCase& one) {
  for (const Phase phase : {TRAIN, TEST}) {
    SCOPED_TRACE(Phase_Name(phase));
    const Result cpu = run(one, phase, DeviceType::CPU);
    const Result gpu = run(one, phase, DeviceType::GPU);
    ASSERT_EQ(cpu.names, gpu.names);
    for (std::size_t i = 0; i < cpu.names.size(); ++i)
      expect_near(cpu.values[i], gpu.values[i], cpu.names[i], tolerance_of(one));
  }
}

TEST_F(Gpu, ComputesWhatTheCpuComputes) {
  std::set<std::string> untested = types_for(DeviceType::GPU);
  for_each_case([&](const GradientCase& one) {
    untested.erase(type_of(one));
    expect_the_cpus_results(one);
  });
  for (const std::string& type : untested)
    ADD_FAILURE() << type << " has a GPU implementation and no case here";
}

/// Where a clock would choose channels first, too.
TEST_F(Gpu, ConvolutionsComputeTheSameWithChannelsLast) {
  setenv("VIBNET_CONVOLUTION", "channels_last", 1);
  for_each_case([&](const GradientCase& one) {
    if (is_convolution(one)) expect_the_cpus_results(one);
  });
  unsetenv("VIBNET_CONVOLUTION");
}

TEST_F(Gpu, DeterministicConvolutionsAreNearer) {
  gpu_math().deterministic = true;
  for_each_case([&](const GradientCase& one) {
    if (is_convolution(one)) expect_the_cpus_results(one);
  });
  gpu_math().deterministic = false;
}

TEST_F(Gpu, TwoRunsAreEqualBitForBit) {
  gpu_math().deterministic = true;
  for_each_case([](const GradientCase& one) {
    EXPECT_EQ(run(one, TRAIN, DeviceType::GPU).values, run(one, TRAIN, DeviceType::GPU).values);
  });
  gpu_math().deterministic = false;
}

TEST_F(Gpu, ASecondOneComputesTheSameInOneThread) {
  if (gpu_count() == 1) GTEST_SKIP() << "one GPU here";
  gpu_math().deterministic = true;
  for_each_case([](const GradientCase& one) {
    const Result first = run(one, TRAIN, DeviceType::GPU, 0);
    EXPECT_EQ(first.values, run(one, TRAIN, DeviceType::GPU, 1).values);
  });
  gpu_math().deterministic = false;
}

TEST_F(Gpu, WorksInPlaceAsApart) {
  for_each_case([](const GradientCase& one) {
    LayerFixture fixture(one.prototxt, one.bottoms, one.tops, context_of(TRAIN, DeviceType::GPU));
    Layer& layer = fixture.layer();
    if (!layer.runs_in_place()) return;
    if (one.prepare) one.prepare(&fixture);
    const Result apart = run(one, TRAIN, DeviceType::CPU);
    const Blobs bottoms = bottoms_of(&fixture);
    const Blobs tops = {bottoms[0]};
    layer.reshape(bottoms, tops);
    layer.forward(bottoms, tops);
    expect_near(apart.values[0], values_of(tops[0]->cpu_data(), *tops[0]), "top");
    if (apart.names[1] != "gradient of a bottom") return;
    fixture.top().reshape_like(*tops[0]);
    fixture.set_top_diffs();
    std::copy_n(fixture.top().cpu_diff(), tops[0]->count(), tops[0]->mutable_cpu_diff());
    std::vector<bool> propagate_down;
    for (int b = 0; b < fixture.bottoms(); ++b) propagate_down.push_back(layer.has_gradient(b));
    layer.backward(tops, propagate_down, bottoms);
    expect_near(apart.values[1], values_of(bottoms[0]->cpu_diff(), *bottoms[0]), "gradient");
  });
}

TEST_F(Gpu, ComputesNoGradientThatIsNotAskedFor) {
  for_each_case([](const GradientCase& one) {
    LayerFixture fixture(one.prototxt, one.bottoms, one.tops, context_of(TRAIN, DeviceType::GPU));
    if (one.prepare) one.prepare(&fixture);
    Layer& layer = fixture.layer();
    if (layer.shares_diff()) return;
    fixture.forward();
    fixture.set_top_diffs();
    const Blobs bottoms = bottoms_of(&fixture);
    Blobs tops;
    for (int t = 0; t < fixture.tops(); ++t) tops.push_back(&fixture.top(t));
    for (std::size_t i = 0; i < layer.blobs().size(); ++i)
      layer.set_learns(static_cast<int>(i), false);
    layer.backward(tops, std::vector<bool>(bottoms.size(), false), bottoms);
    for (const Blob* bottom : bottoms)
      EXPECT_EQ(values_of(bottom->cpu_diff(), *bottom), std::vector<float>(bottom->count()));
    for (const auto& blob : layer.blobs())
      EXPECT_EQ(values_of(blob->cpu_diff(), *blob), std::vector<float>(blob->count()));
  });
}

/// The case with bottoms of which this axis is 0, where it is as long as the first bottom's.
GradientCase emptied(const GradientCase& one, std::size_t axis) {
  GradientCase empty = one;
  empty.prepare = nullptr;
  for (Shape& shape : empty.bottoms)
    if (axis < shape.size() && axis < one.bottoms[0].size() && shape[axis] == one.bottoms[0][axis])
      shape[axis] = 0;
  return empty;
}

TEST_F(Gpu, TakesTheEmptyBottomsThatTheCpuTakes) {
  int taken = 0;
  for_each_case([&](const GradientCase& one) {
    for (const std::size_t axis : {0, 1}) {
      const GradientCase empty = emptied(one, axis);
      Result cpu;
      if (!error_of([&] { cpu = run(empty, TRAIN, DeviceType::CPU); }).empty()) continue;
      const Result gpu = run(empty, TRAIN, DeviceType::GPU);
      ASSERT_EQ(cpu.names, gpu.names);
      for (std::size_t i = 0; i < cpu.names.size(); ++i)
        expect_near(cpu.values[i], gpu.values[i], cpu.names[i]);
      ++taken;
    }
  });
  EXPECT_GT(taken, 0);
}

/// What is said of `value` in a bottom: on the CPU by forward, on the GPU by check.
std::string complaint(const char* prototxt, const std::vector<Shape>& shapes, int bottom,
                      float value, DeviceType device) {
  LayerFixture fixture(prototxt, shapes, 1, context_of(TRAIN, device));
  for (int b = 1; b < fixture.bottoms(); ++b) fixture.bottom(b).set_data(1);
  fixture.bottom(bottom).set_data(1);
  fixture.bottom(bottom).mutable_cpu_data()[2] = value;
  return error_of([&] {
    fixture.forward();
    fixture.layer().check(bottoms_of(&fixture));
  });
}

TEST_F(Gpu, SaysWhichLabelOrIndexCannotBe) {
  struct Case {
    const char* prototxt;
    std::vector<Shape> bottoms;
    int bottom;
  };
  for (const Case& one :
       std::vector<Case>{{"type: 'Accuracy'", {{4, 3}, {4}}, 1},
                         {"type: 'SoftmaxWithLoss'", {{4, 3}, {4}}, 1},
                         {"type: 'InfogainLoss'", {{4, 3}, {4}, {3, 3}}, 1},
                         {"type: 'HingeLoss'", {{4, 3}, {4}}, 1},
                         {"type: 'MultinomialLogisticLoss'", {{4, 3}, {4}}, 1},
                         {"type: 'BatchReindex'", {{3, 2}, {4}}, 1},
                         {"type: 'Embed' embed_param { input_dim: 3 num_output: 2 }", {{4}}, 0}}) {
    SCOPED_TRACE(one.prototxt);
    for (const float wrong : {3.0f, -1.0f, std::nanf("")}) {
      const std::string cpu =
          complaint(one.prototxt, one.bottoms, one.bottom, wrong, DeviceType::CPU);
      EXPECT_NE(cpu, "");
      EXPECT_EQ(complaint(one.prototxt, one.bottoms, one.bottom, wrong, DeviceType::GPU), cpu);
    }
    EXPECT_EQ(complaint(one.prototxt, one.bottoms, one.bottom, 0, DeviceType::GPU), "");
  }
}

TEST_F(Gpu, FrozenUnitsStayShutAndSparedOnesAreNotPressed) {
  std::vector<Result> results;
  for (const DeviceType device : {DeviceType::CPU, DeviceType::GPU}) {
    const char* prototxt =
        "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 }";
    LayerFixture fixture(prototxt, {{4, 3, 5}}, 1, context_of(TRAIN, device));
    auto& gate = dynamic_cast<GateLayer&>(fixture.layer());
    const double whole = gate.kl();
    gate.freeze({false, true, false});
    gate.spare({false, false, true});
    fixture.forward();
    fixture.backward();
    EXPECT_NEAR(gate.kl(), whole / 3, 0.01 * whole);
    results.emplace_back();
    results.back().add("top", fixture.top().cpu_data(), fixture.top());
    results.back().add("gradient", fixture.bottom().cpu_diff(), fixture.bottom());
    for (const auto& blob : gate.blobs()) results.back().add("blob", blob->cpu_diff(), *blob);
  }
  for (std::size_t i = 0; i < results[0].values.size(); ++i)
    expect_near(results[0].values[i], results[1].values[i], results[0].names[i]);
}

TEST(GpuLayers, AreThereForAllButData) {
  const std::set<std::string> on_gpu = types_for(DeviceType::GPU);
  if (on_gpu.empty()) GTEST_SKIP() << "this build has no GPU layers";
  std::set<std::string> lacking = types_for(DeviceType::CPU);
  for (const std::string& type : on_gpu) lacking.erase(type);
  const std::set<std::string> data = {"Data",      "DummyData", "HDF5Data",   "HDF5Output",
                                      "ImageData", "Input",     "MemoryData", "WindowData"};
  for (const std::string& type : data) lacking.erase(type);
  for (const char* type : {"UnheardOf", "Nap"}) lacking.erase(type);  // other tests' own
  EXPECT_TRUE(lacking.empty()) << testing::PrintToString(lacking);
}

}  // namespace
}  // namespace vibnet
