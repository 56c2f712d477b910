#include "net/latency.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <vector>

#include "vibnet/filler.h"

namespace vibnet {
namespace {

double median_ms(Net* net) {
  constexpr int kPasses = 11;
  std::vector<double> times;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    net->forward();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    times.push_back(time.count());
  }
  std::nth_element(times.begin(), times.begin() + kPasses / 2, times.end());
  return times[kPasses / 2];
}

/// Where the layer reads integers from 0 to below a number, that number; else 0.
int integers_below(const LayerParameter& layer, const Blobs& bottoms, int bottom) {
  const std::string& type = layer.type();
  const bool is_last = bottom + 1 == static_cast<int>(bottoms.size());
  if (type == "Embed") return static_cast<int>(layer.embed_param().input_dim());
  if (type == "BatchReindex" && bottom == 1) return bottoms[0]->shape(0);
  if ((type == "LSTM" || type == "RNN") && bottom == 1) return 2;
  if (type == "Filter" && is_last) return 2;
  return 0;
}

/// Of all readers of a blob, and of what layers that leave its values alone make of it.
int integers_below(const Net& net, const Blob* blob) {
  std::set<const Blob*> same = {blob};
  const auto leaves_values = [](const Layer& layer) {
    return layer.shares_data() || layer.type() == "Split" || layer.type() == "Slice";
  };
  for (std::size_t l = 0; l < net.layers().size(); ++l) {
    const Blobs& bottoms = net.bottoms(static_cast<int>(l));
    for (std::size_t b = 0; b < bottoms.size(); ++b) {
      if (same.count(bottoms[b]) == 0) continue;
      const Layer& layer = *net.layers()[l];
      const int below = integers_below(layer.parameter(), bottoms, static_cast<int>(b));
      if (below > 0) return below;
      const Blobs& tops = net.tops(static_cast<int>(l));
      if (leaves_values(layer)) same.insert(tops.begin(), tops.end());
    }
  }
  return 0;
}

}  // namespace

void fill_input(const RandomKey& key, const std::string& name, Net* net) {
  Blob* blob = net->blob(name);
  const auto below = static_cast<float>(integers_below(*net, blob));
  FillerParameter noise;
  noise.set_type(below > 0 ? "uniform" : "gaussian");
  if (below > 0) noise.set_max(below);
  fill(noise, key, blob);
  float* values = blob->mutable_cpu_data();
  for (int i = 0; below > 0 && i < blob->count(); ++i)
    values[i] = std::min(std::floor(values[i]), below - 1);
}

void fill_inputs(Net* net) {
  for (const auto& layer : net->layers()) {
    if (layer->type() != "Input") continue;
    for (const std::string& top : layer->parameter().top()) {
      const bool is_label = net->blob(top)->axes() < 2;
      if (!is_label) fill_input(random_key(1, top), top, net);
    }
  }
}

double forward_ms(int runs, Net* net) {
  constexpr int kWarmUp = 5;
  fill_inputs(net);
  for (int pass = 0; pass < kWarmUp; ++pass) net->forward();
  double least = median_ms(net);
  for (int run = 1; run < runs; ++run) least = std::min(least, median_ms(net));
  return least;
}

}  // namespace vibnet
