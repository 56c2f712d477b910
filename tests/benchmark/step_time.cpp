// Times a net in one process, for run.py: prints one JSON object.
//
//   step_time [DEVICE] train|infer NET.prototxt WEIGHTS.caffemodel SECONDS DATA SCORES
//   step_time gemm
//   step_time copy
//
// DEVICE is --device gpu, or --device gpu --tf32; without it, the CPU works.
// DATA holds the float32 values of the net's inputs, one input after another; SCORES gets those of
// its first output. A pass is all of a step: the inputs copied in, then forward, backward and
// update, with the loss read back, or forward and the scores copied out.

#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "process_memory.h"
#include "vibnet/blob.h"
#include "vibnet/device.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace {

constexpr int kWarmUp = 3;
constexpr int kLeastPasses = 3;
constexpr const char* kSolver =
    "base_lr: 0.0003 momentum: 0.9 weight_decay: 0.0005 kl_weight: 1e-6 lr_policy: 'fixed' "
    "random_seed: 1 display: 1";

using Values = std::vector<float>;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Milliseconds of each pass, for about this many seconds.
std::vector<double> time_passes(double seconds, const std::function<void()>& pass) {
  for (int i = 0; i < kWarmUp; ++i) pass();
  std::vector<double> times;
  double sum = 0;
  while (sum < seconds || static_cast<int>(times.size()) < kLeastPasses) {
    const double time = seconds_of(pass);
    times.push_back(1e3 * time);
    sum += time;
  }
  return times;
}

double seconds_in(const std::string& text) {
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(seconds) || seconds <= 0)
    vibnet::fail("SECONDS: '", text, "' must be a finite number above 0");
  return seconds;
}

Values read_values(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file || std::filesystem::is_directory(path) || file.tellg() < 0)
    vibnet::fail("DATA: ", path, " must be a file that can be read");
  Values values(static_cast<std::size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

void write_values(const Values& values, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!file) vibnet::fail("cannot write ", path);
}

void set_inputs(const Values& values, vibnet::Net* net) {
  std::size_t begin = 0;
  for (const std::string& name : net->input_names()) {
    vibnet::Blob* blob = net->blob(name);
    if (begin + blob->count() > values.size()) vibnet::fail("too few values for ", name);
    std::copy_n(values.data() + begin, blob->count(), blob->mutable_cpu_data());
    begin += blob->count();
  }
}

/// Multiply-adds times two of a pass. A layer's backward costs its forward again for the weights,
/// and once more for its bottom where anything below learns.
double flops_of(const vibnet::Net& net, bool trains) {
  double sum = 0;
  bool learns_below = false;
  for (const auto& layer : net.layers()) {
    sum += layer->flops() * (trains ? 2 + learns_below : 1);
    learns_below = learns_below || !layer->blobs().empty();
  }
  return sum;
}

struct Result {
  std::vector<double> ms;
  std::vector<double> losses;  // of the first steps
  double flops = 0;
};

class Losses : public vibnet::SolverObserver {
 public:
  void on_step(const vibnet::TrainingStep& step) override { values.push_back(step.loss); }
  std::vector<double> values;
};

Result train(const std::vector<std::string>& arguments, const vibnet::Device& device,
             double seconds, const Values& data) {
  vibnet::SolverParameter parameter;
  vibnet::parse_prototxt(kSolver, "solver", &parameter);
  parameter.set_net(arguments[1]);
  vibnet::Solver solver(parameter, "solver", device);
  solver.copy_weights(arguments[2]);
  const auto pass = [&] {
    set_inputs(data, &solver.net());
    solver.step(1);
  };
  Losses losses;
  solver.set_observer(&losses);
  for (int i = 0; i < kWarmUp; ++i) pass();
  solver.set_observer(nullptr);
  return {time_passes(seconds, pass), losses.values, flops_of(solver.net(), true)};
}

