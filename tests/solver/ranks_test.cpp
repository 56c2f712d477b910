// Several ranks that share each batch: the curves are one rank's, whatever the net sums over it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "support/thread_ranks.h"
#include "support/write_lmdb.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

class Losses : public SolverObserver {
 public:
  void on_step(const TrainingStep& step) override { values.push_back(step.loss); }
  void on_test(const TestResult& result) override {
    for (const auto& output : result.outputs) values.push_back(output.second);
  }
  std::vector<double> values;
};

SolverParameter make_parameter(const std::string& net, const std::string& fields) {
  SolverParameter parameter;
  parse_prototxt("lr_policy: 'fixed' random_seed: 3 display: 1 snapshot_after_train: false " +
                     fields + (fields.find("base_lr") == std::string::npos ? " base_lr: 0.05" : ""),
                 "solver", &parameter);
  parse_prototxt(net, "net", parameter.mutable_net_param());
  return parameter;
}

/// The losses and test outputs of a run, as the first rank shows them.
std::vector<double> curve(int count, const SolverParameter& parameter,
                          const Device& device = Device()) {
  Losses losses;
  run_ranks(count, [&](Communicator* ranks) {
    Solver solver(parameter, "solver", device, "", ranks);
    if (ranks->is_first()) solver.set_observer(&losses);
    solver.solve();
  });
  return losses.values;
}

void expect_the_same_curves(const std::string& net, const std::string& fields,
                            double tolerance = 1e-5) {
  SCOPED_TRACE(net.substr(net.size() - std::min<std::size_t>(net.size(), 200)));
  const SolverParameter parameter = make_parameter(net, fields);
  const std::vector<double> alone = curve(1, parameter);
  ASSERT_GE(alone.size(), 5u);
  EXPECT_NE(alone.front(), alone.back());
  const auto expect_near = [&](const std::vector<double>& shared, double tolerance) {
    ASSERT_EQ(shared.size(), alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i)
      EXPECT_NEAR(shared[i], alone[i], tolerance * std::max(1.0, std::fabs(alone[i])))
          << "value " << i;
  };
  for (const int count : {2, 4}) {
    SCOPED_TRACE(std::to_string(count) + " ranks");
    expect_near(curve(count, parameter), tolerance);
  }
  if (gpu_count() == 0) return;
  SCOPED_TRACE("2 ranks on a GPU");
  expect_near(curve(2, parameter, {DeviceType::GPU, 0}), 10 * tolerance);
}

/// Data of 8 samples, 6 values each, drawn anew for each pass.
const std::string kData = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
    shape { dim: 8 dim: 6 } data_filler { type: 'gaussian' } } }
)";

std::string drawn(const std::string& name, const std::string& shape, const std::string& filler) {
  return "layer { name: '" + name + "' type: 'DummyData' top: '" + name + "' dummy_data_param { " +
         "shape { " + shape + " } data_filler { " + filler + " } } }";
}

std::string inner_product(const std::string& name, const std::string& bottom, int outputs) {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" +
         name + "' inner_product_param { num_output: " + std::to_string(outputs) +
         " weight_filler { type: 'xavier' } } }";
}

TEST(Ranks, ShareNoiseDropoutPoolingAndStatistics) {
  const std::string net = R"(
    layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
      shape { dim: 8 dim: 2 dim: 6 dim: 6 } data_filler { type: 'gaussian' } } }
    layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
      num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: 'msra' } } }
    layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }
    layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv'
      scale_param { bias_term: true } }
    layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }
    layer { name: 'ib' type: 'InformationBottleneck' bottom: 'conv' top: 'ib'
      information_bottleneck_param { gamma: 0.01 log_sigma2_filler { value: -1 } } }
    layer { name: 'pool' type: 'Pooling' bottom: 'ib' top: 'pool'
      pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
    layer { name: 'relu2' type: 'ReLU' bottom: 'pool' top: 'pool' }
    layer { name: 'drawn' type: 'Pooling' bottom: 'pool' top: 'drawn'
      pooling_param { pool: STOCHASTIC kernel_size: 2 } }
    layer { name: 'ip1' type: 'InnerProduct' bottom: 'drawn' top: 'ip1' inner_product_param {
      num_output: 9 weight_filler { type: 'xavier' } } }
    layer { name: 'bn2' type: 'BatchNorm' bottom: 'ip1' top: 'bn2' }
    layer { name: 'l0' type: 'HardConcrete' bottom: 'bn2' top: 'l0'
      hard_concrete_param { gamma: 0.02 } }
    layer { name: 'drop' type: 'Dropout' bottom: 'l0' top: 'l0' }
  )" + inner_product("ip2", "l0", 4) +
                          drawn("label", "dim: 8", "type: 'uniform' max: 4") + R"(
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss'
      loss_param { ignore_label: 1 } }
    layer { name: 'accuracy' type: 'Accuracy' bottom: 'ip2' bottom: 'label' top: 'accuracy'
      top: 'by_class' accuracy_param { ignore_label: 1 } }
  )";
  expect_the_same_curves(net, "max_iter: 12 momentum: 0.9 test_iter: 5 test_interval: 4");
  expect_the_same_curves(net,
                         "max_iter: 8 iter_size: 3 clip_gradients: 0.5 average_loss: 4 "
                         "weight_decay: 0.01 type: 'Adam' base_lr: 0.01");
}

