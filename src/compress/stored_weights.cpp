#include "compress/stored_weights.h"

#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include "compress/blob_edit.h"
#include "compress/mixer.h"
#include "compress/rule.h"
#include "net/filter.h"
#include "vibnet/blob.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

std::string title(const LayerParameter& layer) {
  return "layer '" + layer.name() + "' (" + layer.type() + ")";
}

void set_shape(const Shape& shape, BlobProto* blob) {
  blob->clear_num();
  blob->clear_channels();
  blob->clear_height();
  blob->clear_width();
  blob->clear_shape();
  for (const int dimension : shape) blob->mutable_shape()->add_dim(dimension);
}

void check_count(const LayerParameter& layer, const BlobProto& blob) {
  const Shape shape = shape_of(blob);
  std::int64_t values = 1;
  for (const int dimension : shape)
    if (values <= std::numeric_limits<int>::max()) values *= dimension;
  if (blob.data_size() == 0 || blob.data_size() != values)
    fail(title(layer), ": a stored blob of ", values, " values holds ", blob.data_size());
}

/// Values in floats, a shape of its own, and no 1s in front of the axes that a blob has today: the
/// 4-axis form of Caffe's old files.
void modernize(const LayerParameter& layer, std::size_t axes, BlobProto* blob) {
  if (blob->data_size() == 0) {
    blob->mutable_data()->Add(blob->double_data().begin(), blob->double_data().end());
    blob->clear_double_data();
  }
  check_count(layer, *blob);
  Shape shape = shape_of(*blob);
  while (shape.size() > axes && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() != axes)
    fail(title(layer), ": a stored blob is ", to_string(shape), ", and ", axes, " axes are needed");
  set_shape(shape, blob);
}

void check_mixer(LayerParameter* layer) {
  const std::size_t axes = layer->type() == "InnerProduct" ? 2 : shape_of(layer->blobs(0)).size();
  modernize(*layer, axes, layer->mutable_blobs(0));
  if (layer->blobs_size() > 1) modernize(*layer, 1, layer->mutable_blobs(1));
  const int outputs = outputs_of(*layer);
  if (axes < 2 || outputs != stated_outputs(*layer))
    fail(title(*layer), ": the stored weights are ", to_string(shape_of(layer->blobs(0))),
         ", and the prototxt says num_output: ", stated_outputs(*layer));
  if (layer->blobs_size() > 1 && axis_size(layer->blobs(1), 0) != outputs)
    fail(title(*layer), ": the stored bias is ", to_string(shape_of(layer->blobs(1))), " for ",
         outputs, " outputs");
}

void check_channelwise(LayerParameter* layer) {
  for (BlobProto& blob : *layer->mutable_blobs())
    if (!shape_of(blob).empty()) modernize(*layer, 1, &blob);  // a shared PReLU's slope is a scalar
  for (int i = 1; i < per_channel_blobs(*layer); ++i)
    if (layer->blobs(i).data_size() != layer->blobs(0).data_size())
      fail(title(*layer), ": the stored blobs hold ", layer->blobs(0).data_size(), " and ",
           layer->blobs(i).data_size(), " values, and one for each channel is needed");
}

void check_blobs(LayerParameter* layer) {
  const Role role = rule_of(*layer).role;
  if (role == Role::WALL) return;
  if (layer->blobs_size() != needed_blobs(*layer))
    fail(title(*layer), ": the weights hold ", layer->blobs_size(), " blob(s) for it, and ",
         needed_blobs(*layer), " are needed");
  role == Role::MIXER ? check_mixer(layer) : check_channelwise(layer);
}

}  // namespace

int needed_blobs(const LayerParameter& layer) {
  const std::string& type = layer.type();
  if (type == "InformationBottleneck") return 2;
  if (type == "BatchNorm") return 3;
  if (type == "Convolution") return layer.convolution_param().bias_term() ? 2 : 1;
  if (type == "InnerProduct") return layer.inner_product_param().bias_term() ? 2 : 1;
  if (type == "Scale" && layer.bottom_size() == 1) return layer.scale_param().bias_term() ? 2 : 1;
  return type == "PReLU" ? 1 : 0;
}

NetParameter test_phase(const NetParameter& model) {
  NetState state = model.state();
  state.set_phase(TEST);
  return filter_net(model, state);
}

NetParameter with_weights(NetParameter net, const NetParameter& weights) {
  std::map<std::string, const LayerParameter*> stored;
  for (const LayerParameter& layer : weights.layer()) stored[layer.name()] = &layer;
  for (LayerParameter& layer : *net.mutable_layer()) {
    const auto found = stored.find(layer.name());
    if (found != stored.end()) *layer.mutable_blobs() = found->second->blobs();
    check_blobs(&layer);
  }
  return net;
}

}  // namespace vibnet
