// Training from an LMDB: the order of the records, over passes and over a resumed run.

#include <gtest/gtest.h>
#include <omp.h>

#include <string>

#include "support/temporary_folder.h"
#include "support/write_lmdb.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

class SolverData : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<Datum> datums;
    for (int i = 0; i < 21; ++i) {
      std::string pixels(36, '\0');
      for (int p = 0; p < 36; ++p) pixels[p] = static_cast<char>((i * 37 + p * p * 11) % 251);
      datums.push_back(make_datum(1, 6, 6, pixels, i % 3));
    }
    write_lmdb(folder_ / "train.lmdb", datums);
  }

  SolverParameter parameter(const std::string& data, const std::string& transform,
                            const std::string& solver) const {
    SolverParameter parameter;
    parse_prototxt(
        "base_lr: 0.05 lr_policy: 'fixed' momentum: 0.9 random_seed: 5 " + solver +
            " net_param { layer { name: 'data' type: 'Data' top: 'data' top: 'label' "
            "transform_param { scale: 0.004 " +
            transform + " } data_param { source: '" + (folder_ / "train.lmdb") +
            "' backend: LMDB " + data +
            " } } layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' "
            "convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'xavier' } } } "
            "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' } "
            "layer { name: 'ip' type: 'InnerProduct' bottom: 'conv' top: 'ip' "
            "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } "
            "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: "
            "'loss' } }",
        "solver", &parameter);
    parameter.set_snapshot_prefix(folder_ / "run");
    return parameter;
  }

  TemporaryFolder folder_;
};

TEST_F(SolverData, ManySmallPassesAreOneLargeBatch) {
  Solver large(parameter("batch_size: 6", "", ""), "solver", Device());
  Solver small(parameter("batch_size: 2", "", "iter_size: 3"), "solver", Device());
  large.step(5);
  small.step(5);
  for (std::size_t p = 0; p < large.net().parameters().size(); ++p) {
    const Blob& expected = *large.net().parameters()[p].blob;
    const Blob& found = *small.net().parameters()[p].blob;
    for (int i = 0; i < expected.count(); ++i)
      EXPECT_NEAR(expected.cpu_data()[i], found.cpu_data()[i], 1e-5);
  }
}

TEST_F(SolverData, AResumedRunSeesTheSamePicturesInTheSameOrder) {
  const SolverParameter shuffled =
      parameter("batch_size: 4 shuffle: true", "mirror: true pad: 1 crop_size: 6", "iter_size: 2");
  const int threads = omp_get_max_threads();
  Solver whole(shuffled, "solver", Device());
  whole.step(11);
  omp_set_num_threads(3);
  Solver first(shuffled, "solver", Device());
  first.step(4);
  Solver second(shuffled, "solver", Device(), first.snapshot());
  second.step(7);
  omp_set_num_threads(threads);
  EXPECT_EQ(whole.net().to_proto().SerializeAsString(),
            second.net().to_proto().SerializeAsString());
}

}  // namespace
}  // namespace vibnet
