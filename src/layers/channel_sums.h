#pragma once

#include <cstddef>
#include <vector>

#include "layers/channelwise_layer.h"

namespace vibnet {

/// A sum for each channel, of what comes block by block, on several threads. The parts are summed
/// in one order, whatever the number of threads.
class ChannelSums {
 public:
  void begin(int channels, int parts) {
    parts_.assign(static_cast<std::size_t>(channels) * static_cast<std::size_t>(parts), 0);
    totals_.assign(static_cast<std::size_t>(channels), 0);
  }
  void add(const ChannelBlock& block, float sum) {
    parts_[static_cast<std::size_t>(block.part) * totals_.size() +
           static_cast<std::size_t>(block.channel)] += sum;
  }
  /// To be called once all blocks have been.
  void end() {
    for (std::size_t begin = 0; begin < parts_.size(); begin += totals_.size())
      for (std::size_t c = 0; c < totals_.size(); ++c) totals_[c] += parts_[begin + c];
    parts_.clear();
  }

  double* totals() { return totals_.data(); }
  double operator[](int channel) const { return totals_[static_cast<std::size_t>(channel)]; }
  void add_to(float* values) const {
    for (std::size_t c = 0; c < totals_.size(); ++c) values[c] += static_cast<float>(totals_[c]);
  }

 private:
  /// By part, then by channel.
  std::vector<double> parts_;
  std::vector<double> totals_;
};

}  // namespace vibnet
