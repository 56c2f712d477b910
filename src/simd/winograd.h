#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// F(2 x 2, 3 x 3): the one-dimensional transforms, by the points 0, 1, -1 and infinity.
struct Winograd2 {
  static constexpr int kTaps = 3;
  static constexpr int kOutputs = 2;
  static constexpr int kInputs = 4;

  VIBNET_INLINE void input(const Vector (&x)[4], Vector (&y)[4]) {
    y[0] = x[0] - x[2];
    y[1] = x[1] + x[2];
    y[2] = x[2] - x[1];
    y[3] = x[3] - x[1];
  }
  VIBNET_INLINE void output(const Vector (&x)[4], Vector (&y)[2]) {
    y[0] = x[0] + x[1] + x[2];
    y[1] = x[1] - x[2] + x[3];
  }
  VIBNET_INLINE void gradient(const Vector (&x)[2], Vector (&y)[4]) {
    y[0] = x[0];
    y[1] = x[0] + x[1];
    y[2] = x[0] - x[1];
    y[3] = x[1];
  }
  /// The transpose of `input`.
  VIBNET_INLINE void map_gradient(const Vector (&x)[4], Vector (&y)[4]) {
    y[0] = x[0];
    y[1] = x[1] - x[2] - x[3];
    y[2] = x[1] + x[2] - x[0];
    y[3] = x[3];
  }
  VIBNET_INLINE void weights(const Vector (&x)[3], Vector (&y)[4]) {
    const Vector ends = 0.5f * (x[0] + x[2]);
    y[0] = x[0];
    y[1] = ends + 0.5f * x[1];
    y[2] = ends - 0.5f * x[1];
    y[3] = x[2];
  }
  VIBNET_INLINE void weight_gradient(const Vector (&x)[4], Vector (&y)[3]) {
    const Vector sum = 0.5f * (x[1] + x[2]);
    y[0] = x[0] + sum;
    y[1] = 0.5f * (x[1] - x[2]);
    y[2] = sum + x[3];
  }
};

/// F(4 x 4, 3 x 3), by the points 0, 1, -1, 2, -2 and infinity.
struct Winograd4 {
  static constexpr int kTaps = 3;
  static constexpr int kOutputs = 4;
  static constexpr int kInputs = 6;

  VIBNET_INLINE void input(const Vector (&x)[6], Vector (&y)[6]) {
    const Vector even = x[4] - 4 * x[2];
    const Vector odd = x[3] - 4 * x[1];
    const Vector even2 = x[4] - x[2];
    const Vector odd2 = 2 * (x[3] - x[1]);
    y[0] = 4 * x[0] - 5 * x[2] + x[4];
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = 4 * x[1] - 5 * x[3] + x[5];
  }
  VIBNET_INLINE void output(const Vector (&x)[6], Vector (&y)[4]) {
    const Vector sum1 = x[1] + x[2];
    const Vector sum2 = x[3] + x[4];
    const Vector difference1 = x[1] - x[2];
    const Vector difference2 = x[3] - x[4];
    y[0] = x[0] + sum1 + sum2;
    y[1] = difference1 + 2 * difference2;
    y[2] = sum1 + 4 * sum2;
    y[3] = difference1 + 8 * difference2 + x[5];
  }
  VIBNET_INLINE void gradient(const Vector (&x)[4], Vector (&y)[6]) {
    const Vector even1 = x[0] + x[2];
    const Vector odd1 = x[1] + x[3];
    const Vector even2 = x[0] + 4 * x[2];
    const Vector odd2 = 2 * x[1] + 8 * x[3];
    y[0] = x[0];
    y[1] = even1 + odd1;
    y[2] = even1 - odd1;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x[3];
  }
  VIBNET_INLINE void map_gradient(const Vector (&x)[6], Vector (&y)[6]) {
    const Vector sum1 = x[1] + x[2];
    const Vector sum2 = x[3] + x[4];
    const Vector difference1 = x[1] - x[2];
    const Vector difference2 = x[3] - x[4];
    y[0] = 4 * x[0];
    y[1] = 4 * (x[5] - difference1) - 2 * difference2;
    y[2] = -5 * x[0] - 4 * sum1 - sum2;
    y[3] = difference1 + 2 * difference2 - 5 * x[5];
    y[4] = x[0] + sum1 + sum2;
    y[5] = x[5];
  }
  VIBNET_INLINE void weights(const Vector (&x)[3], Vector (&y)[6]) {
    const Vector ends1 = (x[0] + x[2]) * (-1.0f / 6);
    const Vector middle1 = x[1] * (-1.0f / 6);
    const Vector ends2 = x[0] * (1.0f / 24) + x[2] * (1.0f / 6);
    const Vector middle2 = x[1] * (1.0f / 12);
    y[0] = x[0] * 0.25f;
    y[1] = ends1 + middle1;
    y[2] = ends1 - middle1;
    y[3] = ends2 + middle2;
    y[4] = ends2 - middle2;
    y[5] = x[2];
  }
  VIBNET_INLINE void weight_gradient(const Vector (&x)[6], Vector (&y)[3]) {
    const Vector sum1 = (x[1] + x[2]) * (-1.0f / 6);
    const Vector sum2 = x[3] + x[4];
    y[0] = x[0] * 0.25f + sum1 + sum2 * (1.0f / 24);
    y[1] = (x[2] - x[1]) * (1.0f / 6) + (x[3] - x[4]) * (1.0f / 12);
    y[2] = sum1 + sum2 * (1.0f / 6) + x[5];
  }
};

