#include "net/latency.h"

#include <algorithm>
#include <chrono>
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

}  // namespace

void fill_inputs(Net* net) {
  FillerParameter noise;
  noise.set_type("gaussian");
  for (const auto& layer : net->layers()) {
    if (layer->type() != "Input") continue;
    for (const std::string& top : layer->parameter().top()) {
      const bool is_label = net->blob(top)->axes() < 2;
      if (!is_label) fill(noise, random_key(1, top), net->blob(top));
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
