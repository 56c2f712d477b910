#pragma once

#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

/// What the blobs of these names hold after a forward pass in TEST with these values in the inputs.
using Values = std::vector<std::vector<float>>;

Values ours(const NetParameter& model, const NetParameter& weights, const Values& inputs,
            const std::vector<std::string>& blobs);

/// The same as OpenCV's dnn module computes it from the prototxt's text and the caffemodel's bytes.
Values opencv(const NetParameter& model, const NetParameter& weights, const Values& inputs,
              const std::vector<std::string>& blobs);

/// The shapes of the tops of Input layers.
std::vector<Shape> input_shapes(const NetParameter& model);

/// Gaussian values for the net's Input layers.
Values random_inputs(const NetParameter& model);

/// The largest difference, relative to the largest value; infinite for a value that is no number.
double difference(const std::vector<float>& expected, const std::vector<float>& found);

}  // namespace vibnet
