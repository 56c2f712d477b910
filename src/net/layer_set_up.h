#pragma once

#include <string>

#include "vibnet.pb.h"
#include "vibnet/layer.h"

namespace vibnet {

/// "layer 'conv1' (Convolution)", for messages.
std::string title(const LayerParameter& layer);

/// Throws Error, naming the layer, for a number of bottoms or tops (`what`) that it does not take.
void check_count(const LayerParameter& layer, int found, BlobCount wanted, const char* what);

/// How many tops the layer has, of which so many are named; it may make others besides.
int top_count(const Layer& layer, int named);

/// Sets the layer up and shapes its tops. An Error names the layer, whatever threw it.
void set_up_layer(const Blobs& bottom, const Blobs& top, Layer* layer);

}  // namespace vibnet
