#include "vibnet/filler.h"

#include <algorithm>
#include <cmath>

#include "vibnet/error.h"

namespace vibnet {
namespace {

void fill_uniform(float low, float high, RandomKey key, Blob* blob) {
  RandomSequence random(key);
  float* data = blob->mutable_cpu_data();
  std::generate_n(data, blob->count(), [&] { return low + (high - low) * random.uniform(); });
}

void fill_gaussian(float mean, float std, RandomKey key, Blob* blob) {
  RandomSequence random(key);
  float* data = blob->mutable_cpu_data();
  std::generate_n(data, blob->count(), [&] { return mean + std * random.normal(); });
}

/// Keeps on average `sparse` inputs of each output (Caffe's GaussianFiller).
void drop_for_sparsity(int sparse, RandomKey key, Blob* blob) {
  if (blob->axes() < 1 || blob->shape(0) == 0) return;
  RandomSequence random(key, 1);
  const float keep = static_cast<float>(sparse) / blob->shape(0);
  float* data = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i)
    if (random.uniform() >= keep) data[i] = 0;
}

void fill_positive_unitball(RandomKey key, Blob* blob) {
  fill_uniform(0, 1, key, blob);
  const int row = blob->shape(0) == 0 ? 0 : blob->count() / blob->shape(0);
  float* data = blob->mutable_cpu_data();
  for (int i = 0; i < blob->shape(0); ++i) {
    float sum = 0;
    for (int j = 0; j < row; ++j) sum += data[i * row + j];
    for (int j = 0; j < row; ++j) data[i * row + j] /= sum;
  }
}

/// The number that xavier (Glorot and Bengio 2010) and msra (He et al. 2015) divide by.
float fan(const FillerParameter& filler, const Blob& blob) {
  const float fan_in = static_cast<float>(blob.count()) / blob.shape(0);
  const float fan_out = blob.axes() > 1 ? static_cast<float>(blob.count()) / blob.shape(1)
                                        : static_cast<float>(blob.count());
  switch (filler.variance_norm()) {
    case FillerParameter::FAN_OUT:
      return fan_out;
    case FillerParameter::AVERAGE:
      return (fan_in + fan_out) / 2;
    default:
      return fan_in;
  }
}

/// Upsampling weights for a Deconvolution (Caffe's BilinearFiller).
void fill_bilinear(Blob* blob) {
  if (blob->axes() != 4 || blob->shape(2) != blob->shape(3))
    fail("filler bilinear needs a square kernel of 4 axes, not ", to_string(blob->shape()));
  const int width = blob->shape(3);
  const int factor = (width + 1) / 2;
  const float centre = (width - 1) / (2.0f * factor);
  float* data = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i) {
    const float x = static_cast<float>(i % width) / factor;
    const float y = static_cast<float>((i / width) % width) / factor;
    data[i] = (1 - std::fabs(x - centre)) * (1 - std::fabs(y - centre));
  }
}

}  // namespace

void fill(const FillerParameter& filler, RandomKey key, Blob* blob) {
  if (blob->count() == 0) return;
  const std::string& type = filler.type();
  if (filler.sparse() >= 0 && type != "gaussian") fail("filler ", type, " cannot be sparse");
  if (type == "constant") {
    blob->set_data(filler.value());
  } else if (type == "uniform") {
    fill_uniform(filler.min(), filler.max(), key, blob);
  } else if (type == "gaussian") {
    fill_gaussian(filler.mean(), filler.std(), key, blob);
    if (filler.sparse() >= 0) drop_for_sparsity(filler.sparse(), key, blob);
  } else if (type == "positive_unitball") {
    fill_positive_unitball(key, blob);
  } else if (type == "xavier") {
    const float bound = std::sqrt(3 / fan(filler, *blob));
    fill_uniform(-bound, bound, key, blob);
  } else if (type == "msra") {
    fill_gaussian(0, std::sqrt(2 / fan(filler, *blob)), key, blob);
  } else if (type == "bilinear") {
    fill_bilinear(blob);
  } else {
    fail("filler '", type, "' is not known: constant, uniform, gaussian, positive_unitball, ",
         "xavier, msra and bilinear are");
  }
}

}  // namespace vibnet
