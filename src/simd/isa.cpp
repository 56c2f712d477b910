// Compiled once for each instruction set, with VIBNET_ISA its name.
#include "simd/blocks.h"
#include "simd/depthwise.h"
#include "simd/depthwise_places.h"
#include "simd/dots.h"
#include "simd/gates.h"
#include "simd/multiply.h"
#include "simd/normals.h"
#include "simd/planes.h"
#include "simd/pooling.h"
#include "simd/transpose.h"
#include "simd/weighted_sum.h"
#include "simd/winograd.h"

#define VIBNET_STRING_OF(name) #name
#define VIBNET_STRING(name) VIBNET_STRING_OF(name)

namespace vibnet::VIBNET_ISA {

extern const Kernels kKernels;
constexpr Kernels kKernels = {VIBNET_STRING(VIBNET_ISA),
                              multiply,
                              dots,
                              interleave,
                              deinterleave,
                              weighted_sums,
                              tap_sums,
                              depthwise_plane,
                              depthwise_places,
                              pad_planes,
                              add_planes,
                              normals,
                              max_of_windows,
                              spread_windows,
                              winograd_kernels<Winograd2>(),
                              winograd_kernels<Winograd4>(),
                              winograd_kernels<Winograd2By5>(),
                              winograd_kernels<Winograd4By5>(),
                              {sum, dot, squares, multiply_add, subtract, scale_by_sign},
                              gate,
                              gate_gradient};

}  // namespace vibnet::VIBNET_ISA
