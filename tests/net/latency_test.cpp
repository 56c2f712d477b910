#include "net/latency.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "support/trained_net.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// As on a machine that does something else for a while.
class NapLayer : public Layer {
 public:
  using Layer::Layer;
  void reshape(const Blobs& bottom, const Blobs& top) override { top[0]->reshape_like(*bottom[0]); }
  void forward(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    if (passes_++ < kNaps) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

 private:
  static constexpr int kNaps = 35;
  int passes_ = 0;
};

REGISTER_LAYER(Nap, CPU, NapLayer);

TEST(ForwardMs, IsThatOfTheQuietestRun) {
  Net net(net_of(R"(
    layer { name: 'in' type: 'Input' top: 'in' input_param { shape { dim: 1 dim: 2 } } }
    layer { name: 'nap' type: 'Nap' bottom: 'in' top: 'nap' })"),
          NetOptions());
  EXPECT_LT(forward_ms(5, &net), 5);
}

}  // namespace
}  // namespace vibnet
