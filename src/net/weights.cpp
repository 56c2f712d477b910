#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/stored_net.h"
#include "vibnet/error.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

void check_fits(const Layer& layer, const LayerParameter& stored, const std::string& source) {
  const int count = static_cast<int>(layer.blobs().size());
  if (stored.blobs_size() != count)
    fail(source, ": layer '", layer.name(), "' holds ", stored.blobs_size(), " blob(s), and ",
         count, " are needed");
  for (int i = 0; i < count; ++i)
    if (!layer.blobs()[i]->fits(stored.blobs(i)))
      fail(source, ": layer '", layer.name(), "' blob ", i, " is ",
           to_string(shape_of(stored.blobs(i))), ", and ", to_string(layer.blobs()[i]->shape()),
           " is needed");
  for (int i = 0; i < count; ++i) {
    const std::int64_t values = StoredNet::value_count(stored.blobs(i));
    if (values != layer.blobs()[i]->count())
      fail(source, ": layer '", layer.name(), "' blob ", i, " holds ", values, " of its ",
           layer.blobs()[i]->count(), " values");
  }
}

void check_numbers(const Blob& blob, const Layer& layer, const std::string& source) {
  const float* values = blob.cpu_data();
  if (!std::all_of(values, values + blob.count(), [](float v) { return std::isfinite(v); }))
    fail(source, ": layer '", layer.name(), "' holds values that are no finite numbers");
}

}  // namespace

Net::Matches Net::match_weights(const NetParameter& weights, const std::string& source,
                                Missing missing) const {
  std::map<std::string, const LayerParameter*> stored;
  for (const LayerParameter& layer : weights.layer()) stored[layer.name()] = &layer;
  for (const auto& [name, layer] : stored)
    LOG_IF(INFO, layer->blobs_size() > 0 && this->layer(name) == nullptr)
        << source << ": layer '" << name << "' is not in this net; its weights are passed over";
  Matches matches;
  for (const auto& layer : layers_) {
    if (layer->blobs().empty()) continue;
    const auto found = stored.find(layer->name());
    if (found == stored.end() || found->second->blobs_size() == 0) {
      if (missing == Missing::FAIL)
        fail(source, ": holds no weights for layer '", layer->name(), "' (", layer->type(), ")");
      LOG(INFO) << source << " holds no weights for layer '" << layer->name()
                << "'; it starts from its fillers";
      continue;
    }
    check_fits(*layer, *found->second, source);
    matches.emplace_back(layer.get(), found->second);
  }
  if (matches.empty()) fail(source, ": holds weights for no layer of this net");
  return matches;
}

void Net::copy_weights(const NetParameter& weights, const std::string& source, Missing missing) {
  for (const auto& [layer, stored] : match_weights(weights, source, missing))
    for (int i = 0; i < stored->blobs_size(); ++i) {
      Blob& blob = *layer->blobs()[i];
      copy_values(stored->blobs(i), blob.count(), blob.mutable_cpu_data());
      check_numbers(blob, *layer, source);
    }
}

void Net::copy_weights(const std::string& caffemodel, Missing missing) {
  const StoredNet stored_net(caffemodel);
  for (const auto& [layer, stored] : match_weights(stored_net.net(), caffemodel, missing))
    for (int i = 0; i < stored->blobs_size(); ++i) {
      stored_net.read(stored->blobs(i), layer->blobs()[i]->mutable_cpu_data());
      check_numbers(*layer->blobs()[i], *layer, caffemodel);
    }
}

void Net::share_weights(const Net& other) {
  for (const auto& layer : layers_) {
    const Layer* source = other.layer(layer->name());
    if (source == nullptr) continue;
    if (layer->blobs().size() != source->blobs().size())
      fail("layer '", layer->name(), "' has ", source->blobs().size(), " blob(s) in one phase and ",
           layer->blobs().size(), " in the other");
    for (std::size_t i = 0; i < layer->blobs().size(); ++i) {
      Blob& mine = *layer->blobs()[i];
      const Blob& theirs = *source->blobs()[i];
      if (mine.shape() != theirs.shape())
        fail("layer '", layer->name(), "' blob ", i, " is ", to_string(theirs.shape()),
             " in one phase and ", to_string(mine.shape()), " in the other");
      mine.share_data(theirs);
    }
  }
}

NetParameter Net::to_proto(bool write_diff) const {
  NetParameter net;
  net.set_name(name_);
  for (const auto& layer : layers_) {
    LayerParameter* stored = net.add_layer();
    *stored = layer->parameter();
    stored->clear_blobs();
    for (const auto& blob : layer->blobs()) blob->to_proto(stored->add_blobs(), write_diff);
  }
  return net;
}

}  // namespace vibnet
