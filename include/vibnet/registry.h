#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

using LayerFactory = std::unique_ptr<Layer> (*)(const LayerParameter&, const Context&);

/// Registers a layer's class for a type and a device. A second entry for the same pair is an error
/// of ours, and ends the program.
bool register_layer(const std::string& type, DeviceType device, LayerFactory factory);

/// Makes the layer for the context's device, or for the CPU where it has no GPU entry (logged once
/// per type). Throws Error for an unknown type, with the near names.
std::unique_ptr<Layer> make_layer(const LayerParameter& parameter, const Context& context);

struct RegisteredLayer {
  std::string type;
  std::vector<DeviceType> devices;
};

/// Every layer of this build, by type.
std::vector<RegisteredLayer> registered_layers();

/// Stands once in each layer's .cpp (CPU) and .cu (GPU): REGISTER_LAYER(ReLU, CPU, ReLULayer).
#define REGISTER_LAYER(TYPE, DEVICE, CLASS)                                                   \
  [[maybe_unused]] static const bool TYPE##_##DEVICE##_registered = ::vibnet::register_layer( \
      #TYPE, ::vibnet::DeviceType::DEVICE,                                                    \
      [](const ::vibnet::LayerParameter& parameter,                                           \
         const ::vibnet::Context& context) -> std::unique_ptr<::vibnet::Layer> {              \
        return std::make_unique<CLASS>(parameter, context);                                   \
      })

}  // namespace vibnet
