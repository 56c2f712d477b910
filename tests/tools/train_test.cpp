// vibnet-train and vibnet-test as a user runs them: what goes well, and what does not.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/small_disk.h"
#include "support/tool_test.h"
#include "support/write_lmdb.h"

namespace vibnet {
namespace {

const char* const kNet = R"(
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 8 dim: 6 } shape { dim: 8 }
  data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 40 weight_filler { type: "xavier" } } }
layer { name: "ib" type: "InformationBottleneck" bottom: "ip1" top: "ib" }
layer { name: "ip2" type: "InnerProduct" bottom: "ib" top: "ip2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
)";

const char* const kSolver = R"(
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 4 random_seed: 1
test_iter: 2 test_interval: 4 display: 1 snapshot_prefix: "run" type: "Adam"
)";

class TrainTool : public ToolTest {
 protected:
  void SetUp() override {
    write("net.prototxt", kNet);
    write("solver.prototxt", kSolver);
  }

  ToolResult train(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--solver", "solver.prototxt"});
    return run("vibnet-train", more);
  }
};

TEST_F(TrainTool, TrainsSnapshotsTestsAndDraws) {
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  for (const char* file : {"run_iter_4.caffemodel", "run_iter_4.solverstate", "log.jsonl",
                           "curves.svg", "kept_units.svg"})
    EXPECT_TRUE(exists(file)) << file;
  EXPECT_NE(result.errors.find("Test net output #0: loss = "), std::string::npos);
  const ToolResult tested = run("vibnet-test", {"--model", "net.prototxt", "--weights",
                                                "run_iter_4.caffemodel", "--iterations", "3"});
  EXPECT_EQ(tested.exit_code, 0) << tested.errors;
  EXPECT_EQ(tested.output.rfind("loss = ", 0), 0u) << tested.output;
}

TEST_F(TrainTool, ResumesToTheSameBytes) {
  EXPECT_EQ(train({"--set", "max_iter=6"}).exit_code, 0);
  const std::string whole = read("run_iter_6.caffemodel");
  std::filesystem::remove(folder_ / "run_iter_6.caffemodel");
  EXPECT_EQ(train({"--set", "snapshot=3"}).exit_code, 0);
  EXPECT_EQ(train({"--set", "max_iter=6", "--resume", "run_iter_3.solverstate"}).exit_code, 0);
  EXPECT_EQ(read("run_iter_6.caffemodel"), whole);
}

TEST_F(TrainTool, SaysThatAFinishedRunHasNothingLeftToTrain) {
  EXPECT_EQ(train().exit_code, 0);
  const auto written = std::filesystem::last_write_time(folder_ / "run_iter_4.caffemodel");
  const ToolResult result = train({"--resume", "run_iter_4.solverstate"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.errors.find("Iteration 4 is not before the max_iter of 4: nothing is left"),
            std::string::npos)
      << result.errors;
  EXPECT_EQ(std::filesystem::last_write_time(folder_ / "run_iter_4.caffemodel"), written);
}

/// The numbers that the pattern's first group matches, from the first on.
std::vector<double> numbers_of(const std::regex& pattern, const std::string& text) {
  std::vector<double> numbers;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at)
    numbers.push_back(std::stod((*at)[1]));
  return numbers;
}

TEST_F(TrainTool, ShowsTheRateOfTheLatestSteps) {
  const std::string net = kNet;
  write("net.prototxt",
        "layer { name: 'data' type: 'Data' top: 'data' top: 'label' "
        "data_param { source: 'train.lmdb' backend: LMDB batch_size: 8 } }" +
            net.substr(net.find("layer { name: \"ip1\"")));
  write_lmdb(folder_ / "train.lmdb", std::vector<Datum>(8, make_datum(1, 2, 3, "abcdef", 1)));
  const ToolResult result = train({"--set", "max_iter=14"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const std::vector<double> seconds =
      numbers_of(std::regex("\"seconds\": ([0-9.e+-]+)"), read("log.jsonl"));
  const std::vector<double> rates = numbers_of(std::regex("([0-9]+) images/s"), result.errors);
  ASSERT_EQ(seconds.size(), 14u) << result.errors;
  ASSERT_EQ(rates.size(), 13u) << result.errors;
  for (int line = 1; line < 14; ++line) {
    const int first = std::max(0, line - 10);
    const double images = 8.0 * (line - first);
    const double taken = seconds[line] - seconds[first];
    EXPECT_NEAR(rates[line - 1] * taken, images, 0.01 * images + 0.5 * taken) << line;
  }
}

/// A log's steps and tests: without snapshots and times, which may differ.
std::string without_times(const std::string& log) {
  std::istringstream lines(log);
  std::string kept;
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"snapshot\"") == std::string::npos)
      kept += line.substr(0, line.find(", \"seconds\"")) + "\n";
  return kept;
}

