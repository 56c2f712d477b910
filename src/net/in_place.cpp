// What layers in place would overwrite though it is read again; a part of Net.

#include <algorithm>
#include <memory>

#include "layers/channelwise_layer.h"
#include "net/blobs.h"
#include "vibnet/net.h"

namespace vibnet {
/// Whether something reads the data of a layer's first bottom, as they are before it runs,
/// afterwards: its own backward, or a layer before it, or another blob that has this memory.
bool Net::is_read_again(int layer) const {
  const bool runs_backward = context_.phase == TRAIN || keeps_blobs_;
  const auto* own = dynamic_cast<const ChannelwiseLayer*>(layers_[layer].get());
  if (runs_backward && layer_needs_backward_[layer] && own != nullptr && own->needs_x())
    return true;
  const Blob* blob = bottoms_[layer][0];
  for (int i = layer - 1; i >= 0; --i) {
    if (!contains(tops_[i], blob)) continue;
    if (layers_[i]->shares_data()) return true;
    if (runs_backward && layer_needs_backward_[i] && layers_[i]->reads_tops(bottoms_[i], tops_[i]))
      return true;
    if (!contains(bottoms_[i], blob)) return false;
  }
  return false;
}

/// The layer that makes a layer's first bottom, and those that work on it in place up to here, get
/// a blob of the net's own in its stead, so that the layer writes elsewhere than it reads. Returns
/// false where no layer makes it: what is written from outside is written by name.
bool Net::give_own_bottom(int layer) {
  Blob* blob = bottoms_[layer][0];
  int maker = layer - 1;
  while (maker >= 0 && (!contains(tops_[maker], blob) || contains(bottoms_[maker], blob))) --maker;
  if (maker < 0 || bottoms_[maker].empty()) return false;
  own_blobs_.push_back(std::make_unique<Blob>(blob->shape()));
  Blob* own = own_blobs_.back().get();
  for (int i = maker; i < layer; ++i)
    for (Blobs* blobs : {&bottoms_[i], &tops_[i]})
      std::replace(blobs->begin(), blobs->end(), blob, own);
  bottoms_[layer][0] = own;
  return true;
}

/// A layer in place reads from a blob of the net's own where what it reads is read again.
void Net::part_blobs_in_place() {
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i)
    if (!bottoms_[i].empty() && !tops_[i].empty() && bottoms_[i][0] == tops_[i][0] &&
        is_read_again(i))
      give_own_bottom(i);
}

}  // namespace vibnet
