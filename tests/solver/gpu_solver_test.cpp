#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "core/gpu_runtime.h"
#include "layers/gate_layer.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "support/write_lmdb.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

const Device kGpu{DeviceType::GPU, 0};

/// Records of 2 x 8 x 8 bytes with five labels, cropped and mirrored; a net with noise of each
/// kind.
class GpuSolverTest : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
    std::vector<Datum> datums;
    for (int i = 0; i < 30; ++i) {
      std::string bytes(2 * 8 * 8, '\0');
      for (std::size_t b = 0; b < bytes.size(); ++b)
        bytes[b] = static_cast<char>((i * 37 + static_cast<int>(b) * (3 + i % 5)) % 256);
      datums.push_back(make_datum(2, 8, 8, bytes, i % 5));
    }
    write_lmdb(folder_ / "records", datums);
  }

  SolverParameter parameter(const std::string& fields) const {
    SolverParameter parameter;
    parse_prototxt(
        "lr_policy: 'fixed' max_iter: 20 random_seed: 3 average_loss: 3 base_lr: 0.01 " + fields,
        "solver", &parameter);
    parameter.set_snapshot_prefix(folder_ / "run");
    parse_prototxt(R"(
      layer { name: 'data' type: 'Data' top: 'data' top: 'label'
        transform_param { crop_size: 7 mirror: true scale: 0.01 mean_value: 128 }
        data_param { source: ')" +
                       folder_ / "records" + R"(' batch_size: 6 backend: LMDB } }
      layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
        num_output: 6 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: 'msra' } } }
      layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }
      layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }
      layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'conv' top: 'ib1'
        information_bottleneck_param { gamma: 0.001 } }
      layer { name: 'pool' type: 'Pooling' bottom: 'ib1' top: 'pool'
        pooling_param { kernel_size: 3 stride: 2 } }
      layer { name: 'ip1' type: 'InnerProduct' bottom: 'pool' top: 'ip1' inner_product_param {
        num_output: 20 weight_filler { type: 'xavier' } } }
      layer { name: 'l0' type: 'HardConcrete' bottom: 'ip1' top: 'l0'
        hard_concrete_param { gamma: 0.001 } }
      layer { name: 'drop' type: 'Dropout' bottom: 'l0' top: 'l0' }
      layer { name: 'ip2' type: 'InnerProduct' bottom: 'l0' top: 'ip2' inner_product_param {
        num_output: 5 weight_filler { type: 'xavier' } } }
      layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' })",
                   "net", parameter.mutable_net_param());
    return parameter;
  }

  TemporaryFolder folder_;
};

/// What is shown of each iteration.
class Shown : public SolverObserver {
 public:
  void on_step(const TrainingStep& step) override {
    losses.push_back(step.loss);
    kls.push_back(step.kl);
  }
  std::vector<double> losses;
  std::vector<double> kls;
};

