#include "compress/mixer.h"

#include "compress/blob_edit.h"

namespace vibnet {
namespace {

bool is_inner_product(const LayerParameter& layer) { return layer.type() == "InnerProduct"; }

bool is_transposed(const LayerParameter& layer) {
  return is_inner_product(layer) && layer.inner_product_param().transpose();
}

}  // namespace

int output_axis(const LayerParameter& layer) { return is_transposed(layer) ? 1 : 0; }
int input_axis(const LayerParameter& layer) { return is_transposed(layer) ? 0 : 1; }

int outputs_of(const LayerParameter& layer) {
  return axis_size(layer.blobs(0), output_axis(layer));
}

int inputs_of(const LayerParameter& layer) { return axis_size(layer.blobs(0), input_axis(layer)); }

int stated_outputs(const LayerParameter& layer) {
  return static_cast<int>(is_inner_product(layer) ? layer.inner_product_param().num_output()
                                                  : layer.convolution_param().num_output());
}

void state_outputs(int outputs, LayerParameter* layer) {
  if (is_inner_product(*layer))
    layer->mutable_inner_product_param()->set_num_output(outputs);
  else
    layer->mutable_convolution_param()->set_num_output(outputs);
}

}  // namespace vibnet
