#include "opencv/dnn.h"

#include <algorithm>
#include <cmath>
#include <opencv2/dnn.hpp>
#include <stdexcept>

#include "support/layer_fixture.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

struct Input {
  std::string blob;
  Shape shape;
};

/// The tops of the Input layers, in order.
std::vector<Input> inputs_of(const NetParameter& model) {
  std::vector<Input> inputs;
  for (const LayerParameter& layer : model.layer()) {
    const auto& shapes = layer.input_param().shape();
    for (int i = 0; i < layer.top_size() && layer.type() == "Input"; ++i)
      inputs.push_back({layer.top(i), shape_of(shapes.Get(shapes.size() == 1 ? 0 : i))});
  }
  return inputs;
}

/// OpenCV names outputs by their layer: the last one that writes the blob.
std::string layer_of(const std::string& blob, const NetParameter& model) {
  std::string name;
  for (const LayerParameter& layer : model.layer())
    if (std::count(layer.top().begin(), layer.top().end(), blob) > 0) name = layer.name();
  return name;
}

bool has_blobs(const NetParameter& weights) {
  return std::any_of(weights.layer().begin(), weights.layer().end(),
                     [](const LayerParameter& layer) { return layer.blobs_size() > 0; });
}

}  // namespace

Values ours(const NetParameter& model, const NetParameter& weights, const Values& inputs,
            const std::vector<std::string>& blobs) {
  Net net(model, NetOptions());
  if (has_blobs(weights)) net.copy_weights(weights, "weights", Missing::FAIL);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Blob* blob = net.blob(net.input_names().at(i));
    if (static_cast<std::size_t>(blob->count()) != inputs[i].size())
      throw std::runtime_error("the input is " + to_string(blob->shape()));
    std::copy(inputs[i].begin(), inputs[i].end(), blob->mutable_cpu_data());
  }
  net.forward();
  Values values;
  for (const std::string& name : blobs) {
    const Blob* blob = net.blob(name);
    values.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  return values;
}

Values opencv(const NetParameter& model, const NetParameter& weights, const Values& inputs,
              const std::vector<std::string>& blobs) {
  const std::string prototxt = to_prototxt(model);
  cv::dnn::Net net;
  {
    const std::string caffemodel = to_binary(weights, "weights");
    net = cv::dnn::readNetFromCaffe(prototxt.data(), prototxt.size(), caffemodel.data(),
                                    caffemodel.size());
  }
  net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
  const std::vector<Input> sources = inputs_of(model);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const cv::Mat view(sources[i].shape, CV_32F, const_cast<float*>(inputs[i].data()));
    net.setInput(view.clone(), sources[i].blob);
  }
  std::vector<cv::String> layers;
  for (const std::string& blob : blobs) layers.push_back(layer_of(blob, model));
  std::vector<cv::Mat> outputs;
  net.forward(outputs, layers);
  Values values;
  for (const cv::Mat& output : outputs) {
    const cv::Mat flat = output.isContinuous() ? output : output.clone();
    values.emplace_back(flat.ptr<float>(), flat.ptr<float>() + flat.total());
  }
  return values;
}

std::vector<Shape> input_shapes(const NetParameter& model) {
  std::vector<Shape> shapes;
  for (const Input& input : inputs_of(model)) shapes.push_back(input.shape);
  return shapes;
}

Values random_inputs(const NetParameter& model) {
  Values values;
  std::uint64_t key = 7;
  for (const Input& input : inputs_of(model)) {
    Blob noise(input.shape);
    fill_gaussian(key++, &noise);
    values.emplace_back(noise.cpu_data(), noise.cpu_data() + noise.count());
  }
  return values;
}

double difference(const std::vector<float>& expected, const std::vector<float>& found) {
  if (expected.size() != found.size())
    throw std::runtime_error("sizes differ: " + std::to_string(expected.size()) + " and " +
                             std::to_string(found.size()));
  double largest = 1e-30;
  double apart = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double one = std::fabs(static_cast<double>(expected[i]) - found[i]);
    apart = std::isfinite(one) ? std::max(apart, one) : HUGE_VAL;
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
  }
  return apart / largest;
}

}  // namespace vibnet