void expect_near(const std::vector<double>& expected, const std::vector<double>& found) {
  ASSERT_EQ(expected.size(), found.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(expected[i], found[i], 1e-4 * (1 + std::fabs(expected[i]))) << "value " << i;
}

/// What is kept of a gate's last forward must not be taken for that of the parameters since.
void expect_same_kls(const Solver& expected, const Solver& found) {
  for (std::size_t gate = 0; gate < expected.net().gates().size(); ++gate) {
    const double kl = expected.net().gates()[gate]->kl();
    EXPECT_NEAR(kl, found.net().gates()[gate]->kl(), 1e-4 * (1 + std::fabs(kl)));
  }
}

void expect_same_weights(const Solver& expected, const Solver& found) {
  const NetParameter expected_net = expected.net().to_proto();
  const NetParameter found_net = found.net().to_proto();
  for (int i = 0; i < expected_net.layer_size(); ++i)
    for (int b = 0; b < expected_net.layer(i).blobs_size(); ++b) {
      const auto& values = expected_net.layer(i).blobs(b).data();
      const auto& others = found_net.layer(i).blobs(b).data();
      for (int v = 0; v < values.size(); ++v)
        ASSERT_NEAR(values[v], others[v], 2e-4 * (1 + std::fabs(values[v])))
            << expected_net.layer(i).name() << ", blob " << b << ", value " << v;
    }
}

TEST_F(GpuSolverTest, EachRuleTakesTheCpusSteps) {
  for (const char* fields :
       {"type: 'SGD' momentum: 0.9 weight_decay: 0.01",
        "type: 'Nesterov' momentum: 0.9 iter_size: 3 clip_gradients: 1",
        "type: 'Adam' momentum: 0.9 kl_warmup: 10 regularization_type: 'L1' weight_decay: 0.001 "
        "delta: 1e-3",
        "type: 'AdaGrad' weight_decay: 0.01 warmup_iter: 8 delta: 1e-3",
        "type: 'RMSProp' rms_decay: 0.9 iter_size: 2 delta: 1e-3",
        "type: 'AdaDelta' momentum: 0.95 delta: 1e-3",
        "type: 'AdamW' momentum: 0.9 weight_decay: 0.1 delta: 1e-3"}) {
    SCOPED_TRACE(fields);
    const SolverParameter run = parameter(std::string(fields) + " display: 1");
    Solver cpu(run, "solver", Device());
    Solver gpu(run, "solver", kGpu);
    Shown on_cpu, on_gpu;
    cpu.set_observer(&on_cpu);
    gpu.set_observer(&on_gpu);
    cpu.step(6);
    gpu.step(6);
    expect_near(on_cpu.losses, on_gpu.losses);
    expect_near(on_cpu.kls, on_gpu.kls);
    expect_same_weights(cpu, gpu);
  }
}

/// The scores are the loss.
SolverParameter without_labels(SolverParameter run) {
  auto* layers = run.mutable_net_param()->mutable_layer();
  layers->RemoveLast();
  layers->rbegin()->add_loss_weight(0.001f);
  return run;
}

/// No layer waits for the device here, and so the passes are recorded as graphs; the updates with
/// them, but where the iteration is shown.
TEST_F(GpuSolverTest, RecordedPassesTakeTheCpusSteps) {
  for (const char* fields :
       {"display: 1 type: 'SGD' momentum: 0.9 kl_warmup: 5",
        "display: 4 type: 'SGD' momentum: 0.9 warmup_iter: 12 clip_gradients: 0.1",
        "display: 1 type: 'Adam' momentum: 0.9 iter_size: 2 delta: 1e-3",
        "display: 3 type: 'Adam' momentum: 0.9 iter_size: 3 delta: 1e-3 kl_warmup: 8 "
        "regularization_type: 'L1' weight_decay: 0.001",
        "display: 5 type: 'AdamW' momentum: 0.9 weight_decay: 0.1 delta: 1e-3 warmup_iter: 20",
        "display: 1 type: 'SGD' compact_interval: 3 compact_patience: 1"}) {
    SCOPED_TRACE(fields);
    const SolverParameter run = without_labels(parameter(fields));
    Solver cpu(run, "solver", Device());
    Solver gpu(run, "solver", kGpu);
    Shown on_cpu, on_gpu;
    cpu.set_observer(&on_cpu);
    gpu.set_observer(&on_gpu);
    for (Solver* solver : {&cpu, &gpu}) {
      std::fill_n(solver->net().layer("ib1")->blobs()[1]->mutable_cpu_data(), 2, 5.0f);
      solver->step(12);
    }
    expect_near(on_cpu.losses, on_gpu.losses);
    expect_near(on_cpu.kls, on_gpu.kls);
    expect_same_kls(cpu, gpu);
    expect_same_weights(cpu, gpu);
  }
}

TEST_F(GpuSolverTest, ASnapshotMovesBetweenTheDevices) {
  const SolverParameter run = parameter("type: 'SGD' momentum: 0.9");
  Solver whole(run, "solver", Device());
  whole.step(9);
  Solver first(run, "solver", kGpu);
  first.step(3);
  Solver second(run, "solver", Device(), first.snapshot());
  second.step(3);
  Solver third(run, "solver", kGpu, second.snapshot());
  third.step(3);
  expect_same_weights(whole, third);
}

TEST_F(GpuSolverTest, TwoRunsAreOneBitForBit) {
  gpu_math().deterministic = true;
  const SolverParameter run = parameter("type: 'Adam' momentum: 0.9 clip_gradients: 0.5");
  Solver first(run, "solver", kGpu);
  Solver second(run, "solver", kGpu);
  first.step(5);
  second.step(5);
  gpu_math().deterministic = false;
  EXPECT_EQ(first.net().to_proto().SerializeAsString(),
            second.net().to_proto().SerializeAsString());
}

TEST_F(GpuSolverTest, ALossThatIsNotFiniteEndsTheRunAtMostAnIterationLater) {
  SolverParameter run = parameter("type: 'SGD'");
  Solver solver(run, "solver", kGpu);
  solver.step(2);
  Blob& mu = *solver.net().layer("ib1")->blobs()[0];
  mu.mutable_cpu_data()[0] = std::numeric_limits<float>::quiet_NaN();
  const std::string error = error_of([&] { solver.step(2); });
  EXPECT_NE(error.find("iteration 2: the loss is "), std::string::npos) << error;
}

/// Counts the times that this thread waits for its GPU, has memory zeroed and sets a mark.
class CountingRuntime : public GpuRuntime {
 public:
  CountingRuntime() : counted_(gpu_runtime()) { register_gpu_runtime(this); }
  ~CountingRuntime() override { register_gpu_runtime(counted_); }
  int waits() const { return waits_; }
  int fills() const { return fills_; }
  int marks() const { return marks_; }

  int device_count() override { return counted_->device_count(); }
  std::string why_none() override { return counted_->why_none(); }
  void use(int index) override { counted_->use(index); }
  double number_of(int index) override { return counted_->number_of(index); }
  void* allocate(std::size_t bytes) override { return counted_->allocate(bytes); }
  void release(void* pointer) override { counted_->release(pointer); }
  void* allocate_pinned(std::size_t bytes) override { return counted_->allocate_pinned(bytes); }
  void release_pinned(void* pointer) override { counted_->release_pinned(pointer); }
  void fill_zero(void* pointer, std::size_t bytes) override {
    fills_ += std::this_thread::get_id() == thread_;
    counted_->fill_zero(pointer, bytes);
  }
  void copy_to_device(void* device, const void* host, std::size_t bytes) override {
    count();
    counted_->copy_to_device(device, host, bytes);
  }
  void copy_to_host(void* host, const void* device, std::size_t bytes) override {
    count();
    counted_->copy_to_host(host, device, bytes);
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    counted_->copy_on_device(to, from, bytes);
  }
  void set_mark(std::shared_ptr<void>* mark) override {
    marks_ += std::this_thread::get_id() == thread_;
    counted_->set_mark(mark);
  }
  void wait_for(const void* mark) override { counted_->wait_for(mark); }
  void synchronize() override {
    count();
    counted_->synchronize();
  }

 private:
  void count() { waits_ += std::this_thread::get_id() == thread_; }

  GpuRuntime* counted_;
  std::thread::id thread_ = std::this_thread::get_id();
  int waits_ = 0;
  int fills_ = 0;
  int marks_ = 0;
};

/// The host has a memory zeroed in each pass that it runs: Crop's backward asks for it.
SolverParameter with_crop(SolverParameter run) {
  LayerParameter* crop = run.mutable_net_param()->mutable_layer(5);
  crop->set_type("Crop");
  crop->add_bottom("data");
  crop->mutable_crop_param()->set_axis(1);
  return run;
}

TEST_F(GpuSolverTest, PassesAreRecordedOnceUntilTheyChange) {
  for (const char* fields :
       {"type: 'SGD' momentum: 0.9 kl_warmup: 30", "type: 'SGD' iter_size: 2"}) {
    SCOPED_TRACE(fields);
    const SolverParameter run = with_crop(without_labels(parameter(fields)));
    Solver cpu(run, "solver", Device());
    Solver gpu(run, "solver", kGpu);
    const auto press_and_step = [](Solver* solver, float factor, int steps) {
      solver->net().gates()[0]->set_cost_factor(factor);
      solver->step(steps);
    };
    const auto fills_of = [&](float factor, int steps) {
      press_and_step(&cpu, factor, steps);
      const CountingRuntime runtime;
      press_and_step(&gpu, factor, steps);
      return runtime.fills();
    };
    EXPECT_GT(fills_of(1, 4), 0);
    EXPECT_EQ(fills_of(1, 2), 0);
    EXPECT_GT(fills_of(2, 1), 0);
    EXPECT_EQ(fills_of(2, 2), 0);
    for (Solver* solver : {&cpu, &gpu})
      solver->net().layer("ib1")->blobs()[0]->mutable_cpu_data()[0] += 0.01f;
    EXPECT_EQ(fills_of(2, 2), 0);
    expect_same_weights(cpu, gpu);
  }
}

/// Of a run as short as this, steering moves the pressure in each iteration.
TEST_F(GpuSolverTest, PassesAreRecordedThoughTheyAreSteeredInBetween) {
  SolverParameter run = parameter("type: 'SGD' momentum: 0.9 target { weights: 0.9 }");
  run.set_max_iter(40);
  Solver cpu(with_crop(run), "solver", Device());
  Solver gpu(with_crop(run), "solver", kGpu);
  cpu.step(20);
  gpu.step(10);
  const CountingRuntime runtime;
  gpu.step(10);
  EXPECT_EQ(runtime.fills(), 0);
  expect_same_weights(cpu, gpu);
}

TEST_F(GpuSolverTest, ASettledTargetTakesTheCpusStepsAndDoesNotWait) {
  SolverParameter run = parameter("type: 'SGD' momentum: 0.9 target { flops: 0.6 }");
  run.set_max_iter(40);
  Solver cpu(run, "solver", Device());
  Solver gpu(run, "solver", kGpu);
  constexpr int kSettled = 30;  // as it is at 70 % of the run
  for (Solver* solver : {&cpu, &gpu}) solver->step(kSettled);
  const std::vector<bool> kept = gpu.net().gates()[0]->kept();
  EXPECT_LT(std::count(kept.begin(), kept.end(), true), 6);
  {
    const CountingRuntime runtime;
    gpu.step(8);
    EXPECT_EQ(runtime.waits(), 0);
  }
  cpu.step(8);
  EXPECT_EQ(gpu.net().gates()[0]->kept(), kept);
  expect_same_weights(cpu, gpu);
}

/// Else batches would be overwritten while the GPU still reads them.
TEST_F(GpuSolverTest, NetsThatSteeringMakesOnTheCpuLeaveTheThreadItsGpu) {
  Solver solver(parameter("type: 'SGD' kl_cost: FLOPS iter_size: 4"), "solver", kGpu);
  solver.step(2);
  EXPECT_TRUE(thread_uses_gpu());
}

/// Behind each batch, and behind the loss.
TEST_F(GpuSolverTest, SaysWhereABatchIsReadThoughTheThreadMadeANetOnTheCpu) {
  Solver gpu(parameter("type: 'SGD' iter_size: 2"), "solver", kGpu);
  const Solver cpu(parameter("type: 'SGD'"), "solver", Device());
  EXPECT_FALSE(thread_uses_gpu());
  const CountingRuntime runtime;
  gpu.step(1);
  EXPECT_EQ(runtime.marks(), 3);
}

TEST_F(GpuSolverTest, GoesOnWithACompactedNet) {
  const SolverParameter run = parameter("type: 'SGD' compact_interval: 2 compact_patience: 1");
  Solver cpu(run, "solver", Device());
  Solver gpu(run, "solver", kGpu);
  for (Solver* solver : {&cpu, &gpu}) {
    Blob& log_sigma2 = *solver->net().layer("ib1")->blobs()[1];
    std::fill_n(log_sigma2.mutable_cpu_data(), 3, 5.0f);
    solver->step(5);
    EXPECT_EQ(solver->net().layer("ib1")->blobs()[0]->count(), 3);
  }
  expect_same_weights(cpu, gpu);
}

}  // namespace
}  // namespace vibnet
