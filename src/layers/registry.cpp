#include "vibnet/registry.h"

#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "core/names.h"

namespace vibnet {
namespace {

using Factories = std::map<DeviceType, LayerFactory>;

std::map<std::string, Factories>& registry() {
  static std::map<std::string, Factories> layers;
  return layers;
}

}  // namespace

bool register_layer(const std::string& type, DeviceType device, LayerFactory factory) {
  const bool added = registry()[type].emplace(device, factory).second;
  CHECK(added) << "layer " << type << " is registered twice for " << name(device);
  return true;
}

std::unique_ptr<Layer> make_layer(const LayerParameter& parameter, const Context& context) {
  const auto entry = registry().find(parameter.type());
  if (entry == registry().end()) {
    std::vector<std::string> known;
    for (const auto& layer : registry()) known.push_back(layer.first);
    fail("layer '", parameter.name(), "': type '", parameter.type(), "' is not known; ",
         nearest_names(parameter.type(), known));
  }
  const Factories& factories = entry->second;
  const auto wanted = factories.find(context.device.type);
  if (wanted != factories.end()) return wanted->second(parameter, context);
  static std::set<std::string> told;
  if (told.insert(parameter.type()).second)
    LOG(INFO) << parameter.type() << " has no GPU implementation; it runs on the CPU";
  return factories.at(DeviceType::CPU)(parameter, context);
}

std::vector<RegisteredLayer> registered_layers() {
  std::vector<RegisteredLayer> layers;
  for (const auto& [type, factories] : registry()) {
    layers.push_back({type, {}});
    for (const auto& factory : factories) layers.back().devices.push_back(factory.first);
  }
  return layers;
}

}  // namespace vibnet
