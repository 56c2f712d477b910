// Prints the milliseconds of training steps (forward, backward, update) of a net, one a line.
// usage: step_time NET.prototxt STEPS

#include <chrono>
#include <iostream>
#include <string>

#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: step_time NET.prototxt STEPS\n";
    return 2;
  }
  try {
    vibnet::SolverParameter parameter;
    vibnet::parse_prototxt("base_lr: 0.01 momentum: 0.9 lr_policy: 'fixed' random_seed: 1",
                           "solver", &parameter);
    parameter.set_net(argv[1]);
    vibnet::Solver solver(parameter, "solver", vibnet::Device());
    for (int i = std::stoi(argv[2]); i > 0; --i) {
      const auto start = std::chrono::steady_clock::now();
      solver.step(1);
      const std::chrono::duration<double, std::milli> time =
          std::chrono::steady_clock::now() - start;
      std::cout << time.count() << "\n";
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "step_time: " << error.what() << "\n";
    return 1;
  }
}
