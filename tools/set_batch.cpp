#include "set_batch.h"

namespace vibnet {
namespace {

void set_first_dimension(int batch, google::protobuf::RepeatedPtrField<BlobShape>* shapes) {
  for (BlobShape& shape : *shapes)
    if (shape.dim_size() > 0) shape.set_dim(0, batch);
}

}  // namespace

void set_batch(int batch, NetParameter* net) {
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
