#include "math/channels_last.h"

#include <algorithm>
#include <utility>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "math/convolution_gpu.h"
#include "math/scratch_gpu.h"
#include "vibnet/device.h"

namespace vibnet {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kThreadsPerBlock / kTile;

/// Matrices of rows x columns, one behind the other.
struct Matrices {
  int count;
  int rows;
  int columns;

  std::size_t values() const { return std::size_t{1} * count * rows * columns; }
  Matrices turned() const { return {count, columns, rows}; }
};

__host__ __device__ int tiles(int size) { return (size + kTile - 1) / kTile; }

/// to[column][row] = from[row][column], or that added to it: a block turns a tile of one matrix
/// after the other.
template <bool kAdds>
__global__ void turn(Matrices matrices, const float* from, float* to) {
  __shared__ float tile[kTile][kTile + 1];
  const int rows = matrices.rows;
  const int columns = matrices.columns;
  const int row = blockIdx.x / tiles(columns) * kTile;
  const int column = blockIdx.x % tiles(columns) * kTile;
  const int x = threadIdx.x % kTile;
  for (int m = blockIdx.y; m < matrices.count; m += gridDim.y) {
    const long long first = 1LL * m * rows * columns;
    for (int y = threadIdx.x / kTile; y < kTile; y += kTileRows)
      if (row + y < rows && column + x < columns)
        tile[y][x] = from[first + 1LL * (row + y) * columns + column + x];
    __syncthreads();
    for (int y = threadIdx.x / kTile; y < kTile; y += kTileRows)
      if (column + y < columns && row + x < rows) {
        float& value = to[first + 1LL * (column + y) * rows + row + x];
        value = kAdds ? value + tile[x][y] : tile[x][y];
      }
    __syncthreads();
  }
}

template <bool kAdds = false>
void turn_gpu(const Matrices& matrices, const float* from, float* to) {
  constexpr int kMostInY = 65535;
  if (matrices.values() == 0) return;
  const dim3 grid(tiles(matrices.rows) * tiles(matrices.columns),
                  std::min(matrices.count, kMostInY));
  turn<kAdds><<<grid, kThreadsPerBlock>>>(matrices, from, to);
  check_launch("turn");
}

class ChannelsLast : public ConvolutionKernel {
 public:
  ChannelsLast(const Convolution& of, std::unique_ptr<ConvolutionKernel> turned)
      : turned_(std::move(turned)),
        channels_(of.groups * of.filters),
        places_(of.places()),
        samples_(of.samples),
        maps_{of.samples, of.groups * of.window.channels, of.window.values() / of.window.channels},
        results_{of.samples, channels_, places_},
        weights_{channels_, of.window.channels, of.window.taps() / of.window.channels} {}

  std::size_t bytes() const {
    return (aligned(maps_) + aligned(results_) + aligned(weights_)) * sizeof(float);
  }

  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override {
    const Turned turned = this->turned();
    turn_gpu(maps_, maps, turned.maps);
    turn_gpu(weights_, weights, turned.weights);
    turned_->forward(turned.maps, turned.weights, {}, turned.results);
    turn_gpu(results_.turned(), turned.results, results);
    if (epilogue.bias != nullptr)
      add_bias_gpu(samples_, channels_, places_, epilogue.bias, results);
  }

  void backward_data(const float* results, const float* weights, float* maps) const override {
    const Turned turned = this->turned();
    turn_gpu(results_, results, turned.results);
    turn_gpu(weights_, weights, turned.weights);
    turned_->backward_data(turned.results, turned.weights, turned.maps);
    turn_gpu(maps_.turned(), turned.maps, maps);
  }

  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override {
    const Turned turned = this->turned();
    turn_gpu(maps_, maps, turned.maps);
    turn_gpu(results_, results, turned.results);
    turned_->backward_weights(turned.maps, turned.results, false, turned.weights);
    if (adds)
      turn_gpu<true>(weights_.turned(), turned.weights, weights);
    else
      turn_gpu(weights_.turned(), turned.weights, weights);
  }

 private:
  /// The values and what lies behind them, since cuDNN reads and writes several of them at once.
  static std::size_t aligned(const Matrices& matrices) {
    constexpr std::size_t kAlignment = 64;
    return (matrices.values() + kAlignment - 1) / kAlignment * kAlignment;
  }

  struct Turned {
    float* maps;
    float* results;
    float* weights;
  };

  Turned turned() const {
    auto* values = static_cast<float*>(outer_scratch_gpu(bytes()));
    return {values, values + aligned(maps_), values + aligned(maps_) + aligned(results_)};
  }

  std::unique_ptr<ConvolutionKernel> turned_;
  int channels_;
  int places_;
  int samples_;
  Matrices maps_;
  Matrices results_;
  Matrices weights_;
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_channels_last(const Convolution& convolution,
                                                      std::unique_ptr<ConvolutionKernel> turned) {
  auto kernel = std::make_unique<ChannelsLast>(convolution, std::move(turned));
  return kernel->bytes() > gpu_math().workspace ? nullptr : std::move(kernel);
}

}  // namespace vibnet
