// vibnet-train under mpirun, as a user runs it: the curves of one rank and more, and how runs end.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/paths.h"
#include "support/small_disk.h"
#include "support/tool_test.h"
#include "support/write_lmdb.h"
#include "vibnet/device.h"

namespace vibnet {
namespace {

constexpr const char* kMpirun = "/usr/bin/mpirun";

const char* const kNet = R"(
layer { name: "data" type: "Data" top: "data" top: "label"
  transform_param { scale: 0.01 mirror: true pad: 1 crop_size: 6 }
  data_param { source: "train.lmdb" backend: LMDB batch_size: 8 shuffle: true } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 12 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ib" type: "InformationBottleneck" bottom: "conv" top: "ib"
  information_bottleneck_param { log_sigma2_filler { type: "uniform" min: -9 max: 4 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "ib" top: "ip1" inner_product_param {
  num_output: 16 weight_filler { type: "xavier" } } }
layer { name: "ib1" type: "InformationBottleneck" bottom: "ip1" top: "ib1"
  information_bottleneck_param { log_sigma2_filler { type: "uniform" min: -9 max: 4 } } }
layer { name: "ip2" type: "InnerProduct" bottom: "ib1" top: "ip2" inner_product_param {
  num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "ip2" top: "ip2"
  dropout_param { dropout_ratio: 0.1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
)";

const char* const kSolver = R"(
net: "net.prototxt" base_lr: 0.002 lr_policy: "fixed" max_iter: 24 random_seed: 1 momentum: 0.9
kl_weight: 0.001 test_iter: 3 test_interval: 8 display: 1 snapshot: 8 snapshot_prefix: "run"
)";

/// What the run logged of each step and test, without the times.
std::vector<std::pair<std::string, double>> values_of(const std::string& log) {
  std::vector<std::pair<std::string, double>> values;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);)
    for (const char* key : {"\"loss\": ", "\"kl\": "}) {
      const std::size_t at = line.find(key);
      if (at == std::string::npos) continue;
      values.emplace_back(line.substr(0, line.find(',')), std::stod(line.substr(at + strlen(key))));
    }
  return values;
}

/// The processes of a run in this folder that mpirun has started; only that rank's if one is named.
std::vector<pid_t> ranks_in(const std::filesystem::path& folder, const std::string& rank = "") {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    std::error_code error;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (std::filesystem::read_symlink(entry.path() / "cwd", error) != folder || error) continue;
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    std::ostringstream environment;
    environment << '\0' << file.rdbuf() << '\0';
    if (environment.str().find('\0' + ("OMPI_COMM_WORLD_RANK=" + rank) +
                               (rank.empty() ? "" : std::string(1, '\0'))) != std::string::npos)
      found.push_back(std::stoi(name));
  }
  return found;
}

class MpiRun : public ToolTest {
 protected:
  void SetUp() override {
    const auto above = std::filesystem::path(tools_dir()).parent_path();
    const bool has_module = std::filesystem::exists(above / "src/libvibnet_mpi.so") ||
                            std::filesystem::exists(above / "lib/libvibnet_mpi.so");  // a bundle
    if (!std::filesystem::exists(kMpirun) || !has_module)
      GTEST_SKIP() << "no mpirun, or a build without MPI";
    write("net.prototxt", kNet);
    write("solver.prototxt", kSolver);
    write_data("train.lmdb", -1);
  }

  /// 24 records, of which one may be of another size than the rest.
  void write_data(const std::string& name, int odd) {
    std::vector<Datum> datums;
    for (int i = 0; i < 24; ++i) {
      std::string pixels(36, '\0');
      for (int p = 0; p < 36; ++p) pixels[p] = static_cast<char>((i * 37 + p * p * 11) % 251);
      datums.push_back(make_datum(1, i == odd ? 4 : 6, i == odd ? 9 : 6, pixels, i % 3));
    }
    write_lmdb(folder_ / name, datums);
  }

