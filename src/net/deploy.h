#pragma once

#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// True for a type whose name ends in "Loss".
bool is_loss(const LayerParameter& layer);

/// True for layers that end a graph: losses, Accuracy, Silence, HDF5Output.
bool is_head(const LayerParameter& layer);

/// The shape that an Input layer states for one of its tops; no axes for another layer.
BlobShape stated_shape(const LayerParameter& source, int top);

/// The deployment form of a net of one phase, any graph: Input layers in place of its data layers,
/// without what only labels and heads need, Softmax in place of SoftmaxWithLoss. The
/// Inputs take their shapes from `input_shapes`, by blob, else from the layer where it is an Input.
NetParameter deploy_net(const NetParameter& net,
                        const std::map<std::string, std::vector<int>>& input_shapes);

/// The blobs that deploy_net() makes Inputs, in the order of the net.
std::vector<std::string> deployed_inputs(const NetParameter& net);

}  // namespace vibnet
