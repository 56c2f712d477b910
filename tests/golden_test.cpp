// Runs nets whose numbers BVLC Caffe computed: golden_test [--device gpu] DIR...
// A case is NAME.prototxt and NAME.golden, as the README beside the cases describes.

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "vibnet/device.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

struct Tolerance {
  double absolute;
  double relative;
};
constexpr Tolerance kValue{1e-5, 1e-4};
constexpr Tolerance kGradient{1e-4, 1e-3};

/// What the comments of a case's prototxt say.
struct Header {
  Phase phase = TEST;
  bool backward = true;
};

Header read_header(const std::string& text) {
  Header header;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# phase TRAIN", 0) == 0) header.phase = TRAIN;
    if (line.rfind("# nobackward", 0) == 0) header.backward = false;
  }
  return header;
}

class Case {
 public:
  Case(const std::filesystem::path& prototxt, const Device& device)
      : header_(read_header(read_file(prototxt))),
        net_(forced_backward(prototxt), {header_.phase, device, 0, 0, {}}) {
    NetParameter golden;
    read_binary(std::filesystem::path(prototxt).replace_extension(".golden"), &golden);
    for (const LayerParameter& layer : golden.layer()) stored_[layer.name()] = layer;
  }

  /// Throws Error where a number differs.
  void run() {
    for (const auto& layer : net_.layers())
      for (std::size_t i = 0; i < layer->blobs().size(); ++i)
        set(stored_blob(layer->name(), i), layer->blobs()[i].get());
    const LayerParameter& inputs = stored_.at("inputs");
    for (int i = 0; i < inputs.top_size(); ++i) set(inputs.blobs(i), &blob(inputs.top(i)));
    net_.forward();
    check_outputs();
    check_running_stats();
    if (header_.backward) check_gradients();
  }

 private:
  static NetParameter forced_backward(const std::string& prototxt) {
    NetParameter net = read_net_prototxt(prototxt);
    net.set_force_backward(true);
    return net;
  }

  Blob& blob(const std::string& name) const {
    Blob* found = net_.blob(name);
    if (found == nullptr) fail("the net has no blob '", name, "'");
    return *found;
  }

  const BlobProto& stored_blob(const std::string& layer, std::size_t index) const {
    const auto found = stored_.find(layer);
    if (found == stored_.end() || static_cast<int>(index) >= found->second.blobs_size())
      fail("the golden file has no blob ", index, " of layer '", layer, "'");
    return found->second.blobs(static_cast<int>(index));
  }

  /// Copies the stored values in, keeping the blob's shape.
  static void set(const BlobProto& stored, Blob* blob) {
    if (stored.data_size() != blob->count())
      fail("a stored blob has ", stored.data_size(), " values, and ours ", blob->count());
    std::copy(stored.data().begin(), stored.data().end(), blob->mutable_cpu_data());
  }

  template <typename Values>
  static void compare(const Values& expected, const float* found, int count, Tolerance tolerance,
                      const std::string& what) {
    if (expected.size() != count)
      fail(what, " has ", count, " values, and Caffe's ", expected.size());
    for (int i = 0; i < count; ++i) {
      const double bound = tolerance.absolute + tolerance.relative * std::fabs(expected.Get(i));
      if (!(std::fabs(double{expected.Get(i)} - found[i]) <= bound))
        fail(what, "[", i, "] is ", found[i], ", and Caffe's ", expected.Get(i));
    }
  }

  void check_outputs() const {
    const LayerParameter& outputs = stored_.at("outputs");
    for (int i = 0; i < outputs.top_size(); ++i) {
      const Blob& top = blob(outputs.top(i));
      if (outputs.blobs(i).has_shape() && shape_of(outputs.blobs(i)) != top.shape())
        fail(outputs.top(i), " is ", to_string(top.shape()), ", and Caffe's ",
             to_string(shape_of(outputs.blobs(i))));
      compare(outputs.blobs(i).data(), top.cpu_data(), top.count(), kValue, outputs.top(i));
    }
  }

  void check_running_stats() const {
    for (const auto& layer : net_.layers()) {
      const auto after = stored_.find(layer->name() + "/after");
      if (after == stored_.end()) continue;
      for (int i = 0; i < after->second.blobs_size(); ++i)
        compare(after->second.blobs(i).data(), layer->blobs()[i]->cpu_data(),
                layer->blobs()[i]->count(), kValue, after->first + "/" + std::to_string(i));
    }
  }

  void check_gradients() {
    const LayerParameter& outputs = stored_.at("outputs");
    for (int i = 0; i < outputs.top_size(); ++i) {
      const auto& diff = outputs.blobs(i).diff();
      if (diff.size() == blob(outputs.top(i)).count())
        std::copy(diff.begin(), diff.end(), blob(outputs.top(i)).mutable_cpu_diff());
    }
    net_.clear_gradients();
    net_.backward();
    const LayerParameter& inputs = stored_.at("inputs");
    for (int i = 0; i < inputs.top_size(); ++i) {
      const Blob& input = blob(inputs.top(i));
      if (inputs.blobs(i).diff_size() > 0)
        compare(inputs.blobs(i).diff(), input.cpu_diff(), input.count(), kGradient,
                "gradient of " + inputs.top(i));
    }
    for (const auto& layer : net_.layers())
      for (std::size_t i = 0; i < layer->blobs().size(); ++i) {
        const BlobProto& stored = stored_blob(layer->name(), i);
        if (stored.diff_size() > 0)
          compare(stored.diff(), layer->blobs()[i]->cpu_diff(), layer->blobs()[i]->count(),
                  kGradient, "gradient of " + layer->name() + "/" + std::to_string(i));
      }
  }

  Header header_;
  Net net_;
  std::map<std::string, LayerParameter> stored_;
};

std::vector<std::filesystem::path> cases_in(const std::string& folder) {
  std::vector<std::filesystem::path> cases;
  if (!std::filesystem::is_directory(folder)) fail(folder, ": is not a folder");
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".prototxt") cases.push_back(entry.path());
  if (cases.empty()) fail(folder, ": holds no case (NAME.prototxt and NAME.golden)");
  std::sort(cases.begin(), cases.end());
  return cases;
}

bool passes(const std::filesystem::path& prototxt, const Device& device) {
  const std::string name = prototxt.stem();
  try {
    Case(prototxt, device).run();
    std::cout << "PASS " << name << std::endl;
    return true;
  } catch (const std::exception& error) {
    std::cout << "FAIL " << name << ": " << error.what() << std::endl;
    return false;
  }
}

int run_folders(const std::vector<std::string>& folders, const Device& device) {
  int passed = 0;
  int failed = 0;
  for (const std::string& folder : folders)
    for (const auto& prototxt : cases_in(folder)) ++(passes(prototxt, device) ? passed : failed);
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vibnet

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_WARNING;
  const bool names_device = argc > 2 && std::string(argv[1]) == "--device";
  const int first = names_device ? 3 : 1;
  if (argc <= first) {
    std::cerr << "usage: golden_test [--device cpu|gpu] DIR...\n";
    return 2;
  }
  try {
    const vibnet::Device device = vibnet::parse_device(names_device ? argv[2] : "cpu");
    if (device.type == vibnet::DeviceType::GPU && vibnet::gpu_count() == 0) {
      std::cout << "skipped: no GPU here\n";
      return 0;
    }
    return vibnet::run_folders({argv + first, argv + argc}, device);
  } catch (const std::exception& error) {
    std::cerr << "golden_test: " << error.what() << "\n";
    return 1;
  }
}
