#include "support/cut_graph.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/outputs.h"
#include "support/random_weights.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {

std::string layer(const std::string& name, const std::string& type, const std::string& bottoms,
                  const std::string& more, const std::string& top) {
  std::string text =
      "layer { name: '" + name + "' type: '" + type + "' top: '" + (top.empty() ? name : top) + "'";
  std::size_t begin = 0;
  while (begin < bottoms.size()) {
    const std::size_t end = std::min(bottoms.find(' ', begin), bottoms.size());
    text += " bottom: '" + bottoms.substr(begin, end - begin) + "'";
    begin = end + 1;
  }
  return text + " " + more + " }\n";
}

std::string in_place(const std::string& name, const std::string& type, const std::string& blob,
                     const std::string& more) {
  return layer(name, type, blob, more, blob);
}

std::string convolution(const std::string& name, const std::string& bottom, int outputs,
                        const std::string& more) {
  return layer(name, "Convolution", bottom,
               "convolution_param { num_output: " + std::to_string(outputs) + " " + more + " }");
}

std::string inner_product(const std::string& name, const std::string& bottom, int outputs,
                          const std::string& more) {
  return layer(name, "InnerProduct", bottom,
               "inner_product_param { num_output: " + std::to_string(outputs) + " " + more + " }");
}

std::string bottleneck(const std::string& name, const std::string& bottom) {
  return layer(name, "InformationBottleneck", bottom);
}

void keep_units(const Kept& kept, NetParameter* weights) {
  for (const auto& [name, units] : kept) {
    const int size = find_layer(*weights, name)->blobs(0).data_size();
    std::vector<bool> keeps(size, false);
    for (const int unit : units) keeps[unit] = true;
    set_bottleneck(name, std::vector<float>(size, 0.8F), keeps, weights);
  }
}

CompressedNet compress_graph(const std::string& layers, const Kept& kept,
                             const CompressOptions& options) {
  const NetParameter model = net_of(input_of({2, 4, 6, 6}) + layers);
  NetParameter weights = random_weights_with_masks(model, 1, {});
  keep_units(kept, &weights);
  CompressedNet compressed = compress(model, weights, options);
  EXPECT_LE(difference_of_outputs(model, weights, compressed), 1e-4) << layers;
  return compressed;
}

std::vector<int> all_but(int dead, int units) {
  std::vector<int> kept;
  for (int unit = 0; unit < units; ++unit)
    if (unit != dead) kept.push_back(unit);
  return kept;
}

std::vector<int> filters(const CompressedNet& net, const std::string& name) {
  const LayerParameter* found = find_layer(net.weights, name);
  if (found == nullptr || find_layer(net.model, name) == nullptr) return {};
  const auto& dims = found->blobs(0).shape().dim();
  return {dims.begin(), dims.end()};
}

LayerReport report_of(const CompressedNet& net, const std::string& name) {
  for (const LayerReport& one : net.report.layers)
    if (one.name == name) return one;
  ADD_FAILURE() << "no report of " << name;
  return {};
}

}  // namespace vibnet
