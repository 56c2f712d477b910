#include "vibnet/solver.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "layers/information_bottleneck_layer.h"
#include "solver/learning_rate.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

/// Dropout, gates and drawn data: everything a resumed run must draw again.
const char* const kNet = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
    shape { dim: 12 dim: 1 dim: 10 dim: 10 } data_filler { type: 'gaussian' } } }
  layer { name: 'label' type: 'DummyData' top: 'label' dummy_data_param {
    shape { dim: 12 } data_filler { value: 2 } } }
  layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
    num_output: 6 kernel_size: 3 weight_filler { type: 'msra' } } }
  layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'bn' }
  layer { name: 'relu' type: 'ReLU' bottom: 'bn' top: 'bn' }
  layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'bn' top: 'ib1'
    information_bottleneck_param { gamma: 0.01 } }
  layer { name: 'ip1' type: 'InnerProduct' bottom: 'ib1' top: 'ip1' inner_product_param {
    num_output: 20 weight_filler { type: 'xavier' } } }
  layer { name: 'l0' type: 'HardConcrete' bottom: 'ip1' top: 'l0'
    hard_concrete_param { gamma: 0.01 } }
  layer { name: 'drop' type: 'Dropout' bottom: 'l0' top: 'l0' }
  layer { name: 'ib2' type: 'InformationBottleneck' bottom: 'l0' top: 'ib2'
    information_bottleneck_param { gamma: 0.01 } }
  layer { name: 'ip2' type: 'InnerProduct' bottom: 'ib2' top: 'ip2' inner_product_param {
    num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }
)";

SolverParameter solver_parameter(const std::string& fields, const std::string& prefix = "") {
  SolverParameter parameter;
  parse_prototxt("lr_policy: 'fixed' max_iter: 20 random_seed: 3 " + fields, "solver", &parameter);
  if (!parameter.has_base_lr()) parameter.set_base_lr(0.01f);
  if (!parameter.has_net_param()) parse_prototxt(kNet, "net", parameter.mutable_net_param());
  if (!prefix.empty()) parameter.set_snapshot_prefix(prefix);
  return parameter;
}

std::string weights_of(const Solver& solver) { return solver.net().to_proto().SerializeAsString(); }

class Resume : public testing::TestWithParam<const char*> {};

TEST_P(Resume, EndsWithTheSameBytesAsAnUninterruptedRun) {
  const TemporaryFolder folder;
  const SolverParameter parameter = solver_parameter(GetParam(), folder / "run");
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  Solver whole(parameter, "solver", Device());
  whole.step(12);

  omp_set_num_threads(2);
  Solver first(parameter, "solver", Device());
  first.step(5);
  const std::string state = first.snapshot();
  omp_set_num_threads(3);
  Solver second(parameter, "solver", Device(), state);
  EXPECT_EQ(second.iteration(), 5);
  second.step(7);
  omp_set_num_threads(threads);
  EXPECT_EQ(weights_of(whole), weights_of(second));
  EXPECT_NE(weights_of(first), weights_of(second));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, Resume,
    testing::Values("type: 'SGD' momentum: 0.9 weight_decay: 0.01",
                    "type: 'Nesterov' momentum: 0.9 iter_size: 3 clip_gradients: 1",
                    "type: 'Adam' momentum: 0.9 kl_warmup: 10 regularization_type: 'L1' "
                    "weight_decay: 0.001",
                    "type: 'AdaGrad' weight_decay: 0.01 warmup_iter: 8",
                    "type: 'RMSProp' rms_decay: 0.9 iter_size: 2",
                    "type: 'AdaDelta' momentum: 0.95 delta: 1e-6",
                    "type: 'AdamW' momentum: 0.9 weight_decay: 0.1"));

