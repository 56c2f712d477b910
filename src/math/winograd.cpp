#include "math/winograd.h"

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>

#include "math/parallel.h"
#include "math/scratch.h"
#include "math/winograd_steps.h"

namespace vibnet {
namespace {

using winograd::FilterBank;
using winograd::kPanel;
using winograd::Steps;
using winograd::Tiling;
using winograd::Transformed;

/// Floats that a core's own cache holds.
constexpr std::size_t kCoreFloats = 3 << 16;
/// Floats of transformed tiles that the cores together stream past the sums of weight gradients.
constexpr std::size_t kStreamFloats = 1 << 20;
/// Channels that a core sums weight gradients of at a time.
constexpr int kGradientChannels = 8 * kLanes;
/// Blocks of filters and channels that are too few to share out.
constexpr int kFewJobs = 4;
/// About how many sums of all weight gradients are made side by side then.
constexpr int kSums = 16;

/// Strips of the maps, or of the results, for tiles of m x m results.
Tiling tiling_of(const Convolution& c, int channels, int height, int width, int pad_h, int pad_w,
                 int result_height, int result_width, int m) {
  return {c.samples,
          channels,
          height,
          width,
          pad_h,
          pad_w,
          parts(result_height, m),
          parts(result_width, m)};
}

/// The maps, in the tiles that m x m results each are made of.
Tiling map_tiling(const Convolution& c, int m) {
  const WindowAxis& rows = c.window.axes[0];
  const WindowAxis& columns = c.window.axes[1];
  return tiling_of(c, c.window.channels, rows.size, columns.size, rows.pad, columns.pad,
                   rows.outputs(), columns.outputs(), m);
}

Tiling result_tiling(const Convolution& c, int m) {
  const int height = c.window.axes[0].outputs();
  const int width = c.window.axes[1].outputs();
  return tiling_of(c, c.filters, height, width, 0, 0, height, width, m);
}

/// The convolution of the results' gradients that gives the maps': by the filters turned about.
Convolution turned(const Convolution& c) {
  Convolution turned = c;
  turned.filters = c.window.channels;
  turned.window.channels = c.filters;
  for (WindowAxis& axis : turned.window.axes) {
    axis.size = axis.outputs();
    axis.pad = axis.kernel - 1 - axis.pad;
  }
  return turned;
}

/// A convolution of maps x with the bank's filters to results y. `ready`: the bank's panels,
/// transformed; null where that is still to be done.
struct Task {
  const WinogradKernels& winograd;
  Tiling input;
  Tiling output;
  const float* x;
  FilterBank bank;
  const float* ready;
  Epilogue epilogue;
  float* y;

