#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

NetParameter net_of(const std::string& prototxt);

/// An Input layer that makes `data`.
std::string input_of(const Shape& shape);

/// Weights for the TEST phase as training might leave them: every value random, variances positive.
/// Bottlenecks keep about `share_kept` of their units, the first one always, and `share_negative`
/// of their mu are negative.
NetParameter random_weights(const NetParameter& model, std::uint32_t seed, double share_kept = 0.6,
                            double share_negative = 0);

/// The same with the weights of the model's fillers, which keep a deep net's values within bounds.
NetParameter lively_weights(const NetParameter& model, std::uint32_t seed, double share_kept = 0.6);

/// Sets a bottleneck: mu as given, and kept where `kept` says so at threshold 0.
void set_bottleneck(const std::string& layer, const std::vector<float>& mu,
                    const std::vector<bool>& kept, NetParameter* weights);

/// Null if there is none of that name.
const LayerParameter* find_layer(const NetParameter& net, const std::string& name);
/// Layer names in order.
std::vector<std::string> names_of(const NetParameter& net);

/// Of each sample of shape `from` the values of these channels, or features, as `to` has them.
std::vector<float> selected_values(const std::vector<float>& input, const Shape& from,
                                   const Shape& to, const std::vector<int>& kept);

}  // namespace vibnet
