#include "export/to_onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/trained_net.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A layer that export knows no rule for.
class UnheardOfLayer : public Layer {
 public:
  using Layer::Layer;
  void reshape(const Blobs& bottom, const Blobs& top) override { top[0]->reshape_like(*bottom[0]); }
  void forward(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
};

REGISTER_LAYER(UnheardOf, CPU, UnheardOfLayer);

const char* const kClassifier = R"(
name: "classifier"
layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' include { phase: TRAIN }
  dummy_data_param { shape { dim: 9 dim: 3 dim: 8 dim: 8 } shape { dim: 9 } } }
layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' include { phase: TEST }
  dummy_data_param { shape { dim: 4 dim: 3 dim: 8 dim: 8 } shape { dim: 4 } } }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv'
  convolution_param { num_output: 2 kernel_size: 3 stride: 2 } }
layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }
layer { name: 'drop' type: 'Dropout' bottom: 'conv' top: 'conv' }
layer { name: 'ip' type: 'InnerProduct' bottom: 'conv' top: 'ip'
  inner_product_param { num_output: 5 } }
layer { name: 'accuracy' type: 'Accuracy' bottom: 'ip' bottom: 'label' top: 'accuracy'
  include { phase: TEST } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' }
)";

onnx::ModelProto export_text(const std::string& prototxt, const std::vector<int>& shape = {}) {
  const NetParameter model = net_of(prototxt);
  return to_onnx(model, random_weights(model, 1), "weights", {shape});
}

std::vector<std::string> ops_of(const onnx::ModelProto& model) {
  std::vector<std::string> ops;
  for (const onnx::NodeProto& node : model.graph().node()) ops.push_back(node.op_type());
  return ops;
}

/// "data N 3 8 8"; "?" for a dimension that has neither number nor name.
std::string text_of(const onnx::ValueInfoProto& value) {
  std::string text = value.name();
  for (const auto& dim : value.type().tensor_type().shape().dim())
    text += " " + (dim.has_dim_value()   ? std::to_string(dim.dim_value())
                   : dim.has_dim_param() ? dim.dim_param()
                                         : "?");
  return text;
}

std::vector<std::string> inputs_of(const onnx::ModelProto& model) {
  std::vector<std::string> all;
  for (const auto& value : model.graph().input()) all.push_back(text_of(value));
  return all;
}

std::vector<std::string> outputs_of(const onnx::ModelProto& model) {
  std::vector<std::string> all;
  for (const auto& value : model.graph().output()) all.push_back(text_of(value));
  return all;
}

TEST(ToOnnx, ATrainingPrototxtBecomesWhatIsDeployed) {
  const onnx::ModelProto model = export_text(kClassifier);
  EXPECT_EQ(model.graph().name(), "classifier");
  EXPECT_EQ(model.producer_name(), "vibnet");
  EXPECT_EQ(model.ir_version(), 7);
  ASSERT_EQ(model.opset_import_size(), 1);
  EXPECT_EQ(model.opset_import(0).version(), 13);
  EXPECT_THAT(inputs_of(model), ElementsAre("data N 3 8 8"));
  EXPECT_THAT(outputs_of(model), ElementsAre("prob N 5"));
  EXPECT_THAT(ops_of(model), ElementsAre("Conv", "Relu", "Flatten", "Gemm", "Softmax"));
}

TEST(ToOnnx, WeightsAreStoredUnderTheirLayersNames) {
  const NetParameter net = net_of(kClassifier);
  const NetParameter weights = random_weights(net, 1);
  const onnx::ModelProto model = to_onnx(net, weights, "weights", {});
  ASSERT_EQ(model.graph().initializer_size(), 4);
  const onnx::TensorProto& stored = model.graph().initializer(0);
  EXPECT_EQ(stored.name(), "conv/0");
  EXPECT_THAT(stored.dims(), ElementsAre(2, 3, 3, 3));
  const BlobProto& blob = find_layer(weights, "conv")->blobs(0);
  const std::string bytes(reinterpret_cast<const char*>(blob.data().data()),
                          blob.data_size() * sizeof(float));
  EXPECT_EQ(stored.raw_data(), bytes);
}

TEST(ToOnnx, AStatedInputShapeReplacesTheNets) {
  const onnx::ModelProto model = export_text(kClassifier, {1, 3, 8, 8});
  EXPECT_THAT(inputs_of(model), ElementsAre("data N 3 8 8"));
  EXPECT_THAT(error_of([] {
                export_text(kClassifier, {1, 4, 8, 8});
              }),
              HasSubstr("layer 'conv' blob 0 is 2x3x3x3"));
}

TEST(ToOnnx, NetsThatFixTheBatchKeepIt) {
  const std::string input = input_of({4, 6});
  const auto with = [&](const std::string& layer) {
    return export_text(input + "layer { name: 'l' bottom: 'data' top: 'y' " + layer + " }");
  };
  const onnx::ModelProto open =
      with("type: 'Slice' top: 'z' slice_param { axis: 1 slice_point: 2 }");
  EXPECT_THAT(inputs_of(open), ElementsAre("data N 6"));
  EXPECT_THAT(outputs_of(open), ElementsAre("y N 2", "z N 4"));
  const onnx::ModelProto sliced =
      with("type: 'Slice' top: 'z' slice_param { axis: 0 slice_point: 1 }");
  EXPECT_THAT(inputs_of(sliced), ElementsAre("data 4 6"));
  EXPECT_THAT(outputs_of(sliced), ElementsAre("y 1 6", "z 3 6"));
  const onnx::ModelProto doubled =
      export_text(input +
                  "layer { name: 'l' type: 'Concat' bottom: 'data' bottom: 'data' top: 'y' "
                  "concat_param { axis: 0 } }");
  EXPECT_THAT(outputs_of(doubled), ElementsAre("y ? 6"));
}