TEST_F(TrainTool, TheLogOfAResumedRunIsThatOfTheWholeOne) {
  EXPECT_EQ(
      train({"--set", "max_iter=8", "--set", "average_loss=3", "--log_dir", "whole"}).exit_code, 0);
  EXPECT_EQ(
      train({"--set", "max_iter=6", "--set", "average_loss=3", "--set", "snapshot=4"}).exit_code,
      0);
  EXPECT_EQ(train({"--set", "max_iter=8", "--set", "average_loss=3", "--resume",
                   "run_iter_4.solverstate"})
                .exit_code,
            0);
  EXPECT_EQ(without_times(read("log.jsonl")), without_times(read("whole/log.jsonl")));
  // Its first point is that of iteration 0: the curves of both runs span the same iterations.
  EXPECT_EQ(read("curves.svg"), read("whole/curves.svg"));
}

TEST_F(TrainTool, StartsFromTheSolversWeights) {
  EXPECT_EQ(train().exit_code, 0);
  const std::vector<std::string> from_there = {"--set", "weights=run_iter_4.caffemodel",
                                               "--set", "max_iter=0",
                                               "--set", "snapshot_prefix=copy"};
  EXPECT_EQ(train(from_there).exit_code, 0);
  EXPECT_EQ(read("copy_iter_0.caffemodel"), read("run_iter_4.caffemodel"));
  expect_error(train({"--set", "weights=nothing"}), "nothing: cannot be read");
}

TEST_F(TrainTool, SnapshotsOnSignalsAsIfItHadRunThatFar) {
  const std::vector<std::string> endless = {
      "--solver", "solver.prototxt", "--set", "max_iter=1000000000", "--set", "display=100"};
  RunningTool training("vibnet-train", endless, folder_.path().string());
  ASSERT_TRUE(training.says("Iteration 200,"));
  training.signal(SIGHUP);
  ASSERT_TRUE(training.says("Snapshot run_iter_"));
  training.signal(SIGINT);
  const ToolResult stopped = training.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.errors;

  const std::size_t last = stopped.errors.rfind("Snapshot run_iter_") + 18;
  const std::string iterations = stopped.errors.substr(last, stopped.errors.find('.', last) - last);
  const std::string snapshot = "run_iter_" + iterations;
  const std::string weights = read(snapshot + ".caffemodel");
  const std::string state = read(snapshot + ".solverstate");
  EXPECT_EQ(train({"--set", "max_iter=" + iterations}).exit_code, 0);
  EXPECT_EQ(read(snapshot + ".caffemodel"), weights);
  EXPECT_EQ(read(snapshot + ".solverstate"), state);
}

TEST_F(TrainTool, StopsOnSigtermToo) {
  RunningTool training("vibnet-train",
                       {"--solver", "solver.prototxt", "--set", "max_iter=1000000000"},
                       folder_.path().string());
  ASSERT_TRUE(training.says("Iteration 3,"));
  training.signal(SIGTERM);
  const ToolResult stopped = training.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.errors;
  EXPECT_NE(stopped.errors.find("Snapshot run_iter_"), std::string::npos);
}

TEST_F(TrainTool, StopsInTheMiddleOfATest) {
  RunningTool training("vibnet-train",
                       {"--solver", "solver.prototxt", "--set", "test_iter=1000000000"},
                       folder_.path().string());
  while (!exists("log.jsonl")) std::this_thread::yield();
  training.signal(SIGHUP);
  ASSERT_TRUE(training.says("Snapshot run_iter_0.caffemodel"));
  training.signal(SIGINT);
  const ToolResult stopped = training.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.errors;
  EXPECT_EQ(stopped.errors.find("Test net output"), std::string::npos) << "half a test is none";
}