Result infer(const std::vector<std::string>& arguments, const vibnet::Device& device,
             double seconds, const Values& data) {
  vibnet::NetOptions options;
  options.device = device;
  options.fills_parameters = false;
  options.keeps_blobs = false;
  vibnet::Net net(vibnet::read_net_prototxt(arguments[1]), options);
  net.copy_weights(arguments[2], vibnet::Missing::FAIL);
  const vibnet::Blob& top = *net.blob(net.output_names().front());
  Values scores;
  const auto pass = [&] {
    set_inputs(data, &net);
    net.forward();
    scores.assign(top.cpu_data(), top.cpu_data() + top.count());
  };
  Result result{time_passes(seconds, pass), {}, flops_of(net, false)};
  write_values(scores, arguments[5]);
  return result;
}

void print_list(const char* name, const std::vector<double>& values) {
  std::cout << "\"" << name << "\": [";
  for (std::size_t i = 0; i < values.size(); ++i) std::cout << (i == 0 ? "" : ", ") << values[i];
  std::cout << "], ";
}

/// GFLOP/s of the BLAS that the library uses, on a product that is large enough for its best.
void print_gemm() {
  constexpr int kSize = 2048;
  const Values a(kSize * kSize, 0.5f);
  Values c(kSize * kSize);
  const auto multiply = [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, kSize, kSize, kSize, 1, a.data(), kSize,
                a.data(), kSize, 0, c.data(), kSize);
  };
  const std::vector<double> ms = time_passes(1, multiply);
  std::cout << "{\"gflops\": "
            << 2e-6 * kSize * kSize * kSize / *std::min_element(ms.begin(), ms.end()) << "}\n";
}

/// GB/s, read and written, of all threads that copy what no core's own caches hold: what a layer
/// can hope for that only moves memory.
void print_copy() {
  constexpr int kBlock = 1 << 14;
  constexpr int kBlocks = 1 << 10;
  vibnet::Blob from({kBlocks, kBlock});
  vibnet::Blob to({kBlocks, kBlock});
  from.set_data(0.5f);
  const float* x = from.cpu_data();
  float* y = to.mutable_cpu_data();
  const auto copy = [&] {
#pragma omp parallel for schedule(static)
    for (int block = 0; block < kBlocks; ++block)
      std::copy_n(x + block * kBlock, kBlock, y + block * kBlock);
  };
  const std::vector<double> ms = time_passes(1, copy);
  std::cout << "{\"gb_per_s\": "
            << 2e-6 * from.count() * sizeof(float) / *std::min_element(ms.begin(), ms.end())
            << "}\n";
}

/// Takes `--device D` and `--tf32` off the front.
vibnet::Device take_device(std::vector<std::string>* arguments) {
  vibnet::Device device;
  if (arguments->size() > 1 && arguments->front() == "--device") {
    device = vibnet::parse_device((*arguments)[1]);
    arguments->erase(arguments->begin(), arguments->begin() + 2);
  }
  vibnet::gpu_math().tf32 = !arguments->empty() && arguments->front() == "--tf32";
  if (vibnet::gpu_math().tf32) arguments->erase(arguments->begin());
  return device;
}

int run(std::vector<std::string> arguments) {
  const std::size_t before = vibnet::peak_resident_bytes();
  if (arguments == std::vector<std::string>{"gemm"}) {
    print_gemm();
    return 0;
  }
  if (arguments == std::vector<std::string>{"copy"}) {
    print_copy();
    return 0;
  }
  const vibnet::Device device = take_device(&arguments);
  const bool trains = !arguments.empty() && arguments[0] == "train";
  if (arguments.size() != 6 || (!trains && arguments[0] != "infer")) {
    std::cerr << "usage: step_time [--device gpu [--tf32]] train|infer NET WEIGHTS SECONDS DATA "
                 "SCORES\n"
              << "       step_time gemm|copy\n";
    return 2;
  }
  const double seconds = seconds_in(arguments[3]);
  const Values data = read_values(arguments[4]);
  const Result result = (trains ? train : infer)(arguments, device, seconds, data);
  std::cout << "{";
  print_list("ms", result.ms);
  print_list("losses", result.losses);
  std::cout << "\"flops\": " << result.flops << ", \"before_kb\": " << before / 1024
            << ", \"peak_kb\": " << vibnet::peak_resident_bytes() / 1024 << "}\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "step_time: " << error.what() << "\n";
    return 1;
  }
}
