#include "net/cost.h"

#include <algorithm>
#include <map>
#include <set>

namespace vibnet {
namespace {

/// A piece of memory: how large, and over which layers it is needed.
struct Lifetime {
  std::int64_t bytes = 0;
  int begin = 0;
  int end = 0;
};

bool shares_memory(const Layer& layer) {
  return layer.type() == "Split" || layer.type() == "Flatten";
}

std::int64_t peak_bytes(const Net& net) {
  const int layers = static_cast<int>(net.layers().size());
  std::map<const Blob*, const Blob*> memory;
  std::map<const Blob*, Lifetime> lives;
  for (int i = 0; i < layers; ++i) {
    for (const Blob* bottom : net.bottoms(i)) lives[memory[bottom]].end = i;
    for (const Blob* top : net.tops(i)) {
      if (memory.count(top) > 0) continue;  // in place
      memory[top] = shares_memory(*net.layers()[i]) ? memory[net.bottoms(i)[0]] : top;
      if (memory[top] == top) lives[top] = {top->count() * std::int64_t{sizeof(float)}, i, i};
    }
  }
  for (const std::string& name : net.output_names()) lives[memory[net.blob(name)]].end = layers;
  std::int64_t peak = 0;
  for (int i = 0; i < layers; ++i) {
    std::int64_t alive = 0;
    for (const auto& life : lives)
      if (life.second.begin <= i && i <= life.second.end) alive += life.second.bytes;
    peak = std::max(peak, alive);
  }
  return peak;
}

}  // namespace

NetCost cost_of(const Net& net) {
  NetCost cost;
  std::set<const Blob*> unshared;  // by asking for no memory, which costings never need
  for (const Net::Parameter& parameter : net.parameters()) unshared.insert(parameter.blob);
  for (std::size_t i = 0; i < net.layers().size(); ++i) {
    const Layer& layer = *net.layers()[i];
    LayerCost entry{layer.name(), layer.type(), {}, 0, 0, layer.flops()};
    for (const Blob* top : net.tops(static_cast<int>(i))) entry.tops.push_back(top->shape());
    for (const auto& blob : layer.blobs()) {
      if (unshared.count(blob.get()) == 0) continue;
      entry.parameters += blob->count();
      if (blob->axes() > 1) entry.weights += blob->count();
    }
    cost.weights += entry.weights;
    cost.parameters += entry.parameters;
    cost.flops += entry.flops;
    cost.layers.push_back(std::move(entry));
  }
  cost.activation_bytes = peak_bytes(net);
  return cost;
}

}  // namespace vibnet