  Steps steps() const { return Steps(winograd); }
  std::size_t panel_size() const { return bank.panel_size(winograd.elements()); }
};

/// The products of tiles, `rows` of them from `tile` on, with a panel's depths [begin, end), whose
/// elements are `element` floats apart from u on. Those of the first depth overwrite m.
void multiply_panel(int elements, const FilterBank& bank, const Transformed& v, int tile, int rows,
                    int panel, int begin, int end, const float* u, std::ptrdiff_t element,
                    const Transformed& m) {
  for (int e = 0; e < elements; ++e)
    kernels().multiply({rows, round_up_to_lanes(bank.columns(panel)), end - begin,
                        v.at(e, tile) + begin, v.tile, 1, u + e * element, kPanel, m.at(e, 0),
                        m.tile, begin > 0});
}

/// So many strips, or some fewer, whose tiles are all worked on in whole steps of kRowStep.
int whole_rows(std::size_t strips, int across) {
  const int step = kRowStep / std::gcd(kRowStep, across);
  const int most = static_cast<int>(std::min<std::size_t>(strips, 1 << 16));
  return most < step ? most : most / step * step;
}

/// Each thread takes strips of its own through all steps, past all filters.
void convolve_by_strips(const Task& task) {
  const Steps steps = task.steps();
  const FilterBank& bank = task.bank;
  const Tiling& input = task.input;
  const int elements = steps.elements();
  const int threads = omp_get_max_threads();
  const std::size_t floats_per_strip =
      std::size_t{1} * elements * input.across *
      (Transformed::tile_size(input.channels) + Transformed::tile_size(kPanel));
  const int fitting = whole_rows(kCoreFloats / floats_per_strip, input.across);
  const int block = std::clamp(fitting, 1, parts(input.strips(), threads));
  const int tiles = block * input.across;
  const std::size_t v_size = elements * Transformed::element_size(input.channels, tiles);
  const std::size_t m_size = elements * Transformed::element_size(kPanel, tiles);
  const std::size_t own_size = v_size + m_size + steps.strip_size(input);
  const std::size_t u_size = task.ready == nullptr ? task.panel_size() * bank.panels() : 0;
  float* memory = scratch(own_size * threads + u_size);
  float* u = memory + own_size * threads;
  if (task.ready == nullptr) bank.transform_all(task.winograd, u);
  const float* panels = task.ready == nullptr ? u : task.ready;

  parallel_jobs(parts(input.strips(), block), [&](int job, int thread) {
    float* own = memory + thread * own_size;
    const Transformed v(own, input.channels, tiles);
    const Transformed m(own + v_size, kPanel, tiles);
    float* buffer = own + v_size + m_size;
    const int begin = job * block;
    const int end = std::min(begin + block, input.strips());
    steps.load(task.x, input, begin, end, task.winograd.inputs, task.winograd.transform_input,
               buffer, v);
    for (int panel = 0; panel < bank.panels(); ++panel) {
      multiply_panel(elements, bank, v, 0, (end - begin) * input.across, panel, 0, bank.depth,
                     panels + panel * task.panel_size(), FilterBank::element_size(bank.depth), m);
      steps.store(m, task.output, begin, end, panel * kPanel, bank.columns(panel), task.epilogue,
                  buffer, task.y);
    }
  });
}

/// Each thread takes filters of its own past all tiles, or past some where filters are few.
void convolve_by_panels(const Task& task) {
  const Steps steps = task.steps();
  const FilterBank& bank = task.bank;
  const Tiling& input = task.input;
  const int elements = steps.elements();
  const int threads = omp_get_max_threads();
  const int block = parts(input.strips(), std::max(1, threads / bank.panels()));
  const int blocks = parts(input.strips(), block);
  const int fitting = static_cast<int>(kCoreFloats / 2 / (elements * kPanel)) / kLanes * kLanes;
  const int depth = task.ready == nullptr ? std::min(bank.depth, fitting) : bank.depth;
  const std::size_t v_size =
      elements * Transformed::element_size(input.channels, input.strips() * input.across);
  const std::size_t m_size = elements * Transformed::element_size(kPanel, block * input.across);
  const std::size_t u_size = task.ready == nullptr ? elements * FilterBank::element_size(depth) : 0;
  const std::size_t own_size = m_size + u_size;
  float* memory = scratch(v_size + (own_size + steps.strip_size(input)) * threads);
  float* buffers = memory + v_size + own_size * threads;
  const Transformed v(memory, input.channels, input.strips() * input.across);
  steps.share_load(task.x, input, 0, input.strips(), task.winograd.inputs,
                   task.winograd.transform_input, buffers, v);

  parallel_jobs(bank.panels() * blocks, [&](int job, int thread) {
    float* own = memory + v_size + thread * own_size;
    float* u = own + m_size;
    const Transformed m(own, kPanel, block * input.across);
    const int panel = job / blocks;
    const int begin = job % blocks * block;
    const int end = std::min(begin + block, input.strips());
    const int first_tile = begin * input.across;
    const int rows = (end - begin) * input.across;
    if (task.ready != nullptr)
      multiply_panel(elements, bank, v, first_tile, rows, panel, 0, depth,
                     task.ready + panel * task.panel_size(), FilterBank::element_size(depth), m);
    for (int d = 0; task.ready == nullptr && d < bank.depth; d += depth) {
      const int end_depth = std::min(bank.depth, d + depth);
      bank.transform(task.winograd, panel, d, end_depth, u, FilterBank::element_size(depth));
      multiply_panel(elements, bank, v, first_tile, rows, panel, d, end_depth, u,
                     FilterBank::element_size(depth), m);
    }
    steps.store(m, task.output, begin, end, panel * kPanel, bank.columns(panel), task.epilogue,
                buffers + thread * steps.strip_size(input), task.y);
  });
}

/// What is larger, tiles or filters, the threads share out.
void convolve(const WinogradKernels& winograd, const Convolution& convolution, const float* x,
              const FilterBank& bank, const float* ready, const Epilogue& epilogue, float* y) {
  const Task task{winograd,
                  map_tiling(convolution, winograd.outputs),
                  result_tiling(convolution, winograd.outputs),
                  x,
                  bank,
                  ready,
                  epilogue,
                  y};
  const std::int64_t tiles = std::int64_t{task.input.strips()} * task.input.across;
  if (tiles == 0 || bank.filters == 0) return;
  const std::int64_t floats_per_tile =
      Transformed::tile_size(bank.depth) + Transformed::tile_size(bank.filters);
  if (tiles * floats_per_tile >= std::int64_t{bank.filters} * bank.depth)
    convolve_by_strips(task);
  else
    convolve_by_panels(task);
}

/// The gradient by the maps, by the transpose of each step of forward.
void convolve_back(const WinogradKernels& winograd, const Convolution& convolution,
                   const float* results, const FilterBank& bank, float* maps) {
  const Steps steps(winograd);
  const Tiling output = map_tiling(convolution, winograd.outputs);
  const Tiling input = result_tiling(convolution, winograd.outputs);
  const int elements = winograd.elements();
  const int threads = omp_get_max_threads();
  const int tiles_per_sample = input.down * input.across;
  const std::size_t floats_per_sample =
      std::size_t{1} * elements * tiles_per_sample *
      (Transformed::tile_size(input.channels) + Transformed::tile_size(kPanel));
  const int fitting = whole_rows(kCoreFloats / floats_per_sample, tiles_per_sample);
  const int block = std::clamp(fitting, 1, std::max(1, parts(input.samples, threads)));
  const int tiles = block * tiles_per_sample;
  const std::size_t v_size = elements * Transformed::element_size(input.channels, tiles);
  const std::size_t m_size = elements * Transformed::element_size(kPanel, tiles);
  const std::size_t buffer_size = std::max(steps.strip_size(input), steps.sample_size(output));
  const std::size_t own_size = v_size + m_size + buffer_size;
  const std::size_t panel_size = bank.panel_size(elements);
  float* memory = scratch(own_size * threads + panel_size * bank.panels());
  float* panels = memory + own_size * threads;
  bank.transform_all(winograd, panels);

  parallel_jobs(parts(input.samples, block), [&](int job, int thread) {
    float* own = memory + thread * own_size;
    const Transformed v(own, input.channels, tiles);
    const Transformed m(own + v_size, kPanel, tiles);
    float* buffer = own + v_size + m_size;
    const int begin = job * block;
    const int end = std::min(begin + block, input.samples);
    steps.load(results, input, begin * input.down, end * input.down, winograd.outputs,
               winograd.transform_gradient, buffer, v);
    for (int panel = 0; panel < bank.panels(); ++panel) {
      multiply_panel(elements, bank, v, 0, (end - begin) * tiles_per_sample, panel, 0, bank.depth,
                     panels + panel * panel_size, FilterBank::element_size(bank.depth), m);
      for (int n = begin; n < end; ++n)
        steps.give_back(m, (n - begin) * tiles_per_sample, output, n, panel * kPanel,
                        bank.columns(panel), buffer, maps);
    }
  });
}

int count_tiles(const Tiling& tiling) { return tiling.down * tiling.across; }

/// The gradient by the weights in the Winograd domain, and how it becomes one by the weights.
class WeightGradient {
 public:
  WeightGradient(const WinogradKernels& winograd, const Convolution& convolution, const float* maps,
                 const float* results, bool adds, float* weights)
      : winograd_(winograd),
        steps_(winograd),
        input_(map_tiling(convolution, winograd.outputs)),
        output_(result_tiling(convolution, winograd.outputs)),
        maps_(maps),
        results_(results),
        adds_(adds),
        weights_(weights) {}

