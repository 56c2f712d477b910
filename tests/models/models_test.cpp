#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "net/cost.h"
#include "solver/learning_rate.h"
#include "support/models.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

class Models : public testing::TestWithParam<PublishedNet> {
 protected:
  NetParameter model(const std::string& file = "train_val.prototxt") const {
    return read_net_prototxt(model_file(GetParam().folder, file));
  }
};

std::int64_t parameters_of(const Net& net) {
  std::int64_t parameters = 0;
  for (const LayerCost& layer : cost_of(net).layers)
    if (layer.type != "BatchNorm" && layer.type != "InformationBottleneck")
      parameters += layer.parameters;
  return parameters;
}

/// The net with random pictures of this shape and labels 0 in place of its data layers.
NetParameter with_random_data(const NetParameter& model, const Shape& input) {
  NetParameter net = model;
  net.clear_layer();
  LayerParameter* data = net.add_layer();
  data->set_name("data");
  data->set_type("DummyData");
  data->add_top("data");
  data->add_top("label");
  DummyDataParameter* dummy = data->mutable_dummy_data_param();
  BlobShape* shape = dummy->add_shape();
  for (const int dimension : input) shape->add_dim(dimension);
  dummy->add_shape()->add_dim(input[0]);
  dummy->add_data_filler()->set_type("gaussian");
  dummy->add_data_filler()->set_type("constant");
  for (const LayerParameter& layer : model.layer())
    if (layer.type() != "Data") *net.add_layer() = layer;
  return net;
}

NetOptions training() {
  NetOptions options;
  options.phase = TRAIN;
  return options;
}

bool is_finite(float value) { return std::isfinite(value); }
bool is_not_zero(float value) { return value != 0; }

TEST_P(Models, AreWhatIsPublished) {
  const PublishedNet& published = GetParam();
  const Net net(make_deploy(model(), {{"data", published.input}}), NetOptions());
  ASSERT_EQ(net.output_names().size(), 1);
  const Blob& output = *net.blob(net.output_names()[0]);
  EXPECT_EQ(output.shape(0), 1);
  EXPECT_EQ(output.shape(1), published.classes);
  EXPECT_EQ(output.count(), published.classes);
  EXPECT_EQ(parameters_of(net), published.parameters);
  EXPECT_NEAR(cost_of(net).flops / 2e6, published.mega_multiply_adds,
              0.02 * published.mega_multiply_adds);
}

TEST_P(Models, LearnAtBatch1) {
  Net net(with_random_data(model(), GetParam().input), training());
  EXPECT_TRUE(std::isfinite(net.forward()));
  net.backward();
  for (const Net::Parameter& parameter : net.parameters()) {
    const float* begin = parameter.blob->cpu_diff();
    const float* end = begin + parameter.blob->count();
    EXPECT_TRUE(std::all_of(begin, end, is_finite)) << parameter.name;
    // A bias in front of a BatchNorm has no gradient.
    const bool has_gradient = parameter.blob->axes() == 1 || std::any_of(begin, end, is_not_zero);
    EXPECT_TRUE(has_gradient) << parameter.name;
  }
}

TEST_P(Models, HaveSolvers) {
  const std::string folder = model_file(GetParam().folder, "");
  int solvers = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().filename().string().find("solver.prototxt") == std::string::npos) continue;
    SolverParameter solver;
    read_prototxt(file.path().string(), &solver);
    EXPECT_NO_THROW(check_learning_rate(solver)) << file.path();
    EXPECT_GT(solver.max_iter(), 0) << file.path();
    // The small nets that fine-tuning reads are vibnet-compress's.
    ++solvers;
    if (solver.net() == "small.prototxt") continue;
    EXPECT_NO_THROW(model(solver.net())) << file.path();
  }
  EXPECT_GE(solvers, 1);
}

INSTANTIATE_TEST_SUITE_P(All, Models, testing::ValuesIn(published_nets()),
                         [](const auto& info) { return test_name(info.param); });

TEST(ModelsFolder, IsAllInTheTable) {
  for (const auto& entry : std::filesystem::directory_iterator(model_file("", ""))) {
    if (!entry.is_directory()) continue;
    const std::string folder = entry.path().filename().string();
    EXPECT_TRUE(std::any_of(published_nets().begin(), published_nets().end(),
                            [&](const PublishedNet& net) { return net.folder == folder; }))
        << folder;
  }
}

TEST(GoogLeNet, HasAuxiliaryHeadsInTraining) {
  const NetParameter model = read_net_prototxt(model_file("googlenet", "train_val.prototxt"));
  const Net net(with_random_data(model, {1, 3, 224, 224}), training());
  EXPECT_EQ(parameters_of(net), 13378280);
  EXPECT_EQ(net.output_names().size(), 3);
}

TEST(Vgg16Cifar10, StartsFromThePlainNet) {
  const Shape input = {1, 3, 32, 32};
  const NetParameter plain = read_net_prototxt(model_file("vgg16_cifar10", "plain.prototxt"));
  const NetParameter model = read_net_prototxt(model_file("vgg16_cifar10", "train_val.prototxt"));
  Net net(make_deploy(model, {{"data", input}}), NetOptions());
  EXPECT_NO_THROW(net.copy_weights(
      Net(make_deploy(plain, {{"data", input}}), NetOptions()).to_proto(), "plain", Missing::KEEP));
  NetParameter stripped = without_bottlenecks(model);
  stripped.set_name(plain.name());
  EXPECT_EQ(to_prototxt(stripped), to_prototxt(plain));
}

}  // namespace
}  // namespace vibnet
