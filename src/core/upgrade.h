#pragma once

#include <string>

#include "vibnet.pb.h"

namespace vibnet {

/// Rewrites Caffe's older forms in today's: `input` fields as Input layers, V0 and V1 `layers` as
/// `layer`, scale, mean and crop inside data_param as transform_param, BatchNorm's three `param` as
/// ones that do not learn. Weights are moved along. Throws Error for a form that has no equal
/// today.
void upgrade_net(NetParameter* net);

/// The net of the file at `path`, upgraded. Throws Error, naming the file, for one without layers.
NetParameter upgraded_net(NetParameter net, const std::string& path);

/// The param for blobs()[index], made where it is missing.
ParamSpec* param_of(LayerParameter* layer, int index);

/// A V0 or V1 layer's blobs_lr and weight_decay as `param`.
template <typename OldLayer>
void set_multipliers(const OldLayer& old, LayerParameter* layer) {
  for (int i = 0; i < old.blobs_lr_size(); ++i) param_of(layer, i)->set_lr_mult(old.blobs_lr(i));
  for (int i = 0; i < old.weight_decay_size(); ++i)
    param_of(layer, i)->set_decay_mult(old.weight_decay(i));
}

}  // namespace vibnet