  void sum() const {
    if (channels() == 0 || filters() == 0) return;
    if (input_.strips() == 0 || input_.across == 0) return sum_nothing();
    if (jobs() < kFewJobs)
      sum_by_strips();
    else
      sum_by_panels();
  }

 private:
  int channels() const { return input_.channels; }
  int filters() const { return output_.channels; }
  int elements() const { return winograd_.elements(); }
  int taps() const { return winograd_.taps * winograd_.taps; }

  void sum_nothing() const {
    if (!adds_) std::fill_n(weights_, std::ptrdiff_t{filters()} * channels() * taps(), 0.0f);
  }

  std::size_t floats_per_strip() const {
    return std::size_t{1} * elements() * input_.across *
           (Transformed::tile_size(channels()) + Transformed::tile_size(filters()));
  }

  /// Strips whose tiles are so many floats.
  int strips_in(std::size_t floats) const {
    return static_cast<int>(
        std::clamp<std::size_t>(floats / floats_per_strip(), 1, input_.strips()));
  }

  // A job is a panel of filters by some channels.
  int blocks() const { return parts(channels(), kGradientChannels); }
  int jobs() const { return parts(filters(), kPanel) * blocks(); }
  int some_channels(int job) const {
    return std::min(kGradientChannels, channels() - job % blocks() * kGradientChannels);
  }
  /// A job's sums: elements x kPanel x the channels.
  std::ptrdiff_t element_size() const {
    return std::ptrdiff_t{kPanel} * std::min(kGradientChannels, round_up_to_lanes(channels())) +
           kLanes;
  }
  std::size_t sum_size() const { return element_size() * elements(); }