  static std::vector<std::string> arguments(int ranks, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--allow-run-as-root",
                                    "--oversubscribe",
                                    "--bind-to",
                                    "none",
                                    "-np",
                                    std::to_string(ranks),
                                    tools_dir() + "/vibnet-train",
                                    "--solver",
                                    "solver.prototxt"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  /// One rank is the tool alone.
  ToolResult train(int ranks, const std::vector<std::string>& more) {
    if (ranks > 1) return run(kMpirun, arguments(ranks, more));
    std::vector<std::string> alone = {"--solver", "solver.prototxt"};
    alone.insert(alone.end(), more.begin(), more.end());
    return run("vibnet-train", alone);
  }

  void expect_the_same_curves(const std::vector<std::string>& settings,
                              const std::vector<int>& counts = {1, 2, 4}) {
    std::vector<std::pair<std::string, double>> alone;
    for (const int ranks : counts) {
      const std::string log = "log" + std::to_string(ranks);
      std::vector<std::string> more = settings;
      more.insert(more.end(), {"--log_dir", log});
      const ToolResult result = train(ranks, more);
      ASSERT_EQ(result.exit_code, 0) << result.errors;
      const auto values = values_of(read(log + "/log.jsonl"));
      if (ranks == 1) alone = values;
      ASSERT_EQ(values.size(), alone.size());
      ASSERT_GE(values.size(), 48u);
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(values[i].first, alone[i].first);
        EXPECT_NEAR(values[i].second, alone[i].second,
                    1e-4 * std::max(1.0, std::fabs(alone[i].second)))
            << ranks << " ranks, " << values[i].first;
      }
    }
  }

  /// Starts a run that would never end, and waits until it says this.
  std::unique_ptr<RunningTool> start_endless(const std::string& says = "Snapshot run_iter_8.",
                                             const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"--set", "max_iter=1000000000", "--set", "display=1000"};
    all.insert(all.end(), more.begin(), more.end());
    auto run = std::make_unique<RunningTool>(kMpirun, arguments(2, all), folder_.path().string());
    EXPECT_TRUE(run->says(says));
    return run;
  }

  void expect_none_left() {
    using namespace std::chrono_literals;
    for (int i = 0; i < 100 && !ranks_in(folder_.path()).empty(); ++i)
      std::this_thread::sleep_for(100ms);
    EXPECT_TRUE(ranks_in(folder_.path()).empty());
  }

  /// From a snapshot of this iteration or a later one.
  void expect_resumes(int least = 8) {
    int last = -1;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      if (entry.path().extension() == ".solverstate")
        last = std::max(last, std::stoi(entry.path().stem().string().substr(9)));
    ASSERT_GE(last, least);
    const std::string state = "run_iter_" + std::to_string(last) + ".solverstate";
    for (const int ranks : {1, 4}) {
      const ToolResult result =
          train(ranks, {"--resume", state, "--set", "max_iter=" + std::to_string(last + 3)});
      EXPECT_EQ(result.exit_code, 0) << result.errors;
    }
  }

  void expect_an_end_without(const std::string& rank, const std::string& device) {
    const auto run = start_endless("Snapshot run_iter_8.", {"--device", device});
    const std::vector<pid_t> killed = ranks_in(folder_.path(), rank);
    ASSERT_EQ(killed.size(), 1u);
    const auto start = std::chrono::steady_clock::now();
    kill(killed[0], SIGKILL);
    const ToolResult result = run->wait();
    EXPECT_LT(seconds_since(start), 10);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.errors.find("vibnet-train: rank " + rank + " has ended, and so does the run"),
              std::string::npos)
        << result.errors;
    expect_none_left();
    expect_resumes();
  }

  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

TEST_F(MpiRun, HasTheCurveOfOneRank) { expect_the_same_curves({}); }

TEST_F(MpiRun, HasTheCurveOfOneRankInPasses) {
  expect_the_same_curves({"--set", "iter_size=2", "--set", "clip_gradients=1", "--set", "type=Adam",
                          "--set", "base_lr=0.003"});
}

TEST_F(MpiRun, CutsLikeOneRank) {
  expect_the_same_curves({"--set", "compact_interval=4", "--set", "target.flops=0.5"});
}

/// Where there are as many GPUs, NCCL sums; else the ranks share one, and the host does.
TEST_F(MpiRun, HasTheCurveOfOneRankOnGpus) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  expect_the_same_curves({"--device", "gpu"}, {1, 2});
  expect_the_same_curves({"--device", "gpu", "--set", "iter_size=2", "--set", "clip_gradients=1"},
                         {1, 2});
}

