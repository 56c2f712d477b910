#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// Rewrites Caffe's older forms in today's: `input` fields as Input layers, V1 `layers` as `layer`,
/// scale, mean and crop inside data_param as transform_param. Weights come along. Throws Error for
/// a form that has no equal today.
void upgrade_net(NetParameter* net);

}  // namespace vibnet
