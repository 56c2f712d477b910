// Which layers of a net run as one pass; a part of Net.

#include <algorithm>
#include <memory>
#include <vector>

#include "layers/channel_pass.h"
#include "layers/convolution_layer.h"
#include "layers/eltwise_layer.h"
#include "layers/relu_layer.h"
#include "net/blobs.h"
#include "simd/kernels.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

ChannelwiseLayer* channelwise(const std::unique_ptr<Layer>& layer) {
  return dynamic_cast<ChannelwiseLayer*>(layer.get());
}

/// Whether rows of so many channels fill vectors well enough for channels last to be worth it: with
/// fewer, or with others left over, they took up to twice as long and more.
bool fills_vectors(int channels) {
  constexpr int kFew = 64;
  constexpr int kMany = 256;
  return channels >= kMany || (channels >= kFew && channels % kLanes == 0);
}

bool same_layout(const ChannelwiseLayer& a, const ChannelwiseLayer& b) {
  if (a.is_uniform() || b.is_uniform()) return true;
  return a.layout().samples == b.layout().samples && a.layout().channels == b.layout().channels &&
         a.layout().values == b.layout().values;
}

}  // namespace

/// The layers of a pass.
std::vector<ChannelwiseLayer*> Net::members_of_pass(int first, int end) const {
  std::vector<ChannelwiseLayer*> members;
  for (int i = first; i < end; ++i) members.push_back(channelwise(layers_[i]));
  return members;
}

bool Net::may_begin_pass(int layer) const {
  ChannelwiseLayer* first = channelwise(layers_[layer]);
  return first != nullptr && pass_of_[layer] == layer && may_join(context_.device, {}, first);
}

/// Whether a layer can run in the pass that begins at `first` and so far goes up to it.
bool Net::joins_pass(int layer, int first) const {
  ChannelwiseLayer* next = channelwise(layers_[layer]);
  if (next == nullptr || !next->can_follow() || next->looks() || next->finishes_blocks())
    return false;
  if (!may_join(context_.device, members_of_pass(first, layer), next)) return false;
  if (bottoms_[layer].size() != 1 || bottoms_[layer][0] != tops_[layer - 1][0]) return false;
  for (int i = first; i < layer; ++i)
    if (!same_layout(*channelwise(layers_[i]), *next)) return false;
  if (loss_weights_[layer - 1][0] != 0) return false;
  if (layer_needs_backward_[layer] != layer_needs_backward_[layer - 1]) return false;
  return !layer_needs_backward_[layer] || propagate_down_[layer][0];
}

/// The last layer before this one that writes a blob.
int Net::writer_of(const Blob* blob, int layer) const {
  int writer = layer - 1;
  while (writer >= 0 && !contains(tops_[writer], blob)) --writer;
  return writer;
}

/// The last one that writes it and does not read it: those behind work on it in place.
int Net::maker_of(const Blob* blob, int layer) const {
  int maker = writer_of(blob, layer);
  while (maker >= 0 && contains(bottoms_[maker], blob)) maker = writer_of(blob, maker);
  return maker;
}

/// Puts another blob in the place of one, in the layers [begin, end).
void Net::replace_blob(Blob* old, Blob* blob, int begin, int end) {
  for (int i = begin; i < end; ++i)
    for (Blobs* blobs : {&bottoms_[i], &tops_[i]})
      std::replace(blobs->begin(), blobs->end(), old, blob);
}

/// Has `layer` write what the one behind it, which it does the work of, makes of its top.
void Net::fuse(int layer, int behind) {
  replace_blob(tops_[layer][0], tops_[behind][0], layer, behind + 1);
  pass_of_[behind] = layer;
}

/// Has the layer that makes the last bottom of a plain sum of two add the other, where it can.
void Net::fuse_sum(int sum) {
  const auto* layer = dynamic_cast<const EltwiseLayer*>(layers_[sum].get());
  if (layer == nullptr || !layer->hands_on_diff() || bottoms_[sum].size() != 2) return;
  const int writers[] = {writer_of(bottoms_[sum][0], sum), writer_of(bottoms_[sum][1], sum)};
  const int last = writers[0] > writers[1] ? 0 : 1;
  const int before = writers[last];
  if (before == writers[1 - last] || tops_[before].size() != 1) return;
  if (loss_weights_[before][0] == 0 && layers_[before]->add(bottoms_[sum][1 - last]))
    fuse(before, sum);
}

/// Has the layer before a ReLU do what it does, where that layer can.
void Net::fuse_relu(int relu) {
  const auto* layer = dynamic_cast<const ReLULayer*>(layers_[relu].get());
  if (layer == nullptr || layer->negative_slope() != 0 || relu == 0) return;
  const int before = pass_of_[relu - 1];
  if (tops_[before].size() != 1 || bottoms_[relu][0] != tops_[before][0]) return;
  if (loss_weights_[relu - 1][0] == 0 && layers_[before]->rectify()) fuse(before, relu);
}

/// The one layer that reads a blob after it was written, or -1 for several or none; what another
/// layer does the work of counts where it reads a blob that it does not write.
int Net::reader_of(const Blob* blob) const {
  int reader = -1;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    const bool is_done_by_writer = pass_of_[i] != i && bottoms_[i].size() == 1;
    if (!contains(bottoms_[i], blob) || is_done_by_writer) continue;
    if (reader >= 0 || contains(tops_[i], blob)) return -1;
    reader = i;
  }
  return reader;
}

