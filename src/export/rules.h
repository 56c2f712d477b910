#pragma once

#include <string>

#include "export/layer_export.h"

namespace vibnet {

/// Writes a layer as ONNX nodes that compute what it computes in TEST. Throws Error for one that
/// has no exact form.
using ExportRule = void (*)(LayerExport* layer);

/// The rule of a layer type; null for one that cannot be exported.
ExportRule find_export_rule(const std::string& type);

// A layer has one function here, and one line in rules.cpp.

// convolution_rules.cpp
void export_convolution(LayerExport* layer);
void export_deconvolution(LayerExport* layer);
void export_inner_product(LayerExport* layer);
void export_embed(LayerExport* layer);

// pooling_rules.cpp
void export_pooling(LayerExport* layer);
void export_interp(LayerExport* layer);
void export_spp(LayerExport* layer);

// normalization_rules.cpp
void export_batch_norm(LayerExport* layer);
void export_lrn(LayerExport* layer);
void export_mvn(LayerExport* layer);
void export_softmax(LayerExport* layer);

// scale_rules.cpp
void export_axpy(LayerExport* layer);
void export_bias(LayerExport* layer);
void export_gate(LayerExport* layer);
void export_eltwise(LayerExport* layer);
void export_scale(LayerExport* layer);

// neuron_rules.cpp
void export_abs_val(LayerExport* layer);
void export_bnll(LayerExport* layer);
void export_clip(LayerExport* layer);
void export_elu(LayerExport* layer);
void export_exp(LayerExport* layer);
void export_hard_swish(LayerExport* layer);
void export_log(LayerExport* layer);
void export_power(LayerExport* layer);
void export_prelu(LayerExport* layer);
void export_relu(LayerExport* layer);
void export_relu6(LayerExport* layer);
void export_sigmoid(LayerExport* layer);
void export_swish(LayerExport* layer);
void export_tanh(LayerExport* layer);
void export_threshold(LayerExport* layer);

// shape_rules.cpp
void export_concat(LayerExport* layer);
void export_crop(LayerExport* layer);
void export_parameter(LayerExport* layer);
void export_permute(LayerExport* layer);
void export_same(LayerExport* layer);
void export_shape_of_top(LayerExport* layer);
void export_shuffle_channel(LayerExport* layer);
void export_silence(LayerExport* layer);
void export_slice(LayerExport* layer);
void export_tile(LayerExport* layer);

// reduction_rules.cpp
void export_arg_max(LayerExport* layer);
void export_batch_reindex(LayerExport* layer);
void export_reduction(LayerExport* layer);

}  // namespace vibnet