TEST(Ranks, ShareLossesOverClasses) {
  const std::string bottom = inner_product("ip", "data", 3);
  const std::string label = drawn("label", "dim: 8", "type: 'uniform' max: 3");
  const auto net = [&](const std::string& type, const std::string& from, const std::string& more) {
    return kData + bottom + label + "layer { name: 'p' type: 'Softmax' bottom: 'ip' top: 'p' }" +
           "layer { name: 'loss' type: '" + type + "' bottom: '" + from +
           "' bottom: 'label' top: 'loss' " + more + " }";
  };
  for (const char* mode : {"VALID", "FULL", "BATCH_SIZE", "NONE"})
    expect_the_same_curves(net("SoftmaxWithLoss", "ip",
                               std::string("loss_param { ignore_label: 2 normalization: ") + mode +
                                   " } loss_weight: 0.3"),
                           "max_iter: 6");
  expect_the_same_curves(net("HingeLoss", "ip", ""), "max_iter: 6");
  expect_the_same_curves(net("HingeLoss", "ip", "hinge_loss_param { norm: L2 }"), "max_iter: 6");
  expect_the_same_curves(net("MultinomialLogisticLoss", "p", ""), "max_iter: 6");
}

TEST(Ranks, ShareLossesOfPairs) {
  const std::string bottom = inner_product("ip", "data", 3);
  const std::string target = drawn("target", "dim: 8 dim: 3", "type: 'uniform' max: 1.2");
  const auto net = [&](const std::string& type, const std::string& more) {
    return kData + bottom + target + "layer { name: 'loss' type: '" + type +
           "' bottom: 'ip' bottom: 'target' " + more + " top: 'loss' }";
  };
  expect_the_same_curves(net("EuclideanLoss", ""), "max_iter: 6");
  expect_the_same_curves(net("SigmoidCrossEntropyLoss", ""), "max_iter: 6");
  expect_the_same_curves(
      net("SigmoidCrossEntropyLoss", "loss_param { ignore_label: 1 normalization: VALID }"),
      "max_iter: 6 base_lr: 0.5");
  expect_the_same_curves(drawn("similar", "dim: 8", "type: 'uniform' max: 2") +
                             net("ContrastiveLoss", "bottom: 'similar'"),
                         "max_iter: 6");
}

TEST(Ranks, ShareSumsOverTheBatch) {
  for (const char* operation : {"SUM", "MEAN", "ASUM", "SUMSQ"})
    expect_the_same_curves(kData + inner_product("ip", "data", 3) +
                               "layer { name: 'sum' type: 'Reduction' bottom: 'ip' top: 'sum' "
                               "reduction_param { operation: " +
                               operation +
                               " coeff: 0.1 } }"
                               "layer { name: 'half' type: 'Power' bottom: 'sum' top: 'half' "
                               "power_param { scale: 0.5 power: 2 } loss_weight: 0.1 }",
                           "max_iter: 6 base_lr: 0.01");
}