/// F(2 x 2, 5 x 5), by the same points.
struct Winograd2By5 {
  static constexpr int kTaps = 5;
  static constexpr int kOutputs = 2;
  static constexpr int kInputs = 6;

  VIBNET_INLINE void input(const Vector (&x)[6], Vector (&y)[6]) { Winograd4::input(x, y); }
  VIBNET_INLINE void output(const Vector (&x)[6], Vector (&y)[2]) {
    y[0] = x[0] + (x[1] + x[2]) + (x[3] + x[4]);
    y[1] = (x[1] - x[2]) + 2 * (x[3] - x[4]) + x[5];
  }
  VIBNET_INLINE void gradient(const Vector (&x)[2], Vector (&y)[6]) {
    y[0] = x[0];
    y[1] = x[0] + x[1];
    y[2] = x[0] - x[1];
    y[3] = x[0] + 2 * x[1];
    y[4] = x[0] - 2 * x[1];
    y[5] = x[1];
  }
  VIBNET_INLINE void map_gradient(const Vector (&x)[6], Vector (&y)[6]) {
    Winograd4::map_gradient(x, y);
  }
  VIBNET_INLINE void weights(const Vector (&x)[5], Vector (&y)[6]) {
    const Vector even1 = (x[0] + x[2] + x[4]) * (-1.0f / 6);
    const Vector odd1 = (x[1] + x[3]) * (-1.0f / 6);
    const Vector even2 = (x[0] + 4 * x[2] + 16 * x[4]) * (1.0f / 24);
    const Vector odd2 = (x[1] + 4 * x[3]) * (1.0f / 12);
    y[0] = x[0] * 0.25f;
    y[1] = even1 + odd1;
    y[2] = even1 - odd1;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = x[4];
  }
  VIBNET_INLINE void weight_gradient(const Vector (&x)[6], Vector (&y)[5]) {
    const Vector sum1 = (x[1] + x[2]) * (-1.0f / 6);
    const Vector difference1 = (x[2] - x[1]) * (1.0f / 6);
    const Vector sum2 = (x[3] + x[4]) * (1.0f / 24);
    const Vector difference2 = (x[3] - x[4]) * (1.0f / 12);
    y[0] = x[0] * 0.25f + sum1 + sum2;
    y[1] = difference1 + difference2;
    y[2] = sum1 + 4 * sum2;
    y[3] = difference1 + 4 * difference2;
    y[4] = sum1 + 16 * sum2 + x[5];
  }
};

/// F(4 x 4, 5 x 5), by the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
struct Winograd4By5 {
  static constexpr int kTaps = 5;
  static constexpr int kOutputs = 4;
  static constexpr int kInputs = 8;

