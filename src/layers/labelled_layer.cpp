#include "layers/labelled_layer.h"

#include <cstdint>

namespace vibnet {

void LabelledLayer::find_rows(const Blobs& bottom, int first, int end) {
  if (bottom[0]->axes() < first)
    fail("needs scores, N x classes, not ", to_string(bottom[0]->shape()));
  outer_ = bottom[0]->count(0, first);
  classes_ = bottom[0]->count(first, end);
  inner_ = bottom[0]->count(end);
  const std::int64_t rows = std::int64_t{outer_} * inner_;
  if (bottom[1]->count() != rows)
    fail("needs ", rows, " labels for a bottom of ", to_string(bottom[0]->shape()), ", and has ",
         bottom[1]->count());
}

void LabelledLayer::fail_label(float label, int row) const {
  fail("label ", label, " of row ", row, " is not one of the classes 0 to ", classes_ - 1);
}

}  // namespace vibnet
