#include "math/convolution.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <tuple>

#include "math/depthwise_convolution.h"
#include "math/direct_convolution.h"
#include "math/parallel.h"
#include "math/unfolded_convolution.h"
#include "math/winograd.h"
#include "simd/kernels.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// What a float that is moved and not multiplied costs, in multiply-adds.
constexpr double kMove = 8;
/// Rows of a product below which the time is the same.
constexpr double kFewRows = 12;

/// Multiply-adds of F(m x m, r x r), and the moves of maps, results and weights.
double winograd_cost(const Convolution& c, int m, bool weights_change) {
  const int values = m + c.window.axes[0].kernel - 1;
  const double elements = values * values;
  const double channels = round_up_to_lanes(c.window.channels);
  const double filters = round_up_to_lanes(c.filters);
  const double tiles = double{1} * c.samples * parts(c.window.axes[0].outputs(), m) *
                       parts(c.window.axes[1].outputs(), m);
  return elements *
         (std::max(tiles, kFewRows) * channels * filters + kMove * tiles * (channels + filters) +
          (weights_change ? kMove : kMove / 2) * channels * filters);
}

double unfolded_cost(const Convolution& c) {
  const double taps = c.window.taps();
  const double places = double{1} * c.samples * c.places();
  return taps * places * (c.filters + kMove / 4) + kMove / 2 * taps * c.filters;
}

/// Whether sums over whole planes take less than one filter's products with what is unfolded.
bool is_cheap_by_channels(const Convolution& c) {
  constexpr double kUnfold = 8;
  return DepthwiseConvolution::cost(c) <
         kUnfold * c.window.taps() * c.samples * c.groups * c.places();
}

}  // namespace

std::string asked_convolution() {
  const char* asked = std::getenv("VIBNET_CONVOLUTION");
  const std::string name = asked == nullptr ? "" : asked;
  const std::set<std::string> names = {"",          "unfolded",  "direct",       "depthwise",
                                       "winograd2", "winograd4", "channels_last"};
  if (names.count(name) == 0)
    fail("VIBNET_CONVOLUTION: '", name,
         "' is not unfolded, direct, depthwise, winograd2, winograd4 or channels_last");
  return name;
}

std::unique_ptr<ConvolutionKernel> make_convolution(const Convolution& convolution,
                                                    bool weights_change) {
  const std::string asked = asked_convolution();
  const std::string name = asked == "channels_last" ? "" : asked;
  if (DepthwiseConvolution::takes(convolution) &&
      (name == "depthwise" || (name.empty() && is_cheap_by_channels(convolution))))
    return std::make_unique<DepthwiseConvolution>(convolution);
  if (DirectConvolution::takes(convolution) && (name == "direct" || name.empty()))
    return std::make_unique<DirectConvolution>(convolution);
  if (name == "unfolded") return std::make_unique<UnfoldedConvolution>(convolution);
  double least = name.empty() ? unfolded_cost(convolution) : HUGE_VAL;
  int best = 0;
  for (const int m : {2, 4}) {
    const bool is_asked = name.empty() || name == "winograd" + std::to_string(m);
    if (!is_asked || !Winograd::takes(convolution, m)) continue;
    const double cost = winograd_cost(convolution, m, weights_change);
    if (cost < least) std::tie(least, best) = std::make_tuple(cost, m);
  }
  if (best == 0) return std::make_unique<UnfoldedConvolution>(convolution);
  return std::make_unique<Winograd>(convolution, best);
}

}  // namespace vibnet