TEST(Solver, ADrawnSeedIsKeptInTheSnapshot) {
  const TemporaryFolder folder;
  SolverParameter parameter = solver_parameter("", folder / "run");
  parameter.set_random_seed(-1);
  Solver whole(parameter, "solver", Device());
  whole.step(2);
  const std::string state = whole.snapshot();
  whole.step(3);
  Solver resumed(parameter, "solver", Device(), state);
  resumed.step(3);
  EXPECT_EQ(weights_of(whole), weights_of(resumed));
}

/// One parameter w, loss (w x - t)^2 / 2 with x = t = 1: the steps can be worked out by hand.
SolverParameter one_weight(const std::string& fields) {
  return solver_parameter(fields + R"( net_param {
    layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param {
      shape { dim: 1 dim: 1 } data_filler { value: 1 } } }
    layer { name: 't' type: 'DummyData' top: 't' dummy_data_param {
      shape { dim: 1 dim: 1 } data_filler { value: 1 } } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip' inner_product_param {
      num_output: 1 bias_term: false weight_filler { value: 3 } } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 't' top: 'loss' } })");
}

double weight_after(const SolverParameter& parameter, int steps) {
  Solver solver(parameter, "solver", Device());
  solver.step(steps);
  return solver.net().layers()[2]->blobs()[0]->cpu_data()[0];
}

double weight_after(const std::string& fields, int steps) {
  return weight_after(one_weight(fields), steps);
}

TEST(Solver, TakesTheStepsOfItsRule) {
  // g = w - 1 = 2 at first.
  EXPECT_NEAR(weight_after("base_lr: 0.1", 1), 2.8, 1e-6);
  // v = 0.2, w = 2.8; v = 0.9 * 0.2 + 0.1 * 1.8 = 0.36, w = 2.44
  EXPECT_NEAR(weight_after("base_lr: 0.1 momentum: 0.9", 2), 2.44, 1e-6);
  // v = 0.2, w = 3 - 1.9 * 0.2 = 2.62
  EXPECT_NEAR(weight_after("base_lr: 0.1 momentum: 0.9 type: 'Nesterov'", 1), 2.62, 1e-6);
  EXPECT_NEAR(weight_after("base_lr: 0.1 momentum: 0.9 type: 'Adam'", 1), 2.9, 1e-5);
  // decay adds 0.5 * 3 to the gradient
  EXPECT_NEAR(weight_after("base_lr: 0.1 weight_decay: 0.5", 1), 2.65, 1e-6);
  EXPECT_NEAR(weight_after("base_lr: 0.1 weight_decay: 0.5 regularization_type: 'L1'", 1), 2.75,
              1e-6);
  EXPECT_NEAR(weight_after("base_lr: 0.1 clip_gradients: 1", 1), 2.9, 1e-6);
  // as in Caffe the sum over the passes is clipped, and then divided: 1 / 2
  EXPECT_NEAR(weight_after("base_lr: 0.1 clip_gradients: 1 iter_size: 2", 1), 2.95, 1e-6);
}

double weight_with_l1(const std::string& fields, int steps) {
  SolverParameter parameter = one_weight(fields);
  parameter.mutable_net_param()->mutable_layer(2)->add_param()->set_l1_decay(0.5f);
  return weight_after(parameter, steps);
}

TEST(Solver, L1DecayPullsTowardsZero) {
  // g = w - 1 + 0.5 kl_weight = 2.5 at first.
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1", 1), 2.75, 1e-6);
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 kl_weight: 2", 1), 2.7, 1e-6);
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 kl_weight: 2 kl_warmup: 2", 1), 2.75, 1e-6);
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 weight_decay: 0.5", 1), 2.6, 1e-6);
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 type: 'Nesterov' momentum: 0.9", 1), 2.525, 1e-6);
  // v = 0.25, w = 2.75; v = 0.9 * 0.25 + 0.1 * 2.25 = 0.45
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 momentum: 0.9", 2), 2.3, 1e-6);
  // Like weight decay it comes after the mean over the passes, and after what clips them.
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 iter_size: 3", 1), 2.75, 1e-6);
  EXPECT_NEAR(weight_with_l1("base_lr: 0.1 clip_gradients: 1", 1), 2.85, 1e-6);
  // w = 3 - 2 * (2 + 0.5) = -2, g = -3 - 0.5, w = 5
  EXPECT_NEAR(weight_with_l1("base_lr: 2", 2), 5, 1e-5);
}