TEST_F(TrainTool, WithoutAPrefixSnapshotsAreNamedAfterTheSolver) {
  EXPECT_EQ(train({"--set", "snapshot_prefix="}).exit_code, 0);
  EXPECT_TRUE(exists("solver_iter_4.caffemodel"));
  std::filesystem::create_directory(folder_ / "snapshots");
  EXPECT_EQ(train({"--set", "snapshot_prefix=snapshots"}).exit_code, 0);
  EXPECT_TRUE(exists("snapshots/solver_iter_4.caffemodel"));
}

TEST_F(TrainTool, AFolderThatCannotBeWrittenIsSaidBeforeTheTraining) {
  write("file", "");
  const ToolResult result = train({"--set", "snapshot_prefix=file/run", "--log_dir", "."});
  expect_error(result, "snapshot_prefix 'file/run': folder file cannot be written");
  EXPECT_EQ(result.errors.find("Iteration 0"), std::string::npos);
}

TEST_F(TrainTool, WrongFlagsExitWithTwo) {
  EXPECT_EQ(run("vibnet-train", {"--nothing"}).exit_code, 2);
  expect_error(run("vibnet-train", {}), "--solver is missing", 2);
  expect_error(train({"--set", "base_lrr=1"}), "did you mean base_lr", 2);
  expect_error(train({"--set", "base_lr=fast"}), "Expected double", 2);
  expect_error(train({"--set", "target.flops=abc"}), "--set target.flops=abc: Expected double", 2);
  expect_error(train({"--set", "kl_cost=flops"}), "it takes UNITS, WEIGHTS or FLOPS", 2);
  expect_error(train({"more"}), "knows no argument 'more'", 2);
  EXPECT_EQ(run("vibnet-train", {"--help"}).exit_code, 0);
}

TEST_F(TrainTool, BadSolvers) {
  expect_error(run("vibnet-train", {"--solver", "no"}), "no: cannot be read");
  write("solver.prototxt", "");
  expect_error(train(), "solver.prototxt: is empty");
  write("solver.prototxt", std::string("net: \0", 6));
  expect_error(train(), "solver.prototxt: is binary");
  write("solver.prototxt", "net: \"net.prototxt\"\nbase_lr: fast\n");
  expect_error(train(), "solver.prototxt:2:10: ");
  write("solver.prototxt", "net: \"net.prototxt\"\nbase_rate: 1\n");
  expect_error(train(), "solver.prototxt:2:10: ");
  write("solver.prototxt", "net: \"net.prototxt");
  expect_error(train(), "solver.prototxt:1:");
  write("solver.prototxt", std::string(kSolver) + "lr_mult: 1");
  expect_error(train(), "no field named \"lr_mult\"");
  write("solver.prototxt", "base_lr: 1 lr_policy: \"fixed\" net: \"net.prototxt\" test_iter: 0");
  expect_error(train(), "test_iter");
  write("solver.prototxt", kSolver);
  expect_error(train({"--set", "lr_policy=slow"}), "lr_policy 'slow' is not known");
  expect_error(train({"--set", "type=Adamm"}), "did you mean Adam");
  expect_error(train({"--set", "net=gone.prototxt"}), "gone.prototxt: cannot be read");
  expect_error(train({"--set", "clip_gradients=nan"}), "clip_gradients is nan");
  expect_error(train({"--set", "type=SGD", "--set", "momentum=1.5"}), "momentum: 1.5");
  write("solver.prototxt", "lr_policy: \"fixed\" net: \"net.prototxt\"");
  expect_error(train(), "base_lr is missing");
}

