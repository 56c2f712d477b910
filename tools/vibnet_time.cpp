#include <gflags/gflags.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <iostream>

#include "core/gpu_runtime.h"
#include "core/json.h"
#include "net/latency.h"
#include "process_memory.h"
#include "set_batch.h"
#include "tool.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/synced_memory.h"

DEFINE_string(model, "", "the net's prototxt");
DEFINE_string(phase, "TEST", "TRAIN (with backward) or TEST");
DEFINE_int32(batch, 0, "samples in a batch; 0 is what the prototxt says");
DEFINE_int32(iterations, 50, "timed passes; the median counts");
DEFINE_string(device, "cpu", "cpu, gpu or gpu:N");
DEFINE_bool(tf32, false, "on a GPU, products in TF32: faster, with 10 bits behind the point");
DEFINE_bool(deterministic, false, "on a GPU, the same bits in each run");
DEFINE_bool(json, false, "print one JSON object instead of a table");

namespace {

constexpr int kWarmUp = 5;

/// Milliseconds of each pass.
using Times = std::vector<double>;

double median(Times times) {
  if (times.empty()) return 0;
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/// Waits for a GPU, whose work only begins when it is called for.
void finish_work() {
  if (FLAGS_device != "cpu") vibnet::gpu_runtime()->synchronize();
}

double time_ms(const std::function<void()>& work) {
  finish_work();
  const auto start = std::chrono::steady_clock::now();
  work();
  finish_work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

struct Measurement {
  std::vector<Times> forward;   // per layer
  std::vector<Times> backward;  // per layer
  Times whole_forward;
  Times whole_backward;
  Times step;
};

/// The most bytes that were held at a time.
struct Memory {
  /// Of the process on the host, less what it had before the net was made.
  std::size_t process;
  /// Of SyncedMemory, on the host and on a GPU.
  std::size_t blobs;
};

void measure_layers(bool trains, vibnet::Net* net, Measurement* result) {
  const int layers = static_cast<int>(net->layers().size());
  result->forward.resize(layers);
  result->backward.resize(layers);
  for (int i = 0; i < layers; ++i)
    result->forward[i].push_back(time_ms([&] { net->forward_layer(i); }));
  for (int i = layers - 1; trains && i >= 0; --i)
    result->backward[i].push_back(time_ms([&] { net->backward_layer(i); }));
}

void measure_whole(bool trains, vibnet::Net* net, Measurement* result) {
  const auto backward = [&] {
    net->clear_gradients();
    net->backward();
  };
  result->whole_forward.push_back(time_ms([&] { net->forward(); }));
  if (trains) result->whole_backward.push_back(time_ms(backward));
  ++net->context().iteration;
  result->step.push_back(time_ms([&] {
    net->forward();
    if (trains) backward();
  }));
}

Measurement measure(bool trains, vibnet::Net* net) {
  Measurement result;
  for (int i = -kWarmUp; i < FLAGS_iterations; ++i) {
    if (i == 0) result = Measurement();
    ++net->context().iteration;
    measure_whole(trains, net, &result);
    ++net->context().iteration;
    measure_layers(trains, net, &result);
  }
  return result;
}

void print_table(const vibnet::Net& net, const Measurement& result, const Memory& memory) {
  std::cout << std::left << std::setw(20) << "layer" << std::setw(24) << "type" << std::right
            << std::setw(14) << "forward ms" << std::setw(14) << "backward ms"
            << "\n"
            << std::fixed << std::setprecision(3);
  for (int i = 0; i < static_cast<int>(net.layers().size()); ++i) {
    std::cout << std::left << std::setw(20) << net.layers()[i]->name() << std::setw(24)
              << net.layers()[i]->type() << std::right << std::setw(14);
    if (net.pass_of(i) != i)
      std::cout << "with " + net.layers()[net.pass_of(i)]->name() << "\n";
    else
      std::cout << median(result.forward[i]) << std::setw(14) << median(result.backward[i]) << "\n";
  }
  std::cout << std::left << std::setw(44) << "whole net" << std::right << std::setw(14)
            << median(result.whole_forward) << std::setw(14) << median(result.whole_backward)
            << "\n\nforward and backward: " << median(result.step) << " ms, peak memory "
            << memory.process << " bytes; of blobs and buffers " << memory.blobs << "\n";
}

/// Floating-point operations of a layer, or of those that run together from it on, and the bytes
/// that it has at least to read and write.
struct Work {
  double forward_flops = 0;
  double backward_flops = 0;
  std::size_t forward_bytes = 0;
  std::size_t backward_bytes = 0;
};

std::size_t bytes_of(const vibnet::Blobs& blobs) {
  std::size_t bytes = 0;
  for (const vibnet::Blob* blob : blobs) bytes += blob->count() * sizeof(float);
  return bytes;
}

/// `learns_below`: whether the bottoms get a gradient.
Work work_of(const vibnet::Net& net, int first, bool learns_below) {
  Work work;
  int last = first;
  std::size_t parameters = 0;
  for (int i = first; i < static_cast<int>(net.layers().size()); ++i) {
    if (net.pass_of(i) != first) continue;
    last = i;
    work.forward_flops += net.layers()[i]->flops();
    for (const auto& blob : net.layers()[i]->blobs()) parameters += blob->count() * sizeof(float);
  }
  const vibnet::Layer& layer = *net.layers()[first];
  const std::size_t bottoms = bytes_of(net.bottoms(first));
  const std::size_t tops = bytes_of(net.tops(last));
  if (!layer.shares_data()) work.forward_bytes = bottoms + tops + parameters;
  if (!net.needs_backward(first)) return work;
  work.backward_flops = work.forward_flops * (1 + (learns_below ? 1 : 0));
  const bool moves_diffs = !layer.shares_diff() && !layer.hands_on_diff();
  if (moves_diffs) work.backward_bytes = tops + (learns_below ? bottoms : 0);
  if (parameters > 0) work.backward_bytes += bottoms + 2 * parameters;
  return work;
}

void print_json(const vibnet::Net& net, const Measurement& result, const Memory& memory) {
  std::cout << "{\"forward_ms\": " << vibnet::json_number(median(result.whole_forward))
            << ", \"backward_ms\": " << vibnet::json_number(median(result.whole_backward))
            << ", \"forward_backward_ms\": " << vibnet::json_number(median(result.step))
            << ", \"peak_bytes\": " << memory.process << ", \"peak_blob_bytes\": " << memory.blobs
            << ", \"layers\": [";
  bool learns_below = false;
  for (int i = 0; i < static_cast<int>(net.layers().size()); ++i) {
    std::cout << (i == 0 ? "" : ", ")
              << "{\"name\": " << vibnet::json_string(net.layers()[i]->name())
              << ", \"type\": " << vibnet::json_string(net.layers()[i]->type());
    if (net.pass_of(i) != i)
      std::cout << ", \"with\": " << vibnet::json_string(net.layers()[net.pass_of(i)]->name());
    const Work work = net.pass_of(i) == i ? work_of(net, i, learns_below) : Work();
    learns_below = learns_below || net.needs_backward(i);
    std::cout << ", \"forward_ms\": " << vibnet::json_number(median(result.forward[i]))
              << ", \"backward_ms\": " << vibnet::json_number(median(result.backward[i]))
              << ", \"forward_flops\": " << vibnet::json_number(work.forward_flops)
              << ", \"backward_flops\": " << vibnet::json_number(work.backward_flops)
              << ", \"forward_bytes\": " << work.forward_bytes
              << ", \"backward_bytes\": " << work.backward_bytes << "}";
  }
  std::cout << "]}\n";
}

int time_net(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("model", FLAGS_model);
  if (FLAGS_phase != "TRAIN" && FLAGS_phase != "TEST")
    throw vibnet::UsageError("--phase is TRAIN or TEST");
  if (FLAGS_iterations < 1 || FLAGS_batch < 0)
    throw vibnet::UsageError("--iterations must be 1 or more, and --batch not negative");
  vibnet::NetParameter parameter = vibnet::read_net_prototxt(FLAGS_model);
  if (FLAGS_batch > 0) vibnet::set_batch(FLAGS_batch, &parameter);
  const bool trains = FLAGS_phase == "TRAIN";
  vibnet::NetOptions options;
  options.phase = trains ? vibnet::TRAIN : vibnet::TEST;
  options.device = vibnet::device_flag(FLAGS_device, {FLAGS_tf32, FLAGS_deterministic});
  options.keeps_blobs = false;
  vibnet::reset_peak_memory();
  vibnet::forget_peak();
  const std::size_t before = vibnet::resident_bytes();
  vibnet::Net net = vibnet::make_net(parameter, FLAGS_model, options);
  vibnet::fill_inputs(&net);
  const Measurement result = measure(trains, &net);
  const std::size_t peak = std::max(before, vibnet::peak_resident_bytes());
  const Memory memory{peak - before, vibnet::memory_usage().peak};
  (FLAGS_json ? print_json : print_table)(net, result, memory);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-time", "measures a net: per layer and in all, the median of many passes",
      "vibnet-time --model M.prototxt [--phase TRAIN|TEST] [--batch N] [--iterations N]\n"
      "         [--device D [--tf32] [--deterministic]] [--json]",
      "vibnet-time --model models/lenet5/train_val.prototxt --phase TRAIN --batch 64"};
  return vibnet::run_tool(tool, argc, argv, time_net);
}
