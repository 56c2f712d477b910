#include "math/channels_last_convolution.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "math/unfolded_convolution.h"
#include "support/drawn.h"
#include "support/print_convolution.h"

namespace vibnet {
namespace {

/// samples x channels x places to samples x places x channels, or, where it `leaves`, back.
std::vector<float> turned(const std::vector<float>& values, int samples, int channels,
                          bool leaves) {
  if (values.empty()) return with_room(values);
  const std::size_t places = values.size() / samples / channels;
  std::vector<float> turned(values.size());
  for (int n = 0; n < samples; ++n)
    for (int c = 0; c < channels; ++c)
      for (std::size_t place = 0; place < places; ++place) {
        const std::size_t first = (std::size_t{1} * n * channels + c) * places + place;
        const std::size_t last = (n * places + place) * channels + c;
        turned[leaves ? first : last] = values[leaves ? last : first];
      }
  return with_room(turned);
}

Convolution pointwise(int samples, int channels, int filters, int height, int width) {
  return {samples, 1, filters, {channels, {{height, 1, 0, 1, 1}, {width, 1, 0, 1, 1}}}};
}

Convolution depthwise(int samples, int channels, WindowAxis rows, WindowAxis columns) {
  return {samples, channels, 1, {1, {rows, columns}}};
}

class ChannelsLastConvolutionTest : public testing::TestWithParam<Convolution> {
 protected:
  std::vector<float> forward(ChannelsLast blobs, const Epilogue& epilogue) const {
    const ChannelsLastConvolution last(c_, blobs);
    std::vector<float> prepared(last.prepared_size());
    last.prepare(weights_.data(), prepared.data());
    const std::vector<float> maps =
        blobs.maps ? turned(maps_, c_.samples, c_.groups * c_.window.channels, false) : maps_;
    std::vector<float> results(c_.samples * c_.result_size(), NAN);
    results.reserve(results.size() + kLanes);
    last.forward(maps.data(), with_room(prepared).data(), epilogue, results.data());
    return blobs.results ? turned(results, c_.samples, c_.groups * c_.filters, true) : results;
  }

  std::vector<ChannelsLast> layouts() const {
    if (ChannelsLastConvolution::is_depthwise(c_)) return {{true, true}};
    return {{true, true}, {false, true}, {true, false}};
  }

  const Convolution c_ = GetParam();
  const std::vector<float> maps_ = with_room(drawn(c_.samples * c_.map_size(), "maps"));
  const std::vector<float> weights_ = drawn(c_.weights(), "weights");
  const std::vector<float> bias_ = with_room(drawn(c_.groups * c_.filters, "bias"));
  const std::vector<float> residual_ = with_room(drawn(c_.samples * c_.result_size(), "residual"));
};

TEST_P(ChannelsLastConvolutionTest, GivesWhatChannelsFirstGive) {
  for (const ChannelsLast& blobs : layouts())
    for (Epilogue epilogue :
         {Epilogue{}, Epilogue{bias_.data()}, Epilogue{bias_.data(), nullptr, true},
          Epilogue{bias_.data(), residual_.data(), true}}) {
      if (blobs.results && epilogue.residual != nullptr) continue;
      std::vector<float> expected(c_.samples * c_.result_size());
      expected.reserve(expected.size() + kLanes);
      UnfoldedConvolution(c_).forward(maps_.data(), weights_.data(), epilogue, expected.data());
      const std::vector<float> found = forward(blobs, epilogue);
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(found[i], expected[i], 1e-4) << i << " " << blobs.maps << blobs.results;
    }
}

TEST_P(ChannelsLastConvolutionTest, GivesTheSameBytesWithAnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  for (const ChannelsLast& blobs : layouts()) {
    omp_set_num_threads(1);
    const std::vector<float> one = forward(blobs, {bias_.data()});
    for (int t = 2; t <= 3; ++t) {
      omp_set_num_threads(t);
      EXPECT_EQ(forward(blobs, {bias_.data()}), one);
    }
    omp_set_num_threads(threads);
  }
}

INSTANTIATE_TEST_SUITE_P(Pointwise, ChannelsLastConvolutionTest,
                         testing::Values(pointwise(1, 16, 32, 14, 14), pointwise(2, 5, 3, 1, 1),
                                         pointwise(3, 37, 70, 7, 7), pointwise(1, 300, 49, 20, 13),
                                         pointwise(1, 700, 700, 3, 5), pointwise(0, 4, 4, 2, 2)));

INSTANTIATE_TEST_SUITE_P(Depthwise, ChannelsLastConvolutionTest,
                         testing::Values(depthwise(1, 64, {14, 3, 1, 1, 1}, {14, 3, 1, 1, 1}),
                                         depthwise(2, 37, {9, 3, 1, 2, 1}, {8, 3, 1, 2, 1}),
                                         depthwise(2, 5, {6, 3, 1, 1, 1}, {1, 3, 1, 1, 1}),
                                         depthwise(1, 19, {12, 5, 4, 1, 2}, {11, 3, 0, 3, 2}),
                                         depthwise(3, 130, {4, 7, 3, 1, 1}, {3, 7, 3, 1, 1})));

}  // namespace
}  // namespace vibnet