TEST(ToOnnx, OutputsHaveTheirBlobsNames) {
  const std::string input = input_of({2, 3});
  EXPECT_THAT(
      outputs_of(export_text(input + "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'y' }"
                                     "layer { name: 'b' type: 'Softmax' bottom: 'y' top: 'z' }"
                                     "layer { name: 'c' type: 'ReLU' bottom: 'y' top: 'x' }"
                                     "layer { name: 'd' type: 'ReLU' bottom: 'x' top: 'x' }")),
      ElementsAre("z N 3", "x N 3"));
  const onnx::ModelProto same =
      export_text(input + "layer { name: 'drop' type: 'Dropout' bottom: 'data' top: 'y' }");
  EXPECT_THAT(ops_of(same), ElementsAre("Identity"));
  EXPECT_THAT(outputs_of(same), ElementsAre("y N 3"));
}

TEST(ToOnnx, ALayerInPlaceMayChangeTheShape) {
  const std::string mvn =
      "layer { name: 'mvn' type: 'MVN' bottom: 'data' top: 'data' mvn_param { across_channels: "
      "true normalize_variance: false } }";
  const onnx::ModelProto model =
      export_text(input_of({2, 3}) + mvn +
                  "layer { name: 'pool' type: 'Pooling' bottom: 'data' top: 'y' "
                  "pooling_param { kernel_size: 1 } }");
  EXPECT_THAT(inputs_of(model), ElementsAre("data N 3"));
  EXPECT_THAT(outputs_of(model), ElementsAre("y N 3 1 1"));
  EXPECT_EQ(ops_of(model).at(0), "Reshape");
  EXPECT_THAT(outputs_of(export_text(input_of({2, 3}) + mvn)), ElementsAre(HasSubstr(" N 3 1 1")));
}

TEST(ToOnnx, ABottleneckIsItsMeansAndMask) {
  const std::string prototxt =
      input_of({2, 3, 1, 2}) +
      "layer { name: 'ib' type: 'InformationBottleneck' bottom: 'data' top: 'y' }";
  const NetParameter net = net_of(prototxt);
  NetParameter weights = random_weights(net, 1);
  set_bottleneck("ib", {0.5f, 2, -3}, {true, false, true}, &weights);
  const onnx::ModelProto model = to_onnx(net, weights, "weights", {});
  ASSERT_EQ(model.graph().initializer_size(), 1);
  const onnx::TensorProto& factors = model.graph().initializer(0);
  EXPECT_THAT(factors.dims(), ElementsAre(3, 1, 1));
  const float expected[] = {0.5f, 0, -3};
  EXPECT_EQ(factors.raw_data(),
            std::string(reinterpret_cast<const char*>(expected), sizeof(expected)));
}

TEST(ToOnnx, RefusesWhatHasNoForm) {
  const auto error = [](const std::string& layer, const Shape& shape = {2, 3, 4, 4}) {
    return error_of([&] {
      export_text(input_of(shape) + "layer { name: 'l' bottom: 'data' top: 'y' " + layer + " }");
    });
  };
  EXPECT_EQ(error("type: 'UnheardOf'"), "layer 'l' (UnheardOf): has no ONNX form");
  EXPECT_THAT(error("type: 'BatchNorm'", {5}), HasSubstr("layer 'l' (BatchNorm): "));
}

TEST(ToOnnx, SaysWhatIsWrongWithTheInput) {
  const std::string two = input_of({2, 3}) +
                          "layer { name: 'more' type: 'Input' top: 'more' input_param { shape { "
                          "dim: 2 dim: 3 } } }"
                          "layer { name: 'sum' type: 'Eltwise' bottom: 'data' bottom: 'more' "
                          "top: 'y' }";
  EXPECT_THAT(inputs_of(export_text(two)), ElementsAre("data N 3", "more N 3"));
  EXPECT_THAT(error_of([&] { export_text(two, {1, 3}); }), HasSubstr("the net has 2 inputs"));
  EXPECT_THAT(
      error_of([] {
        export_text(input_of({0, 3}) + "layer { name: 'l' type: 'ReLU' bottom: 'data' top: 'y' }");
      }),
      HasSubstr("blob 'data' is empty"));
  const NetParameter no_data = net_of(
      "layer { name: 'data' type: 'Data' top: 'data' data_param { source: 'none.lmdb' backend: "
      "LMDB "
      "batch_size: 1 } } layer { name: 'l' type: 'ReLU' bottom: 'data' top: 'y' }");
  EXPECT_THAT(error_of([&] { to_onnx(no_data, {}, "weights", {}); }), HasSubstr("--input_shape"));
  EXPECT_EQ(to_onnx(no_data, {}, "weights", {{1, 3}}).graph().node_size(), 1);
}

TEST(ToOnnx, RefusesANetThatMakesNothing) {
  const std::string loss = input_of({2, 3}) +
                           "layer { name: 'more' type: 'Input' top: 'target' input_param { shape { "
                           "dim: 2 dim: 3 } } }"
                           "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'target' "
                           "bottom: 'data' }";
  EXPECT_EQ(error_of([&] { export_text(loss); }),
            "the net's output in TEST would be its input 'target', which no layer reads");
}

TEST(ToOnnx, RefusesMissingWeights) {
  const NetParameter net = net_of(kClassifier);
  NetParameter weights = random_weights(net, 1);
  for (LayerParameter& layer : *weights.mutable_layer())
    if (layer.name() == "ip") layer.clear_blobs();
  EXPECT_EQ(error_of([&] { to_onnx(net, weights, "w.caffemodel", {}); }),
            "w.caffemodel: holds no weights for layer 'ip' (InnerProduct)");
}

}  // namespace
}  // namespace vibnet
