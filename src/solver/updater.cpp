#include "solver/updater.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "math/parallel.h"

namespace vibnet {
namespace {

UpdaterFactory& gpu_factory() {
  static UpdaterFactory factory = nullptr;
  return factory;
}

void add_decay(std::int64_t begin, std::int64_t end, float l1, float l2, const float* data,
               float* gradient) {
  for (std::int64_t i = begin; i < end; ++i) {
    const float sign = static_cast<float>((data[i] > 0) - (data[i] < 0));
    gradient[i] += l1 * sign + l2 * data[i];
  }
}

/// A parameter as it is updated.
struct Update {
  std::int64_t count;
  float* data;
  float* gradient;
  std::vector<float*> history;
  float rate;
  /// What is added to the gradient: l1 times the sign, and l2 times the value.
  float l1;
  float l2;
  /// The share of each value that is taken away apart from the gradient.
  float shrink;

  void regularize(std::int64_t begin, std::int64_t end) const {
    if (l1 != 0 || l2 != 0) add_decay(begin, end, l1, l2, data, gradient);
    if (shrink == 0) return;
    const float share = shrink;
    for (float* value = data + begin; value < data + end; ++value) *value -= share * *value;
  }
};

/// Some values of an update, which stay in a core's cache.
struct UpdatePiece {
  const Update* update;
  std::int64_t begin, end;
};

std::vector<UpdatePiece> pieces_of(const std::vector<Update>& updates) {
  constexpr std::int64_t kPiece = 8192;
  std::vector<UpdatePiece> pieces;
  for (const Update& update : updates)
    for (std::int64_t begin = 0; begin < update.count; begin += kPiece)
      pieces.push_back({&update, begin, std::min(update.count, begin + kPiece)});
  return pieces;
}

class UpdaterCPU : public Updater {
 public:
  using Updater::Updater;

  void clear_gradients() override {
    for (const UpdatedParameter& parameter : parameters_) parameter.blob->set_diff(0);
  }

  void update(std::int64_t iteration, double rate, float kl_weight) override {
    clip_gradients();
    if (settings_.passes > 1) scale_gradients(1 / static_cast<float>(settings_.passes));
    std::vector<Update> updates;
    for (const UpdatedParameter& parameter : parameters_)
      if (parameter.lr_mult != 0) updates.push_back(update_of(parameter, rate, kl_weight));
    const std::vector<UpdatePiece> pieces = pieces_of(updates);
    parallel_for(static_cast<std::int64_t>(pieces.size()), 2,
                 [&](std::int64_t first, std::int64_t last) {
                   for (std::int64_t i = first; i < last; ++i) {
                     const auto& [update, begin, end] = pieces[i];
                     update->regularize(begin, end);
                     rule_.update(begin, end, update->rate, iteration, update->gradient,
                                  update->history, update->data);
                   }
                 });
  }

 private:
  void scale_gradients(float scale) {
    for (const UpdatedParameter& parameter : parameters_) {
      float* gradient = parameter.blob->mutable_cpu_diff();
      for (int i = 0; i < parameter.blob->count(); ++i) gradient[i] *= scale;
    }
  }

  void clip_gradients() {
    if (settings_.clip < 0) return;
    double squares = 0;
    for (const UpdatedParameter& parameter : parameters_) {
      const float* gradient = parameter.blob->cpu_diff();
      squares += parallel_sum(parameter.blob->count(), [=](std::int64_t begin, std::int64_t end) {
        double sum = 0;
        for (std::int64_t i = begin; i < end; ++i) sum += double{gradient[i]} * gradient[i];
        return sum;
      });
    }
    const double norm = std::sqrt(squares);
    if (norm > settings_.clip) scale_gradients(static_cast<float>(settings_.clip / norm));
  }

  Update update_of(const UpdatedParameter& parameter, double rate, float kl_weight) const {
    Update update{parameter.blob->count(),
                  parameter.blob->mutable_cpu_data(),
                  parameter.blob->mutable_cpu_diff(),
                  {},
                  static_cast<float>(rate * parameter.lr_mult),
                  parameter.l1_decay * kl_weight,
                  0,
                  0};
    for (Blob* blob : parameter.history) update.history.push_back(blob->mutable_cpu_data());
    if (rule_.decouples_decay())
      update.shrink = update.rate * parameter.decay;
    else
      (settings_.decays_signs ? update.l1 : update.l2) += parameter.decay;
    return update;
  }
};

}  // namespace

std::unique_ptr<Updater> make_updater(const Device& device, const UpdateRule& rule,
                                      std::vector<UpdatedParameter> parameters,
                                      const UpdateSettings& settings) {
  if (device.type == DeviceType::GPU) return gpu_factory()(rule, std::move(parameters), settings);
  return std::make_unique<UpdaterCPU>(rule, std::move(parameters), settings);
}

bool register_gpu_updater(UpdaterFactory factory) {
  gpu_factory() = factory;
  return true;
}

}  // namespace vibnet
