#pragma once

#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/compress.h"

namespace vibnet {

// The prototxt of a layer, whose top has its name where none is given; `bottoms` are apart by
// spaces.

std::string layer(const std::string& name, const std::string& type, const std::string& bottoms,
                  const std::string& more = "", const std::string& top = "");
/// A layer whose top is its bottom.
std::string in_place(const std::string& name, const std::string& type, const std::string& blob,
                     const std::string& more = "");
std::string convolution(const std::string& name, const std::string& bottom, int outputs,
                        const std::string& more = "kernel_size: 3 pad: 1");
std::string inner_product(const std::string& name, const std::string& bottom, int outputs,
                          const std::string& more = "");
std::string bottleneck(const std::string& name, const std::string& bottom);

/// By bottleneck, the units that it keeps.
using Kept = std::map<std::string, std::vector<int>>;
/// Gives the gates that are named these living units.
void keep_units(const Kept& kept, NetParameter* weights);

/// A net of these layers behind 'data', 2 x 4 x 6 x 6, compressed; checks that it computes the
/// same.
CompressedNet compress_graph(const std::string& layers, const Kept& kept,
                             const CompressOptions& options = {});

/// All units but one: too many for a pick of channels to be worth it.
std::vector<int> all_but(int dead, int units);

/// The shape of a layer's filters; empty where it is gone.
std::vector<int> filters(const CompressedNet& net, const std::string& name);

LayerReport report_of(const CompressedNet& net, const std::string& name);

}  // namespace vibnet