  VIBNET_INLINE void input(const Vector (&x)[8], Vector (&y)[8]) {
    const Vector even1 = x[2] + x[6] - 4.25f * x[4];
    const Vector odd1 = x[1] + x[5] - 4.25f * x[3];
    const Vector even2 = 0.25f * x[2] - 1.25f * x[4] + x[6];
    const Vector odd2 = 0.5f * x[1] - 2.5f * x[3] + 2 * x[5];
    const Vector even3 = 4 * x[2] - 5 * x[4] + x[6];
    const Vector odd3 = 2 * x[1] - 2.5f * x[3] + 0.5f * x[5];
    y[0] = x[0] - x[6] + 5.25f * (x[4] - x[2]);
    y[1] = even1 + odd1;
    y[2] = even1 - odd1;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = even3 + odd3;
    y[6] = even3 - odd3;
    y[7] = x[7] - x[1] + 5.25f * (x[3] - x[5]);
  }
  VIBNET_INLINE void output(const Vector (&x)[8], Vector (&y)[4]) {
    const Vector sum1 = x[1] + x[2];
    const Vector sum2 = x[3] + x[4];
    const Vector sum3 = x[5] + x[6];
    const Vector difference1 = x[1] - x[2];
    const Vector difference2 = x[3] - x[4];
    const Vector difference3 = x[5] - x[6];
    y[0] = x[0] + sum1 + sum2 + sum3;
    y[1] = difference1 + 2 * difference2 + 0.5f * difference3;
    y[2] = sum1 + 4 * sum2 + 0.25f * sum3;
    y[3] = difference1 + 8 * difference2 + 0.125f * difference3 + x[7];
  }
  VIBNET_INLINE void gradient(const Vector (&x)[4], Vector (&y)[8]) {
    const Vector even1 = x[0] + x[2];
    const Vector odd1 = x[1] + x[3];
    const Vector even2 = x[0] + 4 * x[2];
    const Vector odd2 = 2 * x[1] + 8 * x[3];
    const Vector even3 = x[0] + 0.25f * x[2];
    const Vector odd3 = 0.5f * x[1] + 0.125f * x[3];
    y[0] = x[0];
    y[1] = even1 + odd1;
    y[2] = even1 - odd1;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = even3 + odd3;
    y[6] = even3 - odd3;
    y[7] = x[3];
  }
  VIBNET_INLINE void map_gradient(const Vector (&x)[8], Vector (&y)[8]) {
    const Vector sum1 = x[1] + x[2];
    const Vector sum2 = x[3] + x[4];
    const Vector sum3 = x[5] + x[6];
    const Vector difference1 = x[1] - x[2];
    const Vector difference2 = x[3] - x[4];
    const Vector difference3 = x[5] - x[6];
    y[0] = x[0];
    y[1] = difference1 + 0.5f * difference2 + 2 * difference3 - x[7];
    y[2] = sum1 + 0.25f * sum2 + 4 * sum3 - 5.25f * x[0];
    y[3] = 5.25f * x[7] - 4.25f * difference1 - 2.5f * (difference2 + difference3);
    y[4] = 5.25f * x[0] - 4.25f * sum1 - 1.25f * sum2 - 5 * sum3;
    y[5] = difference1 + 2 * difference2 + 0.5f * difference3 - 5.25f * x[7];
    y[6] = sum1 + sum2 + sum3 - x[0];
    y[7] = x[7];
  }
  VIBNET_INLINE void weights(const Vector (&x)[5], Vector (&y)[8]) {
    const Vector even1 = (x[0] + x[2] + x[4]) * (-2.0f / 9);
    const Vector odd1 = (x[1] + x[3]) * (-2.0f / 9);
    const Vector even2 = (x[0] + 4 * x[2] + 16 * x[4]) * (1.0f / 90);
    const Vector odd2 = (x[1] + 4 * x[3]) * (1.0f / 45);
    const Vector even3 = (16 * x[0] + 4 * x[2] + x[4]) * (2.0f / 45);
    const Vector odd3 = (4 * x[1] + x[3]) * (4.0f / 45);
    y[0] = x[0];
    y[1] = even1 + odd1;
    y[2] = even1 - odd1;
    y[3] = even2 + odd2;
    y[4] = even2 - odd2;
    y[5] = even3 + odd3;
    y[6] = even3 - odd3;
    y[7] = x[4];
  }
  VIBNET_INLINE void weight_gradient(const Vector (&x)[8], Vector (&y)[5]) {
    const Vector sum1 = (x[1] + x[2]) * (-2.0f / 9);
    const Vector difference1 = (x[1] - x[2]) * (-2.0f / 9);
    const Vector sum2 = (x[3] + x[4]) * (1.0f / 90);
    const Vector difference2 = (x[3] - x[4]) * (1.0f / 45);
    const Vector sum3 = (x[5] + x[6]) * (2.0f / 45);
    const Vector difference3 = (x[5] - x[6]) * (4.0f / 45);
    y[0] = x[0] + sum1 + sum2 + 16 * sum3;
    y[1] = difference1 + difference2 + 4 * difference3;
    y[2] = sum1 + 4 * (sum2 + sum3);
    y[3] = difference1 + 4 * difference2 + difference3;
    y[4] = sum1 + 16 * sum2 + sum3 + x[7];
  }
};

