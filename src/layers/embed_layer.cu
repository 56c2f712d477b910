#include "layers/embed_layer.h"

#include "layers/wrong_row.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class EmbedLayerGPU : public EmbedLayer {
 public:
  using EmbedLayer::EmbedLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int words = words_;
    const int outputs = outputs_;
    const float* indices = bottom[0]->gpu_data();
    const float* table = blobs_[0]->gpu_data();
    const float* bias = parameter().bias_term() ? blobs_[1]->gpu_data() : nullptr;
    float* y = top[0]->mutable_gpu_data();
    int* wrong = wrong_.on_gpu();
    for_each_gpu(top[0]->count(), [=] __device__(int i) {
      const int word = read_index(indices, i / outputs, words, wrong);
      const float value = word < 0 ? 0 : table[word * outputs + i % outputs];
      y[i] = value + (bias == nullptr ? 0 : bias[i % outputs]);
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& bottom) override {
    const int outputs = outputs_;
    const float* dy = top[0]->gpu_diff();
    if (learns(0)) add_table_gradient(*bottom[0], dy);
    if (!parameter().bias_term() || !learns(1)) return;
    float* dbias = blobs_[1]->mutable_gpu_diff();
    sum_rows_gpu(
        outputs, bottom[0]->count(),
        [=] __device__(int o, int k) {
          return Sums{dy[k * outputs + o], 0};
        },
        [=] __device__(int o, const Sums& sums) { dbias[o] += static_cast<float>(sums.first); });
  }

  /// A thread for each output and each of kShares of the words, which goes through the indices in
  /// their order: two of them may name one word.
  void add_table_gradient(const Blob& bottom, const float* dy) {
    constexpr int kShares = 64;
    const int words = words_;
    const int outputs = outputs_;
    const int count = bottom.count();
    const float* indices = bottom.gpu_data();
    float* dtable = blobs_[0]->mutable_gpu_diff();
    int* wrong = wrong_.on_gpu();
    for_each_gpu(kShares * outputs, [=] __device__(int i) {
      const int o = i % outputs;
      for (int k = 0; k < count; ++k) {
        const int word = read_index(indices, k, words, wrong);
        if (word % kShares == i / outputs) dtable[word * outputs + o] += dy[k * outputs + o];
      }
    });
  }

  void check(const Blobs& bottom) override {
    const int row = wrong_.take();
    if (row >= 0) fail_index(bottom[0]->cpu_data()[row]);
  }

 private:
  WrongRow wrong_;
};

REGISTER_LAYER(Embed, GPU, EmbedLayerGPU);

}  // namespace vibnet
