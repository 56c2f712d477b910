#include "net/layer_set_up.h"

#include <algorithm>

#include "vibnet/error.h"

namespace vibnet {

std::string title(const LayerParameter& layer) {
  return "layer '" + layer.name() + "' (" + layer.type() + ")";
}

/// "needs 1 bottom", "needs 2 to 3 bottoms", "needs 1 or more bottoms".
void check_count(const LayerParameter& layer, int found, BlobCount wanted, const char* what) {
  if (found >= wanted.min && found <= wanted.max) return;
  const std::string range = wanted.min == wanted.max ? std::to_string(wanted.min)
                            : wanted.max == BlobCount::kAny
                                ? std::to_string(wanted.min) + " or more"
                                : std::to_string(wanted.min) + " to " + std::to_string(wanted.max);
  fail(title(layer), ": needs ", range, " ", what, "(s), and ", found, " given");
}

int top_count(const Layer& layer, int named) {
  return layer.makes_missing_tops() ? std::max(named, layer.top_count().min) : named;
}

void set_up_layer(const Blobs& bottom, const Blobs& top, Layer* layer) {
  try {
    layer->set_up(bottom, top);
    layer->reshape(bottom, top);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.rfind("layer '", 0) == 0) throw;
    fail(title(layer->parameter()), ": ", message);
  }
}

}  // namespace vibnet