/// Has a depthwise convolution between two pointwise ones work on maps that have the channels last,
/// which these write and read.
void Net::put_channels_last(int depthwise) {
  const auto convolution = [this](int layer) -> ConvolutionLayer* {
    if (layer < 0 || bottoms_[layer].size() != 1) return nullptr;
    return dynamic_cast<ConvolutionLayer*>(layers_[layer].get());
  };
  ConvolutionLayer* own = convolution(depthwise);
  if (own == nullptr || !own->is_depthwise() || own->adds_residual()) return;
  if (!fills_vectors(bottoms_[depthwise][0]->shape(1))) return;
  const Blob* bottom = bottoms_[depthwise][0];
  const Blob* top = tops_[depthwise][0];
  const int writer = writer_of(bottom, depthwise);
  ConvolutionLayer* before = convolution(writer < 0 ? -1 : pass_of_[writer]);
  const int reader = reader_of(top);
  ConvolutionLayer* behind = convolution(reader);
  if (before == nullptr || !before->is_pointwise() || before->adds_residual()) return;
  if (behind == nullptr || !behind->is_pointwise() || reader_of(bottom) != depthwise) return;
  const int last_writer = writer_of(top, reader);
  if (loss_weights_[writer][0] != 0 || loss_weights_[last_writer][0] != 0) return;
  before->use_channels_last(false, true);
  own->use_channels_last(true, true);
  behind->use_channels_last(true, false);
}

/// What layers of the CPU do for others.
void Net::fuse_on_cpu() {
  const int count = static_cast<int>(layers_.size());
  for (int i = 0; context_.phase == TEST && i < count; ++i) {
    fuse_sum(i);
    fuse_relu(i);
  }
  const bool may_choose = context_.phase == TEST && asked_convolution().empty();
  for (int i = 0; may_choose && i < count; ++i) put_channels_last(i);
}

void Net::fuse_layers() {
  if (context_.device.type == DeviceType::CPU) fuse_on_cpu();
  const int count = static_cast<int>(layers_.size());
  for (int first = 0; first < count; ++first) {
    if (!may_begin_pass(first)) continue;
    int end = first + 1;
    while (end < count && joins_pass(end, first)) ++end;
    auto pass = make_channel_pass(context_.device, members_of_pass(first, end));
    const bool is_in_place = pass->inverts() && join_blobs_of_pass(first, end);
    if (!is_in_place && (end == first + 1 || !keep_bottom_of_pass(first, end))) continue;
    std::fill(pass_of_.begin() + first, pass_of_.begin() + end, first);
    passes_[first] = std::move(pass);
    first = end - 1;
  }
}

/// Has what makes a pass's bottom write where the pass writes. Returns false, and does nothing,
/// where anything but the pass needs what stood there.
bool Net::join_blobs_of_pass(int first, int end) {
  Blob* bottom = bottoms_[first][0];
  Blob* top = tops_[end - 1][0];
  const int maker = maker_of(bottom, first);
  if (bottom == top || maker < 0 || bottoms_[maker].empty()) return false;
  if (spoils_gradient(first) || spoils_gradient(end - 1)) return false;
  const bool hands_gradient_down = layer_needs_backward_[first] && propagate_down_[first][0];
  for (int i = maker; i < first; ++i) {
    if (!contains(tops_[i], bottom)) continue;
    // It would take the top's gradient for its own, which is 0.
    if (layer_needs_backward_[i] && !hands_gradient_down) return false;
    if (layers_[i]->shares_data() || layers_[i]->reads_tops(bottoms_[i], tops_[i])) return false;
    const auto& pass = passes_[pass_of_[i]];
    if (pass != nullptr && pass->inverts() && is_in_place(i)) return false;
    if (std::any_of(loss_weights_[i].begin(), loss_weights_[i].end(),
                    [](float w) { return w != 0; }))
      return false;
  }
  for (int i = end; i < static_cast<int>(layers_.size()); ++i)
    if (contains(tops_[i], top)) return false;  // it works in place on what backward reads
  replace_blob(bottom, top, maker, first);
  for (int i = first; i < end; ++i) bottoms_[i][0] = tops_[i][0] = top;
  return true;
}

/// A pass in place would lose what its backward runs forward again from. Returns false where
/// nothing can be done about it.
bool Net::keep_bottom_of_pass(int first, int end) {
  if (context_.phase != TRAIN || !layer_needs_backward_[first]) return true;
  if (tops_[end - 1][0] == bottoms_[first][0] && !give_own_bottom(first)) return false;
  const auto is_spare = [&](const Blob* blob) {
    return blob == tops_[end - 1][0] ||
           std::any_of(own_blobs_.begin(), own_blobs_.end(),
                       [blob](const auto& own) { return own.get() == blob; });
  };
  // Nothing is stored between the layers; a blob that is not a name's there is not needed.
  for (int i = first; i + 1 < end; ++i) {
    if (!is_spare(tops_[i][0])) continue;
    tops_[i][0] = bottoms_[first][0];
    bottoms_[i + 1][0] = bottoms_[first][0];
  }
  return true;
}

}  // namespace vibnet
