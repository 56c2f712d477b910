#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/update_factors.h"
#include "solver/update_rule.h"
#include "vibnet/blob.h"
#include "vibnet/device.h"

namespace vibnet {

/// A parameter as a solver updates it, with what the rule remembers of it.
struct UpdatedParameter {
  std::string name;
  Blob* blob;
  std::vector<Blob*> history;
  float lr_mult;
  /// weight_decay, decay_mult in it.
  float decay;
  /// Times kl_weight and the value's sign, a part of the gradient in every rule.
  float l1_decay;
};

/// What is the same in all of a run's updates.
struct UpdateSettings {
  /// Whether decay pulls by the values' signs (L1), and not by the values.
  bool decays_signs = false;
  /// The L2 norm that all gradients together have at most; negative for none.
  float clip = -1;
  /// Passes that a gradient is the sum of.
  int passes = 1;
};

/// Gradients to steps: clips them, adds the decay, and applies the rule, on a net's device.
class Updater {
 public:
  Updater(const UpdateRule& rule, std::vector<UpdatedParameter> parameters,
          const UpdateSettings& settings)
      : rule_(rule), parameters_(std::move(parameters)), settings_(settings) {}
  Updater(const Updater&) = delete;
  Updater& operator=(const Updater&) = delete;
  virtual ~Updater() = default;

  virtual void clear_gradients() = 0;
  virtual void update(const UpdateFactors& factors) = 0;

 protected:
  const UpdateRule& rule_;
  /// Those with an lr_mult of 0 among them: their gradients count in the norm.
  std::vector<UpdatedParameter> parameters_;
  UpdateSettings settings_;
};

using UpdaterFactory = std::unique_ptr<Updater> (*)(const UpdateRule&,
                                                    std::vector<UpdatedParameter>,
                                                    const UpdateSettings&);

/// The device's updater.
std::unique_ptr<Updater> make_updater(const Device& device, const UpdateRule& rule,
                                      std::vector<UpdatedParameter> parameters,
                                      const UpdateSettings& settings);

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_updater(UpdaterFactory factory);

}  // namespace vibnet