/// Each kind of layer that treats each sample alone, once, in one net.
TEST(Ranks, ShareWhateverTreatsEachSampleAlone) {
  const std::string net = R"(
    layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
      shape { dim: 8 dim: 4 dim: 6 dim: 6 } data_filler { type: 'gaussian' } } }
    layer { name: 'lrn' type: 'LRN' bottom: 'data' top: 'lrn' }
    layer { name: 'mvn' type: 'MVN' bottom: 'lrn' top: 'mvn' }
    layer { name: 'order' type: 'ShuffleChannel' bottom: 'mvn' top: 'order'
      shuffle_channel_param { group: 2 } }
    layer { name: 'deep' type: 'DepthwiseConvolution' bottom: 'order' top: 'deep'
      convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: 'msra' } } }
    layer { name: 'prelu' type: 'PReLU' bottom: 'deep' top: 'deep' }
    layer { name: 'slice' type: 'Slice' bottom: 'deep' top: 'a' top: 'b' }
    layer { name: 'up' type: 'Deconvolution' bottom: 'a' top: 'up' convolution_param {
      num_output: 2 kernel_size: 3 weight_filler { type: 'xavier' } } }
    layer { name: 'crop' type: 'Crop' bottom: 'up' bottom: 'b' top: 'cut'
      crop_param { axis: 2 offset: 1 } }
    layer { name: 'both' type: 'Concat' bottom: 'cut' bottom: 'b' top: 'both' }
    layer { name: 'mean' type: 'Pooling' bottom: 'both' top: 'mean'
      pooling_param { pool: AVE global_pooling: true } }
    layer { name: 'flat' type: 'Flatten' bottom: 'mean' top: 'flat' }
    layer { name: 'gate' type: 'Sigmoid' bottom: 'flat' top: 'gate' }
    layer { name: 'scaled' type: 'Scale' bottom: 'both' bottom: 'gate' top: 'scaled'
      scale_param { axis: 0 } }
    layer { name: 'axpy' type: 'Axpy' bottom: 'gate' bottom: 'scaled' bottom: 'both' top: 'axpy' }
    layer { name: 'bias' type: 'Bias' bottom: 'axpy' top: 'bias' }
    layer { name: 'sum' type: 'Eltwise' bottom: 'bias' bottom: 'scaled' top: 'sum' }
    layer { name: 'turned' type: 'Permute' bottom: 'sum' top: 'turned'
      permute_param { order: 0 order: 2 order: 3 order: 1 } }
    layer { name: 'rows' type: 'Reshape' bottom: 'turned' top: 'rows'
      reshape_param { shape { dim: -1 dim: 4 } } }
    layer { name: 'noise' type: 'InformationBottleneck' bottom: 'rows' top: 'noise'
      information_bottleneck_param { log_sigma2_filler { value: -1 } } }
    layer { name: 'back' type: 'Reshape' bottom: 'noise' top: 'back'
      reshape_param { shape { dim: -1 dim: 36 dim: 4 } } }
    layer { name: 'of_rows' type: 'Reduction' bottom: 'back' top: 'of_rows'
      reduction_param { axis: 2 operation: SUMSQ } }
    layer { name: 'tiled' type: 'Tile' bottom: 'of_rows' top: 'tiled' tile_param { tiles: 2 } }
    layer { name: 'index' type: 'DummyData' top: 'index' dummy_data_param {
      shape { dim: 8 } data_filler { type: 'uniform' max: 5 } } }
    layer { name: 'embed' type: 'Embed' bottom: 'index' top: 'embed' embed_param {
      input_dim: 5 num_output: 3 weight_filler { type: 'gaussian' } } }
    layer { name: 'all' type: 'Concat' bottom: 'tiled' bottom: 'embed' top: 'all' }
    layer { name: 'best' type: 'ArgMax' bottom: 'all' top: 'best' }
    layer { name: 'quiet' type: 'Silence' bottom: 'best' }
  )" + inner_product("ip", "all", 3) +
                          drawn("label", "dim: 8", "type: 'uniform' max: 3") + R"(
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' }
  )";
  expect_the_same_curves(net, "max_iter: 8 base_lr: 0.01");
}

TEST(Ranks, ReadTheirShareOfADataSet) {
  const TemporaryFolder folder;
  std::vector<Datum> datums;
  for (int i = 0; i < 21; ++i) {
    std::string pixels(36, '\0');
    for (int p = 0; p < 36; ++p) pixels[p] = static_cast<char>((i * 37 + p * p * 11) % 251);
    datums.push_back(make_datum(1, 6, 6, pixels, i % 3));
  }
  write_lmdb(folder / "train.lmdb", datums);
  const std::string net =
      "layer { name: 'data' type: 'Data' top: 'data' top: 'label' "
      "transform_param { scale: 0.01 mirror: true pad: 1 crop_size: 6 } "
      "data_param { source: '" +
      (folder / "train.lmdb") + "' backend: LMDB batch_size: 8 shuffle: true rand_skip: 5 } }" +
      inner_product("ip", "data", 3) +
      "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' "
      "bottom: 'label' top: 'loss' }";
  expect_the_same_curves(net, "max_iter: 9 iter_size: 2 test_iter: 3 test_interval: 3");
}

