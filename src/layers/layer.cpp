#include "vibnet/layer.h"

#include "vibnet/filler.h"

namespace vibnet {

void Layer::backward(const Blobs& /*top*/, const std::vector<bool>& propagate_down,
                     const Blobs& /*bottom*/) {
  for (const bool wanted : propagate_down)
    if (wanted) fail("has no gradient, and something asks for one; set propagate_down: false");
}

void Layer::set_learns(int index, bool learns) {
  if (index >= static_cast<int>(learns_.size())) learns_.resize(index + 1, true);
  learns_[index] = learns;
}

int Layer::size_of(const char* field, std::uint32_t value) const {
  constexpr std::uint32_t kLargest = 1 << 24;
  if (value > kLargest) fail(field, ": ", value, " is too large");
  return static_cast<int>(value);
}

int Layer::share_of(int batch_size) const {
  const int ranks = context_.ranks->size();
  if (batch_size % ranks != 0)
    fail("a batch of ", batch_size, " samples cannot be shared alike by ", ranks,
         " ranks; make it a multiple");
  return batch_size / ranks;
}

void Layer::add_blob(const Shape& shape, const FillerParameter* filler) {
  auto blob = std::make_shared<Blob>(shape);
  const std::string user = name() + "/" + std::to_string(blobs_.size());
  if (filler != nullptr && context_.fills_parameters) {
    try {
      fill(*filler, vibnet::random_key(context_.seed, user), blob.get());
    } catch (const Error& error) {
      fail(error.what());
    }
  }
  blobs_.push_back(std::move(blob));
}

}  // namespace vibnet
