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

/// A parameter as it is updated.
struct Update {
  float* data;
  const float* gradient;
  std::vector<float*> history;
  float rate;
  GradientTerms terms;
};

/// Calls body(i, begin, end) for pieces of some values, so many of each, on all threads.
template <typename Body>
void for_each_piece(const std::vector<std::int64_t>& counts, const Body& body) {
  constexpr std::int64_t kPiece = 8192;
  struct Piece {
    std::size_t of;
    std::int64_t begin, end;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < counts.size(); ++i)
    for (std::int64_t begin = 0; begin < counts[i]; begin += kPiece)
      pieces.push_back({i, begin, std::min(counts[i], begin + kPiece)});
  parallel_for(static_cast<std::int64_t>(pieces.size()), 2,
               [&](std::int64_t first, std::int64_t last) {
                 for (std::int64_t p = first; p < last; ++p)
                   body(pieces[p].of, pieces[p].begin, pieces[p].end);
               });
}

class UpdaterCPU : public Updater {
 public:
  using Updater::Updater;

  void clear_gradients() override {
    for (const UpdatedParameter& parameter : parameters_) parameter.blob->clear_diff();
  }

  void update(const UpdateFactors& factors) override {
    const float scale = clip_scale() / static_cast<float>(settings_.passes);
    std::vector<std::int64_t> counts;
    std::vector<Update> updates;
    for (const UpdatedParameter& parameter : parameters_) {
      if (parameter.lr_mult == 0) continue;
      counts.push_back(parameter.blob->count());
      updates.push_back(update_of(parameter, factors, scale));
    }
    for_each_piece(counts, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
      const Update& own = updates[i];
      rule_.update(begin, end, factors, own.rate, own.terms, own.gradient, own.history, own.data);
    });
  }

 private:
  /// What the gradients are to be multiplied by so that their norm is at most that of the settings.
  float clip_scale() const {
    if (settings_.clip < 0) return 1;
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
    return norm > settings_.clip ? static_cast<float>(settings_.clip / norm) : 1;
  }

  Update update_of(const UpdatedParameter& parameter, const UpdateFactors& factors,
                   float scale) const {
    Update update{parameter.blob->mutable_cpu_data(),
                  parameter.blob->cpu_diff(),
                  {},
                  static_cast<float>(factors.rate * parameter.lr_mult),
                  {scale, parameter.l1_decay * factors.kl_weight, 0, 0}};
    for (Blob* blob : parameter.history) update.history.push_back(blob->mutable_cpu_data());
    if (rule_.decouples_decay())
      update.terms.shrink = update.rate * parameter.decay;
    else
      (settings_.decays_signs ? update.terms.l1 : update.terms.l2) += parameter.decay;
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