  /// A job's sums over `depth` tiles.
  void multiply(int job, const Transformed& v, const Transformed& g, int depth, bool adds,
                float* sums) const {
    const int filter = job / blocks() * kPanel;
    const int channel = job % blocks() * kGradientChannels;
    const int width = round_up_to_lanes(some_channels(job));
    for (int e = 0; e < elements(); ++e)
      kernels().multiply({std::min(kPanel, filters() - filter), width, depth, g.at(e, 0) + filter,
                          1, g.tile, v.at(e, 0) + channel, v.tile, sums + e * element_size(), width,
                          adds});
  }

  /// What a job's sums become in the gradient by the weights, of the filters [begin, end) of the
  /// job's.
  void give_to_weights(int job, int begin, int end, const float* sums) const {
    const int filter = job / blocks() * kPanel;
    const int channel = job % blocks() * kGradientChannels;
    const int count = some_channels(job);
    const int width = round_up_to_lanes(count);
    float of_lanes[winograd::kMostTaps * kLanes];
    for (int f = begin; f < std::min(end, filters() - filter); ++f)
      for (int lane = 0; lane < count; lane += kLanes) {
        winograd_.transform_weight_gradient(sums + f * width + lane, element_size(), of_lanes);
        float* to = weights_ + (std::ptrdiff_t{filter + f} * channels() + channel + lane) * taps();
        for (int i = 0; i < std::min(kLanes, count - lane); ++i, to += taps())
          for (int tap = 0; tap < taps(); ++tap)
            to[tap] = (adds_ ? to[tap] : 0) + of_lanes[tap * kLanes + i];
      }
  }

  /// Each thread takes strips of its own, and sums them for all filters. How the strips are shared
  /// out among the sums does not depend on the number of threads.
  void sum_by_strips() const {
    const int share = parts(input_.strips(), kSums / jobs());
    const int shares = parts(input_.strips(), share);
    const int block = std::min(share, strips_in(kStreamFloats / 2));
    const int tiles = block * input_.across;
    const std::size_t v_size = elements() * Transformed::element_size(channels(), tiles);
    const std::size_t g_size = elements() * Transformed::element_size(filters(), tiles);
    const std::size_t own_size = v_size + g_size + steps_.strip_size(input_);
    const std::size_t all_sums = sum_size() * jobs();
    float* sums = scratch(all_sums * shares + own_size * omp_get_max_threads());
    float* memory = sums + all_sums * shares;
    parallel_jobs(shares, [&](int part, int thread) {
      float* own = memory + thread * own_size;
      const Transformed v(own, channels(), tiles);
      const Transformed g(own + v_size, filters(), tiles);
      float* buffer = own + v_size + g_size;
      const int last = std::min(input_.strips(), (part + 1) * share);
      for (int begin = part * share; begin < last; begin += block) {
        const int end = std::min(begin + block, last);
        steps_.load(maps_, input_, begin, end, winograd_.inputs, winograd_.transform_input, buffer,
                    v);
        steps_.load(results_, output_, begin, end, steps_.m(), winograd_.transform_gradient, buffer,
                    g);
        for (int job = 0; job < jobs(); ++job)
          multiply(job, v, g, (end - begin) * input_.across, begin > part * share,
                   sums + part * all_sums + job * sum_size());
      }
    });
    parallel_for(static_cast<std::int64_t>(all_sums), grain_of(shares),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (int part = 1; part < shares; ++part)
                     std::transform(sums + begin, sums + end, sums + part * all_sums + begin,
                                    sums + begin, std::plus<>());
                 });
    constexpr int kShares = 4;
    parallel_jobs(jobs() * kShares, [&](int part, int /*thread*/) {
      const int job = part / kShares;
      const int share = part % kShares;
      give_to_weights(job, share * kPanel / kShares, (share + 1) * kPanel / kShares,
                      sums + job * sum_size());
    });
  }

