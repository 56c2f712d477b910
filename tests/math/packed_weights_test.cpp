#include "math/packed_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/drawn.h"

namespace vibnet {
namespace {

TEST(PackedWeights, GiveTheProductsOfRows) {
  for (const int outputs : {1, 31, 32, 70})
    for (const int inputs : {0, 3, 300})
      for (const int rows : {1, 13, 100}) {
        const std::vector<float> x = drawn(rows * inputs, "x");
        const std::vector<float> weights = drawn(outputs * inputs, "weights");
        const std::vector<float> bias = with_room(drawn(outputs, "bias"));
        const PackedWeights packed(outputs, inputs);
        std::vector<float> panels(packed.size());
        packed.pack(weights.data(), panels.data());
        for (const Epilogue& epilogue :
             {Epilogue{}, Epilogue{bias.data()}, Epilogue{bias.data(), nullptr, true}}) {
          std::vector<float> y(rows * outputs, 7.0f);
          packed.multiply(with_room(panels).data(), rows, x.data(), epilogue, y.data());
          for (int row = 0; row < rows; ++row)
            for (int output = 0; output < outputs; ++output) {
              double sum = epilogue.bias_of(output);
              for (int input = 0; input < inputs; ++input)
                sum += double{x[row * inputs + input]} * weights[output * inputs + input];
              if (epilogue.rectifies) sum = std::max(sum, 0.0);
              ASSERT_NEAR(y[row * outputs + output], sum, 1e-4) << row << " " << output;
            }
        }
      }
}

}  // namespace
}  // namespace vibnet