TEST_F(TrainTool, BadNets) {
  const auto with = [&](const std::string& layer) {
    write("net.prototxt", std::string(kNet) + layer);
    return train();
  };
  write("net.prototxt", "");
  expect_error(train(), "net.prototxt: is empty");
  write("net.prototxt", "name: \"nothing\"");
  expect_error(train(), "net.prototxt: holds no layers");
  expect_error(with("layer { name: \"x\" typ: \"ReLU\" }"), "no field named \"typ\"");
  expect_error(with("layer { name: \"x\" type: \"Relu\" bottom: \"ip2\" top: \"x\" }"),
               "layer 'x': type 'Relu' is not known; did you mean ReLU");
  expect_error(with("layer { name: \"x\" type: \"ReLU\" bottom: \"gone\" top: \"x\" }"),
               "layer 'x' (ReLU): bottom 'gone' is made by no layer");
  expect_error(with("layer { name: \"x\" type: \"ReLU\" bottom: \"y\" top: \"x\" }"
                    "layer { name: \"y\" type: \"ReLU\" bottom: \"x\" top: \"y\" }"),
               "a cycle, or the wrong order");
  expect_error(with("layer { name: \"x\" type: \"EuclideanLoss\" bottom: \"ip2\" bottom: \"label\" "
                    "top: \"x\" }"),
               "layer 'x' (EuclideanLoss): needs two bottoms of one size");
  std::string net = kNet;
  net.replace(net.find("value: 1"), 8, "value: 3");
  write("net.prototxt", net);
  expect_error(train(), "label 3 of row 0 is not one of the classes 0 to 2");
}

TEST_F(TrainTool, BadSnapshots) {
  ASSERT_EQ(train().exit_code, 0);
  const std::string state = read("run_iter_4.solverstate");
  const std::string weights = read("run_iter_4.caffemodel");
  const auto test = [&] {
    return run("vibnet-test", {"--model", "net.prototxt", "--weights", "bad"});
  };
  const std::string noise = "\xff\xfe random bytes \x01\x02\x03\x9c";
  expect_error(test(), "bad: cannot be read");
  expect_error(train({"--resume", "bad"}), "bad: cannot be read");
  for (const std::string& bytes : {std::string(), noise, weights.substr(0, weights.size() / 2),
                                   state.substr(0, state.size() / 2)}) {
    write("bad", bytes);
    expect_error(test(), "bad: ");
    expect_error(train({"--resume", "bad"}), "bad: ");
  }
  std::string net = kNet;
  net.replace(net.find("num_output: 40"), 14, "num_output: 41");
  write("net.prototxt", net);
  expect_error(train({"--resume", "run_iter_4.solverstate"}), "snapshot of another net");
  write("bad", weights);
  expect_error(test(), "layer 'ip1' blob 0 is 40x6 (240), and 41x6 (246) is needed");
}

TEST_F(TrainTool, AFullDiskLeavesTheOldSnapshotWhole) {
  const SmallDisk disk(folder_ / "disk", "32k");
  if (!disk.is_mounted()) GTEST_SKIP() << "a tmpfs cannot be mounted here";
  const std::vector<std::string> onto_disk = {"--set", "snapshot_prefix=disk/run", "--log_dir",
                                              "."};
  ASSERT_EQ(train(onto_disk).exit_code, 0);
  const std::string weights = read("disk/run_iter_4.caffemodel");
  const std::string state = read("disk/run_iter_4.solverstate");
  write("disk/rest", std::string(20 << 10, 'x'));
  std::vector<std::string> another = onto_disk;
  another.insert(another.end(), {"--set", "random_seed=9"});
  expect_error(train(another), "No space left on device");
  EXPECT_EQ(read("disk/run_iter_4.caffemodel"), weights) << "weights and state are of one run";
  EXPECT_EQ(read("disk/run_iter_4.solverstate"), state);
  another.insert(another.end(), {"--set", "max_iter=8"});
  expect_error(train(another), "No space left on device");
  EXPECT_FALSE(exists("disk/run_iter_8.caffemodel"));
  EXPECT_FALSE(exists("disk/run_iter_8.solverstate"));
}

TEST_F(TrainTool, ALogThatCannotBeWrittenEndsNoTraining) {
  const SmallDisk disk(folder_ / "disk", "4k");
  if (!disk.is_mounted()) GTEST_SKIP() << "a tmpfs cannot be mounted here";
  const ToolResult result = train({"--log_dir", "disk"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_TRUE(exists("run_iter_4.caffemodel"));
  EXPECT_NE(result.errors.find("cannot be written"), std::string::npos);
}

}  // namespace
}  // namespace vibnet