/// Applies a one-dimensional transform to the columns, then to the rows.
template <int IN, int OUT>
VIBNET_INLINE void both_ways(void (*transform)(const Vector (&)[IN], Vector (&)[OUT]),
                             const Vector (&x)[IN][IN], Vector (&y)[OUT][OUT]) {
  Vector half[OUT][IN];
#pragma GCC unroll 8
  for (int j = 0; j < IN; ++j) {
    Vector column[IN];
    Vector transformed[OUT];
#pragma GCC unroll 8
    for (int i = 0; i < IN; ++i) column[i] = x[i][j];
    transform(column, transformed);
#pragma GCC unroll 8
    for (int i = 0; i < OUT; ++i) half[i][j] = transformed[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < OUT; ++i) transform(half[i], y[i]);
}

/// A square of SIZE x SIZE vectors, rows and columns so many floats apart.
template <int SIZE>
VIBNET_INLINE void load_square(const float* p, std::ptrdiff_t row, std::ptrdiff_t column,
                               Vector (&x)[SIZE][SIZE]) {
#pragma GCC unroll 8
  for (int i = 0; i < SIZE; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < SIZE; ++j) x[i][j] = load(p + i * row + j * column);
}

template <int SIZE>
VIBNET_INLINE void store_square(const Vector (&x)[SIZE][SIZE], float* p, std::ptrdiff_t row,
                                std::ptrdiff_t column) {
#pragma GCC unroll 8
  for (int i = 0; i < SIZE; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < SIZE; ++j) store(x[i][j], p + i * row + j * column);
}

/// Transforms squares of IN x IN vectors at p, into OUT x OUT at q.
template <int IN, int OUT>
VIBNET_INLINE void transform_square(void (*transform)(const Vector (&)[IN], Vector (&)[OUT]),
                                    const float* p, std::ptrdiff_t p_row, std::ptrdiff_t p_column,
                                    float* q, std::ptrdiff_t q_row, std::ptrdiff_t q_column) {
  Vector x[IN][IN];
  Vector y[OUT][OUT];
  load_square(p, p_row, p_column, x);
  both_ways(transform, x, y);
  store_square(y, q, q_row, q_column);
}

/// The tiles of a strip of SIZE rows into the Winograd domain.
template <typename F, int SIZE, void (*TRANSFORM)(const Vector (&)[SIZE], Vector (&)[F::kInputs])>
void transform_strip(const float* strip, int width, int tiles, float* v, std::ptrdiff_t element,
                     std::ptrdiff_t tile) {
  for (int t = 0; t < tiles; ++t)
    for (int lane = 0; lane < kLanes; lane += kWidth)
      transform_square<SIZE, F::kInputs>(TRANSFORM, strip + t * F::kOutputs * kLanes + lane,
                                         width * kLanes, kLanes, v + t * tile + lane,
                                         F::kInputs * element, element);
}

template <typename F>
void transform_output(const float* m, std::ptrdiff_t element, std::ptrdiff_t tile, int tiles,
                      float* strip, int width) {
  for (int t = 0; t < tiles; ++t)
    for (int lane = 0; lane < kLanes; lane += kWidth)
      transform_square<F::kInputs, F::kOutputs>(
          F::output, m + t * tile + lane, F::kInputs * element, element,
          strip + t * F::kOutputs * kLanes + lane, width * kLanes, kLanes);
}

/// Adds what a row of tiles gives back to the strip of kInputs rows that it was made of.
template <typename F>
void add_map_gradient(const float* m, std::ptrdiff_t element, std::ptrdiff_t tile, int tiles,
                      float* strip, int width) {
  for (int t = 0; t < tiles; ++t)
    for (int lane = 0; lane < kLanes; lane += kWidth) {
      Vector x[F::kInputs][F::kInputs];
      Vector y[F::kInputs][F::kInputs];
      load_square(m + t * tile + lane, F::kInputs * element, element, x);
      both_ways(F::map_gradient, x, y);
      float* to = strip + t * F::kOutputs * kLanes + lane;
      load_square(to, width * kLanes, kLanes, x);
#pragma GCC unroll 8
      for (int i = 0; i < F::kInputs; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < F::kInputs; ++j) y[i][j] += x[i][j];
      store_square(y, to, width * kLanes, kLanes);
    }
}

template <typename F>
void transform_weights(const float* taps, float* u, std::ptrdiff_t element) {
  for (int lane = 0; lane < kLanes; lane += kWidth)
    transform_square<F::kTaps, F::kInputs>(F::weights, taps + lane, F::kTaps * kLanes, kLanes,
                                           u + lane, F::kInputs * element, element);
}

template <typename F>
void transform_weight_gradient(const float* u, std::ptrdiff_t element, float* taps) {
  for (int lane = 0; lane < kLanes; lane += kWidth)
    transform_square<F::kInputs, F::kTaps>(F::weight_gradient, u + lane, F::kInputs * element,
                                           element, taps + lane, F::kTaps * kLanes, kLanes);
}

template <typename F>
constexpr WinogradKernels winograd_kernels() {
  return {F::kTaps,
          F::kOutputs,
          F::kInputs,
          transform_strip<F, F::kInputs, F::input>,
          transform_output<F>,
          transform_strip<F, F::kOutputs, F::gradient>,
          add_map_gradient<F>,
          transform_weights<F>,
          transform_weight_gradient<F>};
}

}  // namespace vibnet::VIBNET_ISA
