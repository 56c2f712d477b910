#pragma once

#include <cstddef>
#include <vector>

namespace vibnet {

/// A sum for each channel, of parts that come block by block.
class ChannelSums {
 public:
  void clear(int channels) { sums_.assign(static_cast<std::size_t>(channels), 0); }
  void add(int channel, float part) { sums_[static_cast<std::size_t>(channel)] += part; }
  double* values() { return sums_.data(); }
  double operator[](int channel) const { return sums_[static_cast<std::size_t>(channel)]; }
  void add_to(float* totals) const {
    for (std::size_t c = 0; c < sums_.size(); ++c) totals[c] += static_cast<float>(sums_[c]);
  }

 private:
  std::vector<double> sums_;
};

}  // namespace vibnet
