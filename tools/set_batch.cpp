#include "set_batch.h"

#include <cstdint>
#include <set>

namespace vibnet {
namespace {

void set_first_dimension(int batch, google::protobuf::RepeatedPtrField<BlobShape>* shapes) {
  for (BlobShape& shape : *shapes)
    if (shape.dim_size() > 0) shape.set_dim(0, batch);
}

/// Where the Inputs' first axes differ, or a recurrent layer counts its steps there, they are no
/// batch.
bool first_axis_is_batch(const NetParameter& net) {
  std::set<std::int64_t> sizes;
  for (const LayerParameter& layer : net.layer()) {
    if (layer.type() == "LSTM" || layer.type() == "RNN") return false;
    for (const auto* shapes : {&layer.input_param().shape(), &layer.dummy_data_param().shape()})
      for (const BlobShape& shape : *shapes) sizes.insert(shape.dim_size() > 0 ? shape.dim(0) : -1);
  }
  return sizes.size() < 2;
}

}  // namespace

void set_batch(int batch, NetParameter* net) {
  if (!first_axis_is_batch(*net)) return;
  for (LayerParameter& layer : *net->mutable_layer()) {
    if (layer.has_data_param()) layer.mutable_data_param()->set_batch_size(batch);
    if (layer.has_input_param())
      set_first_dimension(batch, layer.mutable_input_param()->mutable_shape());
    if (!layer.has_dummy_data_param()) continue;
    DummyDataParameter* dummy = layer.mutable_dummy_data_param();
    set_first_dimension(batch, dummy->mutable_shape());
    for (std::uint32_t& num : *dummy->mutable_num()) num = static_cast<std::uint32_t>(batch);
  }
}

}  // namespace vibnet