/// Many units are dead from the beginning, and others die soon.
std::string gated_net() {
  return R"(
    layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
      shape { dim: 8 dim: 2 dim: 6 dim: 6 } data_filler { type: 'gaussian' } } }
    layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
      num_output: 12 kernel_size: 3 weight_filler { type: 'msra' } } }
    layer { name: 'ib' type: 'InformationBottleneck' bottom: 'conv' top: 'ib'
      information_bottleneck_param { log_sigma2_filler { type: 'uniform' min: -9 max: 4 } } }
    layer { name: 'ip1' type: 'InnerProduct' bottom: 'ib' top: 'ip1' inner_product_param {
      num_output: 20 weight_filler { type: 'xavier' } } }
    layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'ip1' top: 'ib1'
      information_bottleneck_param { log_sigma2_filler { type: 'uniform' min: -9 max: 4 } } }
  )" + inner_product("ip2", "ib1", 3) +
         drawn("label", "dim: 8", "type: 'uniform' max: 3") +
         "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }";
}

TEST(Ranks, CutAndSteerAlike) {
  const std::string fields = "max_iter: 40 kl_weight: 0.001 base_lr: 0.001 ";
  expect_the_same_curves(gated_net(), fields + "compact_interval: 5");
  expect_the_same_curves(gated_net(), fields + "target { flops: 0.4 } kl_cost: FLOPS");
}

/// Times differ from run to run, but all ranks must do by the first's.
TEST(Ranks, AgreeOnMeasuredTimes) {
  const TemporaryFolder folder;
  SolverParameter parameter = make_parameter(
      gated_net(),
      "max_iter: 20 kl_weight: 0.001 base_lr: 0.001 target { latency_ms: 10 } kl_cost: FLOPS");
  parameter.set_snapshot_prefix(folder / "run");
  run_ranks(2, [&](Communicator* ranks) {
    Solver solver(parameter, "solver", Device(), "", ranks);
    EXPECT_TRUE(solver.solve());
    solver.snapshot();
  });
}

TEST(Ranks, WriteSnapshotsThatAnyNumberResumes) {
  const TemporaryFolder folder;
  SolverParameter parameter = make_parameter(gated_net(),
                                             "max_iter: 30 kl_weight: 0.001 base_lr: 0.001 "
                                             "compact_interval: 5 average_loss: 3");
  parameter.set_snapshot_prefix(folder / "run");
  const std::vector<double> alone = curve(1, parameter);
  parameter.set_max_iter(15);
  parameter.set_snapshot_after_train(true);
  curve(4, parameter);
  parameter.set_max_iter(30);
  for (const int count : {1, 2}) {
    Losses losses;
    run_ranks(count, [&](Communicator* ranks) {
      Solver solver(parameter, "solver", Device(), folder / "run_iter_15.solverstate", ranks);
      if (ranks->is_first()) solver.set_observer(&losses);
      solver.solve();
    });
    ASSERT_EQ(losses.values.size(), 15u);
    for (int i = 0; i < 15; ++i) EXPECT_NEAR(losses.values[i], alone[15 + i], 1e-5) << i;
  }
}

TEST(Ranks, NoticeThatTheirNetsDiffer) {
  const SolverParameter parameter = make_parameter(gated_net(), "max_iter: 4");
  const std::string error = error_of([&] {
    run_ranks(4, [&](Communicator* ranks) {
      Solver solver(parameter, "solver", Device(), "", ranks);
      if (ranks->rank() == 2) solver.net().parameters()[0].blob->mutable_cpu_data()[1] += 1e-6f;
      solver.solve();
    });
  });
  EXPECT_NE(error.find("iteration 0: 1 of 4 ranks have other weights"), std::string::npos) << error;
}

TEST(Ranks, StopTogether) {
  const TemporaryFolder folder;
  SolverParameter parameter = make_parameter(gated_net(), "max_iter: 100");
  parameter.set_snapshot_prefix(folder / "run");
  run_ranks(2, [&](Communicator* ranks) {
    Solver solver(parameter, "solver", Device(), "", ranks);
    int asked = 0;
    solver.set_action_source([&] {
      return ranks->rank() == 1 && ++asked == 4 ? SolverAction::STOP : SolverAction::NONE;
    });
    EXPECT_FALSE(solver.solve());
    EXPECT_EQ(solver.iteration(), 3);
  });
  EXPECT_TRUE(std::filesystem::exists(folder / "run_iter_3.solverstate"));
}

