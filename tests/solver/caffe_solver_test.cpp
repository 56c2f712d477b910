// The solvers against Caffe's, which wrote tests/data/solver: see the README there.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "support/paths.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

const std::filesystem::path kFolder = source_dir() + "/tests/data/solver";

/// Every run's name: NAME.prototxt is its solver.
std::vector<std::string> runs() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".prototxt" && entry.path().stem() != "net")
      names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class CaffeSolver : public testing::TestWithParam<std::string> {
 protected:
  static std::string file(const std::string& ending) { return kFolder / (GetParam() + ending); }

  static SolverParameter parameter() {
    SolverParameter parameter;
    read_prototxt(file(".prototxt"), &parameter);
    parameter.set_net(kFolder / "net.prototxt");
    parameter.set_snapshot_prefix(kFolder / GetParam());
    return parameter;
  }

  /// Expects the weights that Caffe had after ten steps.
  static void expect_caffes_weights(const Net& net) {
    const NetParameter expected = read_caffemodel(file("_iter_10.caffemodel"));
    for (const LayerParameter& layer : expected.layer()) {
      const auto ours =
          std::find_if(net.layers().begin(), net.layers().end(),
                       [&](const auto& candidate) { return candidate->name() == layer.name(); });
      ASSERT_NE(ours, net.layers().end());
      ASSERT_EQ(static_cast<int>((*ours)->blobs().size()), layer.blobs_size());
      for (int b = 0; b < layer.blobs_size(); ++b) {
        const Blob& blob = *(*ours)->blobs()[b];
        ASSERT_EQ(blob.count(), layer.blobs(b).data_size());
        for (int i = 0; i < blob.count(); ++i) {
          const float weight = layer.blobs(b).data(i);
          EXPECT_NEAR(blob.cpu_data()[i], weight, 1e-6 + 1e-5 * std::fabs(weight))
              << layer.name() << "/" << b << "[" << i << "]";
        }
      }
    }
  }
};

TEST_P(CaffeSolver, ReachesCaffesWeights) {
  Solver solver(parameter(), file(".prototxt"), Device());
  solver.copy_weights(kFolder / "start.caffemodel");
  solver.step(10);
  expect_caffes_weights(solver.net());
}

TEST_P(CaffeSolver, GoesOnFromCaffesSnapshot) {
  Solver solver(parameter(), file(".prototxt"), Device(), file("_iter_5.solverstate"));
  EXPECT_EQ(solver.iteration(), 5);
  solver.step(5);
  expect_caffes_weights(solver.net());
}

INSTANTIATE_TEST_SUITE_P(Runs, CaffeSolver, testing::ValuesIn(runs()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace vibnet
