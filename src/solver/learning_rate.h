#pragma once

#include <cstdint>

#include "vibnet.pb.h"

namespace vibnet {

/// Throws Error for an unknown lr_policy, or one whose fields are missing.
void check_learning_rate(const SolverParameter& parameter);

/// The rate at an iteration, by Caffe's lr_policy: fixed, step, exp, inv, multistep, poly, sigmoid.
/// In the first warmup_iter iterations it comes linearly from warmup_start_lr to what the policy
/// says.
double learning_rate(const SolverParameter& parameter, std::int64_t iteration);

}  // namespace vibnet