std::string refusal(const std::string& layers) {
  const SolverParameter parameter = make_parameter(kData + layers, "max_iter: 1");
  return error_of([&] {
    run_ranks(2, [&](Communicator* ranks) { Solver(parameter, "solver", Device(), "", ranks); });
  });
}

TEST(Ranks, RefuseWhatLooksAtSeveralSamples) {
  const std::string index = drawn("index", "dim: 8", "value: 0");
  const std::string column = drawn("column", "dim: 8 dim: 1", "value: 1");
  for (const std::string& layer : {
           index +
               "layer { name: 'x' type: 'BatchReindex' bottom: 'data' bottom: 'index' top: 'x' }",
           column + "layer { name: 'x' type: 'Filter' bottom: 'data' bottom: 'column' top: 'x' }",
           std::string("layer { name: 'x' type: 'Concat' bottom: 'data' bottom: 'data' top: 'x' "
                       "concat_param { axis: 0 } }"),
           std::string("layer { name: 'x' type: 'Slice' bottom: 'data' top: 'x' top: 'y' "
                       "slice_param { axis: -2 } }"),
           std::string("layer { name: 'x' type: 'Softmax' bottom: 'data' top: 'x' "
                       "softmax_param { axis: 0 } }"),
           std::string("layer { name: 'x' type: 'Tile' bottom: 'data' top: 'x' "
                       "tile_param { axis: 0 tiles: 2 } }"),
           std::string("layer { name: 'x' type: 'Permute' bottom: 'data' top: 'x' "
                       "permute_param { order: 1 order: 0 } }"),
           std::string("layer { name: 'x' type: 'Reshape' bottom: 'data' top: 'x' "
                       "reshape_param { shape { dim: 4 dim: -1 } } }"),
           std::string("layer { name: 'x' type: 'Scale' bottom: 'data' top: 'x' "
                       "scale_param { axis: 0 num_axes: 2 } }"),
           std::string("layer { name: 'x' type: 'Flatten' bottom: 'data' top: 'x' "
                       "flatten_param { axis: 0 } }"),
           std::string("layer { name: 'x' type: 'InnerProduct' bottom: 'data' top: 'x' "
                       "inner_product_param { axis: 0 num_output: 2 } }"),
           std::string("layer { name: 'x' type: 'ArgMax' bottom: 'data' top: 'x' "
                       "argmax_param { axis: 0 } }"),
           std::string("layer { name: 'x' type: 'Parameter' top: 'x' "
                       "parameter_param { shape { dim: 2 } } }"),
           std::string("layer { name: 'x' type: 'Input' top: 'x' "
                       "input_param { shape { dim: 8 dim: 2 } } }"),
           std::string("layer { name: 'x' type: 'HDF5Output' bottom: 'data' bottom: 'data' "
                       "hdf5_output_param { file_name: '/tmp/never.h5' } }"),
       }) {
    const std::string error = refusal(layer);
    EXPECT_NE(error.find("layer 'x' ("), std::string::npos) << layer << ": " << error;
    EXPECT_NE(error.find("cannot work on a share of the batch"), std::string::npos) << error;
  }
}

TEST(Ranks, RefuseSumsWhereSamplesAreNeeded) {
  const std::string sum = "layer { name: 'sum' type: 'Reduction' bottom: 'data' top: 'sum' }";
  EXPECT_EQ(refusal(sum + "layer { name: 'x' type: 'Exp' bottom: 'sum' top: 'x' }"), "");
  const std::string error =
      refusal(sum + "layer { name: 'x' type: 'Dropout' bottom: 'sum' top: 'x' }");
  EXPECT_NE(error.find("layer 'x' (Dropout): cannot work on a share"), std::string::npos) << error;
}

TEST(Ranks, RefuseALossForEachSample) {
  const std::string error = refusal(
      "layer { name: 'x' type: 'Reduction' bottom: 'data' top: 'x' "
      "reduction_param { axis: 1 } loss_weight: 1 }");
  EXPECT_NE(error.find("layer 'x' (Reduction): loss_weight"), std::string::npos) << error;
}

TEST(Ranks, RefuseABatchThatIsNoMultiple) {
  const std::string error = refusal(drawn("odd", "dim: 7", ""));
  EXPECT_NE(error.find("layer 'odd' (DummyData): a batch of 7 samples cannot be shared alike by 2"),
            std::string::npos)
      << error;
}

}  // namespace
}  // namespace vibnet
