#pragma once

#include "vibnet.pb.h"

namespace vibnet {

// A Convolution or InnerProduct: its weights' axes, and what they say of its size.

/// The axis of blobs(0) with one slice for each output; for each input.
int output_axis(const LayerParameter& layer);
int input_axis(const LayerParameter& layer);

int outputs_of(const LayerParameter& layer);
/// Channels of a Convolution, features of an InnerProduct.
int inputs_of(const LayerParameter& layer);

/// num_output of the prototxt.
int stated_outputs(const LayerParameter& layer);
void state_outputs(int outputs, LayerParameter* layer);

}  // namespace vibnet
