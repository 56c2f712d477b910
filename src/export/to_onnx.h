#pragma once

#include <onnx/onnx_pb.h>

#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

struct ExportOptions {
  /// Replaces the shape of the net's one input, batch first; empty keeps what the net says.
  std::vector<int> input_shape;
};

/// The net's TEST phase in deployment form as an ONNX model (opset 13) that computes the same. The
/// batch is left open ("N") where the net allows any.
///
/// `model` is the net's prototxt, all phases; `weights` its caffemodel, `source` that one's name in
/// messages. A data layer is opened to learn the input's shape unless the options state it. Throws
/// Error, naming the layer, for what has no exact form in ONNX.
onnx::ModelProto to_onnx(const NetParameter& model, const NetParameter& weights,
                         const std::string& source, const ExportOptions& options);

}  // namespace vibnet