TEST(Solver, LeavesRunningMeansAndVariancesAlone) {
  const std::string rule = "type: 'Adam' base_lr: 0.1 weight_decay: 0.5";
  Solver solver(solver_parameter(rule), "solver", Device());
  solver.step(2);
  const auto& layers = solver.net().layers();
  const auto batch_norm = std::find_if(
      layers.begin(), layers.end(), [](const auto& layer) { return layer->type() == "BatchNorm"; });
  ASSERT_NE(batch_norm, layers.end());
  // After two batches: 1 * 0.999 + 1.
  EXPECT_FLOAT_EQ((*batch_norm)->blobs()[2]->cpu_data()[0], 1.999f);
}

TEST(LearningRate, FollowsCaffesPolicies) {
  const auto rate = [](const std::string& fields, int iteration) {
    SolverParameter parameter;
    parse_prototxt("base_lr: 2 " + fields, "solver", &parameter);
    check_learning_rate(parameter);
    return learning_rate(parameter, iteration);
  };
  EXPECT_NEAR(rate("lr_policy: 'fixed'", 9), 2, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'step' gamma: 0.5 stepsize: 4", 9), 0.5, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'exp' gamma: 0.5", 3), 0.25, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'inv' gamma: 1 power: 2", 1), 0.5, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 5", 5), 0.5, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'poly' power: 2 max_iter: 10", 5), 0.5, 1e-9);
  EXPECT_NEAR(rate("lr_policy: 'sigmoid' gamma: 1 stepsize: 5", 5), 1, 1e-9);
  EXPECT_THROW(rate("lr_policy: 'stepp' gamma: 1", 5), Error);
}

TEST(LearningRate, WarmsUpLinearly) {
  SolverParameter parameter;
  parse_prototxt(
      "base_lr: 2 lr_policy: 'multistep' gamma: 0.1 stepvalue: 20 warmup_iter: 10 "
      "warmup_start_lr: 0.5",
      "solver", &parameter);
  EXPECT_NEAR(learning_rate(parameter, 0), 0.5, 1e-9);
  EXPECT_NEAR(learning_rate(parameter, 4), 1.1, 1e-9);
  EXPECT_NEAR(learning_rate(parameter, 10), 2, 1e-9);
  EXPECT_NEAR(learning_rate(parameter, 20), 0.2, 1e-8);
  parameter.set_warmup_iter(-1);
  EXPECT_THROW(check_learning_rate(parameter), Error);
}

TEST(Solver, RefusesASnapshotOfAnotherNet) {
  const TemporaryFolder folder;
  Solver other(one_weight("snapshot_prefix: '" + (folder / "other") + "'"), "solver", Device());
  const std::string state = other.snapshot();
  const SolverParameter parameter = solver_parameter("");
  EXPECT_NE(error_of([&] {
              Solver(parameter, "solver", Device(), state);
            }).find("snapshot of another net"),
            std::string::npos);
}

TEST(Solver, StopsAtALossThatIsNoNumber) {
  Solver solver(one_weight("base_lr: 1e30"), "solver", Device());
  EXPECT_NE(error_of([&] { solver.step(20); }).find("lower base_lr"), std::string::npos);
}

TEST(Solver, KlWeightGrowsOverTheWarmUp) {
  Solver solver(solver_parameter("kl_weight: 2 kl_warmup: 4"), "solver", Device());
  solver.step(1);
  EXPECT_FLOAT_EQ(solver.net().context().kl_weight, 0.5f);
  solver.step(5);
  EXPECT_FLOAT_EQ(solver.net().context().kl_weight, 2);
}

}  // namespace
}  // namespace vibnet