  /// Each thread takes filters and channels of its own, and sums all strips for them.
  void sum_by_panels() const {
    const int strips = input_.strips();
    const int block = strips_in(std::max(kStreamFloats, jobs() * sum_size() / 2));
    const int tiles = block * input_.across;
    const std::size_t v_size = elements() * Transformed::element_size(channels(), tiles);
    const std::size_t g_size = elements() * Transformed::element_size(filters(), tiles);
    const int threads = omp_get_max_threads();
    // Sums that are done with at once are made where the last were.
    const bool is_one = block == strips;
    const std::size_t sums_size = sum_size() * (is_one ? threads : jobs());
    float* memory = scratch(v_size + g_size + sums_size + steps_.strip_size(input_) * threads);
    const Transformed v(memory, channels(), tiles);
    const Transformed g(memory + v_size, filters(), tiles);
    float* sums = memory + v_size + g_size;
    float* buffers = sums + sums_size;
    for (int begin = 0; begin < strips; begin += block) {
      const int end = std::min(begin + block, strips);
      steps_.share_load(maps_, input_, begin, end, winograd_.inputs, winograd_.transform_input,
                        buffers, v);
      steps_.share_load(results_, output_, begin, end, steps_.m(), winograd_.transform_gradient,
                        buffers, g);
      parallel_jobs(jobs(), [&](int job, int thread) {
        float* own = sums + (is_one ? thread : job) * sum_size();
        multiply(job, v, g, (end - begin) * input_.across, begin > 0, own);
        if (end == strips) give_to_weights(job, 0, kPanel, own);
      });
    }
  }

  const WinogradKernels& winograd_;
  const Steps steps_;
  const Tiling input_;
  const Tiling output_;
  const float* maps_;
  const float* results_;
  bool adds_;
  float* weights_;
};

FilterBank bank_of(const Convolution& c, const float* weights) {
  const int taps = c.window.axes[0].kernel * c.window.axes[1].kernel;
  return {weights, taps, c.filters, c.window.channels, false, false};
}

const WinogradKernels& kernels_of(int taps, int outputs_per_tile) {
  const Kernels& all = kernels();
  if (outputs_per_tile == 2) return taps == 5 ? all.winograd2_by5 : all.winograd2;
  return taps == 5 ? all.winograd4_by5 : all.winograd4;
}

}  // namespace

bool Winograd::takes(const Convolution& c, int outputs_per_tile) {
  const int taps = c.window.axes[0].kernel;
  const bool is_known =
      (taps == 3 || taps == 5) && (outputs_per_tile == 2 || outputs_per_tile == 4);
  return is_known && c.groups == 1 && c.window.axes.size() == 2 &&
         std::all_of(c.window.axes.begin(), c.window.axes.end(), [&](const WindowAxis& axis) {
           return axis.kernel == taps && axis.stride == 1 && axis.dilation == 1 && axis.pad < taps;
         });
}

Winograd::Winograd(const Convolution& convolution, int outputs_per_tile)
    : convolution_(convolution),
      kernels_(kernels_of(convolution.window.axes[0].kernel, outputs_per_tile)) {}

void Winograd::forward(const float* maps, const float* weights, const Epilogue& epilogue,
                       float* results) const {
  convolve(kernels_, convolution_, maps, bank_of(convolution_, weights), nullptr, epilogue,
           results);
}

void Winograd::forward_prepared(const float* maps, const float* prepared, const Epilogue& epilogue,
                                float* results) const {
  convolve(kernels_, convolution_, maps, bank_of(convolution_, nullptr), prepared, epilogue,
           results);
}

void Winograd::backward_data(const float* results, const float* weights, float* maps) const {
  FilterBank bank = bank_of(convolution_, weights);
  std::swap(bank.filters, bank.depth);
  bank.is_transposed = true;
  const Convolution turned = vibnet::turned(convolution_);
  bank.is_turned = count_tiles(map_tiling(turned, kernels_.outputs)) <=
                   count_tiles(map_tiling(convolution_, kernels_.outputs));
  if (bank.is_turned)
    convolve(kernels_, turned, results, bank, nullptr, {}, maps);
  else
    convolve_back(kernels_, convolution_, results, bank, maps);
}

std::size_t Winograd::prepared_size() const {
  const FilterBank bank = bank_of(convolution_, nullptr);
  return bank.panel_size(kernels_.elements()) * bank.panels();
}

void Winograd::prepare(const float* weights, float* prepared) const {
  bank_of(convolution_, weights).transform_all(kernels_, prepared);
}

void Winograd::backward_weights(const float* maps, const float* results, bool adds,
                                float* weights) const {
  WeightGradient(kernels_, convolution_, maps, results, adds, weights).sum();
}

}  // namespace vibnet
