#include <gflags/gflags.h>
#include <glog/logging.h>

#include <cstdint>
#include <iostream>

#include "layers/dataset_layer.h"
#include "tool.h"
#include "training.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

DEFINE_string(model, "", "the net's prototxt");
DEFINE_string(weights, "", "the trained caffemodel");
DEFINE_int32(iterations, 0,
             "batches to run; 0 is one pass over the data, 50 where that is unknown");
DEFINE_string(device, "cpu", "cpu, gpu or gpu:N");
DEFINE_bool(tf32, false, "on a GPU, products in TF32: faster, with 10 bits behind the point");
DEFINE_bool(deterministic, false, "on a GPU, the same bits in each run");

namespace {

constexpr int kIterationsOfUnknownData = 50;

/// One pass over the data.
int batches_of(const vibnet::DatasetLayer& data) {
  const std::int64_t batches = (data.size() + data.batch_size() - 1) / data.batch_size();
  const std::int64_t twice = batches * data.batch_size() - data.size();
  LOG_IF(WARNING, twice > 0) << data.size() << " records are no multiple of batch_size "
                             << data.batch_size() << ": the first " << twice << " count twice";
  return static_cast<int>(batches);
}

int iterations_of(const vibnet::Net& net) {
  if (FLAGS_iterations > 0) return FLAGS_iterations;
  for (const auto& layer : net.layers())
    if (const auto* data = dynamic_cast<const vibnet::DatasetLayer*>(layer.get()))
      return batches_of(*data);
  return kIterationsOfUnknownData;
}

int test(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("model", FLAGS_model);
  vibnet::require_flag("weights", FLAGS_weights);
  if (FLAGS_iterations < 0) throw vibnet::UsageError("--iterations cannot be negative");
  vibnet::NetOptions options;
  options.device = vibnet::device_flag(FLAGS_device, {FLAGS_tf32, FLAGS_deterministic});
  options.fills_parameters = false;
  options.keeps_blobs = false;
  vibnet::Net net = vibnet::make_net(vibnet::read_net_prototxt(FLAGS_model), FLAGS_model, options);
  net.copy_weights(FLAGS_weights, vibnet::Missing::FAIL);
  const auto means = vibnet::mean_outputs(iterations_of(net), &net);
  for (const auto& [name, value] : means) std::cout << name << " = " << value << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-test", "prints what a trained net's outputs are on its test data, on the mean",
      "vibnet-test --model M.prototxt --weights W.caffemodel [--iterations N] [--device D]",
      "vibnet-test --model train_val.prototxt --weights lenet_iter_1000.caffemodel"};
  return vibnet::run_tool(tool, argc, argv, test);
}