TEST_F(MpiRun, GoesOnFromASnapshotOfOtherRanks) {
  ASSERT_EQ(train(1, {"--log_dir", "whole"}).exit_code, 0);
  ASSERT_EQ(train(4, {"--set", "max_iter=16", "--set", "snapshot_prefix=four"}).exit_code, 0);
  const ToolResult result = train(2, {"--resume", "four_iter_16.solverstate", "--log_dir", "rest"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const auto whole = values_of(read("whole/log.jsonl"));
  const auto rest = values_of(read("rest/log.jsonl"));
  ASSERT_EQ(rest.size(), 17u);  // losses, KL, and a test
  for (std::size_t i = 0; i < rest.size(); ++i)
    EXPECT_NEAR(rest[i].second, whole[whole.size() - rest.size() + i].second, 1e-4);
}

TEST_F(MpiRun, EndsWhenARankIsKilled) { expect_an_end_without("1", "cpu"); }

TEST_F(MpiRun, EndsWhenTheFirstIsKilled) { expect_an_end_without("0", "cpu"); }

TEST_F(MpiRun, EndsWhenARankOnAGpuIsKilled) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  for (const char* rank : {"1", "0"}) expect_an_end_without(rank, "gpu");
}

TEST_F(MpiRun, EndsWhenMpirunIsKilled) {
  const auto run = start_endless();
  ASSERT_EQ(ranks_in(folder_.path()).size(), 2u);
  run->signal(SIGKILL);
  EXPECT_EQ(run->wait().exit_code, 128 + SIGKILL);
  expect_none_left();
  expect_resumes();
}

/// What the ranks say after that mpirun may or may not pass on.
TEST_F(MpiRun, TakesASnapshotWhenInterrupted) {
  // On a busy machine a second, mpirun's own, may not do; README says how to ask for more. It goes
  // by twice, before SIGTERM too, and mpirun reads no output then: a rank that says much waits.
  setenv("OMPI_MCA_odls_base_sigkill_timeout", "4", 1);
  const auto run = start_endless(
      "Iteration 0, Test net output",
      {"--set", "snapshot=0", "--set", "test_interval=1000000000", "--set", "display=0"});
  unsetenv("OMPI_MCA_odls_base_sigkill_timeout");
  run->signal(SIGINT);
  EXPECT_EQ(run->wait().exit_code, 1);  // mpirun's own
  expect_none_left();
  expect_resumes(0);
}

TEST_F(MpiRun, StopsAllRanksWhenOneIsAsked) {
  const auto run = start_endless();
  const std::vector<pid_t> second = ranks_in(folder_.path(), "1");
  ASSERT_EQ(second.size(), 1u);
  kill(second[0], SIGINT);
  EXPECT_EQ(run->wait().exit_code, 130);
  expect_none_left();
  expect_resumes();
}

TEST_F(MpiRun, EndsWithTheLineOfTheRankThatFails) {
  write_data("train.lmdb2", 5);
  std::filesystem::rename(folder_ / "train.lmdb2", folder_ / "odd.lmdb");
  std::string net = kNet;
  net.replace(net.find("train.lmdb"), 10, "odd.lmdb");
  net.replace(net.find("shuffle: true"), 13, "");
  net.replace(net.find("pad: 1 crop_size: 6"), 19, "");
  write("net.prototxt", net);
  const auto start = std::chrono::steady_clock::now();
  const ToolResult result =
      train(2, {"--set", "test_initialization=false", "--set", "test_interval=0"});
  EXPECT_LT(seconds_since(start), 30);
  EXPECT_EQ(result.exit_code, 1) << result.errors;
  EXPECT_NE(result.errors.find("vibnet-train: layer 'data' (Data): odd.lmdb: record '00000005'"),
            std::string::npos)
      << result.errors;
  expect_none_left();
}

TEST_F(MpiRun, TellsOnceWhatAllRanksFind) {
  std::filesystem::remove(folder_ / "net.prototxt");
  const ToolResult result = train(4, {});
  EXPECT_EQ(result.exit_code, 1) << result.errors;
  const std::string line = "vibnet-train: net.prototxt: ";
  const std::size_t first = result.errors.find(line);
  ASSERT_NE(first, std::string::npos) << result.errors;
  EXPECT_EQ(result.errors.find(line, first + 1), std::string::npos) << result.errors;
}

TEST_F(MpiRun, EndsOnAFullDisk) {
  const SmallDisk disk(folder_ / "disk", "16k");
  if (!disk.is_mounted()) GTEST_SKIP() << "needs root";
  const std::vector<std::string> there = {"--set", "snapshot_prefix=disk/run", "--log_dir", "log"};
  const auto start = std::chrono::steady_clock::now();
  const ToolResult result = train(2, there);
  EXPECT_LT(seconds_since(start), 30);
  EXPECT_EQ(result.exit_code, 1) << result.errors;
  EXPECT_NE(result.errors.find("No space left on device"), std::string::npos) << result.errors;
  expect_none_left();
}

}  // namespace
}  // namespace vibnet
