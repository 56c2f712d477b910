#include "net/latency.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "vibnet/filler.h"

namespace vibnet {

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

double forward_ms(int passes, Net* net) {
  constexpr int kWarmUp = 5;
  fill_inputs(net);
  std::vector<double> times;
  for (int pass = 0; pass < kWarmUp + passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    net->forward();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    if (pass >= kWarmUp) times.push_back(time.count());
  }
  std::nth_element(times.begin(), times.begin() + passes / 2, times.end());
  return times[passes / 2];
}

}  // namespace vibnet
