// What layers in place would overwrite though it is read again; a part of Net.

#include <algorithm>
#include <memory>

#include "layers/channelwise_layer.h"
#include "net/blobs.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"
#include "vibnet/net.h"

namespace vibnet {

bool Net::is_in_place(int layer) const {
  return !bottoms_[layer].empty() && !tops_[layer].empty() && bottoms_[layer][0] == tops_[layer][0];
}

/// Whether the gradient that a layer in place is given must not be its bottom's too: a loss's
/// weight, or one that does not go down.
bool Net::spoils_gradient(int layer) const {
  if (loss_weights_[layer][0] != 0) return true;
  const int writer = writer_of(bottoms_[layer][0], layer);
  return writer >= 0 && layer_needs_backward_[writer] && !propagate_down_[layer][0];
}

/// Whether a layer in place needs what it overwrites for its own backward, or spoils a gradient.
bool Net::spoils_its_own(int layer) const {
  const auto* channelwise = dynamic_cast<const ChannelwiseLayer*>(layers_[layer].get());
  return spoils_gradient(layer) || (channelwise != nullptr && channelwise->needs_x());
}

/// The layer before one in place whose data that overwrites though it is read again: by the
/// layer's backward, or as another blob that has this memory. -1 if there is none.
int Net::spoiled_by(int layer) const {
  const Blob* blob = bottoms_[layer][0];
  for (int i = layer - 1; i >= 0; --i) {
    if (!contains(tops_[i], blob)) continue;
    if (layers_[i]->shares_data()) return i;
    if (runs_backward(i) && layers_[i]->reads_tops(bottoms_[i], tops_[i])) return i;
    if (!contains(bottoms_[i], blob)) return -1;
  }
  return -1;
}

/// The layer that makes a layer's first bottom, and those that work on it in place up to here, get
/// a blob of the net's own in its stead, so that the layer writes elsewhere than it reads. Returns
/// false for an input, which is written from outside, by name.
bool Net::give_own_bottom(int layer) {
  Blob* blob = bottoms_[layer][0];
  const int maker = maker_of(blob, layer);
  if (maker < 0 || layers_[maker]->type() == "Input") return false;
  own_blobs_.push_back(std::make_unique<Blob>(blob->shape()));
  Blob* own = own_blobs_.back().get();
  replace_blob(blob, own, maker, layer);
  bottoms_[layer][0] = own;
  return true;
}

/// A layer in place reads from a blob of the net's own where what it reads is read again. Throws
/// Error where it would spoil a gradient of TRAIN all the same.
void Net::part_blobs_in_place() {
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    if (!is_in_place(i)) continue;
    const int spoiled = spoiled_by(i);
    if (spoiled < 0 && !(runs_backward(i) && spoils_its_own(i))) continue;
    if (give_own_bottom(i) || spoiled < 0 || context_.phase != TRAIN) continue;
    fail(title(layers_[i]->parameter()), ": cannot work in place on an input, as the gradient of '",
         layers_[spoiled]->name(),
         "' needs what it would overwrite; give the top a name of its own");
  }
}

}  // namespace vibnet
