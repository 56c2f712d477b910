#include "fuzz/fuzz_targets.h"

#include <google/protobuf/message.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "core/upgrade.h"
#include "data/data_transformer.h"
#include "data/datum.h"
#include "data/readers.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// A file in memory, with a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    const auto written = write(descriptor_, bytes.data(), bytes.size());
    if (written != static_cast<ssize_t>(bytes.size())) throw std::runtime_error("no memory file");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Whether it names a file, which a fuzzer must neither open nor write.
bool names_a_file(const Message& message) {
  static const std::set<std::string> names = {"source",    "mean_file", "meanfile",
                                              "file_name", "net",       "train_net",
                                              "test_net",  "weights",   "root_folder"};
  std::vector<const FieldDescriptor*> fields;
  const auto* reflection = message.GetReflection();
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (names.count(field->name()) > 0) return true;
    if (field->message_type() == nullptr) continue;
    if (!field->is_repeated()) {
      if (names_a_file(reflection->GetMessage(message, field))) return true;
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      if (names_a_file(reflection->GetRepeatedMessage(message, field, i))) return true;
  }
  return false;
}

/// Whether a pass takes no time, so that honest work is not taken for a hang.
bool is_small(const Net& net) {
  constexpr double kFewValues = 1e5;
  constexpr double kFewOperations = 1e7;
  double values = 0;
  double operations = 0;
  for (const std::string& name : net.blob_names()) values += net.blob(name)->count();
  for (const auto& layer : net.layers()) {
    operations += layer->flops();
    for (const auto& blob : layer->blobs()) values += blob->count();
  }
  return values < kFewValues && operations < kFewOperations;
}

void run_net(const NetParameter& parameter, Phase phase) {
  NetOptions options;
  options.phase = phase;
  Net net(parameter, options);
  if (!is_small(net)) return;
  net.forward();
  net.backward();
}

template <typename Body>
void swallow_errors(const Body& body) {
  try {
    body();
  } catch (const Error&) {
  }
}

void fuzz_prototxt(const std::string& bytes) {
  NetParameter net;
  read_prototxt(MemoryFile(bytes).path(), &net);
  upgrade_net(&net);
  if (names_a_file(net)) return;
  for (const Phase phase : {TRAIN, TEST}) swallow_errors([&] { run_net(net, phase); });
  NetParameter again;
  parse_prototxt(to_prototxt(net), "written", &again);
}

void fuzz_solver(const std::string& bytes) {
  constexpr int kFewPasses = 4;
  SolverParameter parameter;
  read_prototxt(MemoryFile(bytes).path(), &parameter);
  if (names_a_file(parameter)) return;
  parameter.clear_test_interval();
  parameter.clear_snapshot();
  Solver solver(parameter, "fuzz", Device());
  if (parameter.iter_size() <= kFewPasses && is_small(solver.net())) solver.step(2);
}

/// A net with a blob of each common shape.
const char* const kNet = R"(
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 4, 4] } } }
  layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
          convolution_param { num_output: 2 kernel_size: 3 } }
  layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
  layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true } }
  layer { name: "ib" type: "InformationBottleneck" bottom: "scale" top: "ib" }
  layer { name: "ip" type: "InnerProduct" bottom: "ib" top: "ip"
          inner_product_param { num_output: 2 } })";

void fuzz_caffemodel(const std::string& bytes) {
  const MemoryFile file(bytes);
  NetParameter parameter;
  parse_prototxt(kNet, "net", &parameter);
  Net net(parameter, NetOptions());
  swallow_errors([&] {
    net.copy_weights(file.path(), Missing::KEEP);
    net.forward();
  });
  const NetParameter weights = read_caffemodel(file.path());
  net.copy_weights(weights, file.path(), Missing::KEEP);
  to_prototxt(weights);
}

/// What the fuzzer's Datum goes through: as it is, in colour, and in grey with all that a training
/// does to it.
const char* const kTransforms[] = {
    "", "force_color: true scale: 0.5 mean_value: 1 mean_value: 2 mean_value: 3",
    "force_gray: true mirror: true crop_size: 3 pad: 1 mean_value: 1"};

void fuzz_datum(const std::string& bytes) {
  constexpr int kMostValues = 1 << 20;
  for (const char* text : kTransforms) {
    TransformationParameter parameter;
    parse_prototxt(text, "transform_param", &parameter);
    swallow_errors([&] {
      Datum datum;
      read_datum({"key", bytes}, parameter, "fuzz", &datum);
      for (const Phase phase : {TRAIN, TEST}) {
        const DataTransformer transformer(parameter, phase, random_key(1, "fuzz"));
        const Shape shape = transformer.output_shape(datum);
        Blob blob(shape);
        if (blob.count() > kMostValues) return;
        for (int sample = 0; sample < 2; ++sample)
          transformer.transform(datum, shape, sample, blob.mutable_cpu_data());
      }
    });
  }
}

/// The bytes as the pictures, and as the labels.
void fuzz_idx(const std::string& bytes) {
  using std::string_literals::operator""s;
  const MemoryFile file(bytes);
  const MemoryFile images("\0\0\x8\x3\0\0\0\2\0\0\0\1\0\0\0\2abcd"s);
  const MemoryFile labels("\0\0\x8\x1\0\0\0\2\1\2"s);
  swallow_errors([&] { read_idx(file.path(), labels.path(), 10); });
  swallow_errors([&] { read_idx(images.path(), file.path(), 10); });
}

void fuzz_cifar(const std::string& bytes) {
  const MemoryFile file(bytes);
  swallow_errors([&] { read_cifar(file.path(), CifarKind::CIFAR10); });
  swallow_errors([&] { read_cifar(file.path(), CifarKind::CIFAR100_FINE); });
}

template <void (*kTarget)(const std::string&)>
void without_errors(const std::string& bytes) {
  swallow_errors([&] { kTarget(bytes); });
}

}  // namespace

const std::map<std::string, FuzzTarget>& fuzz_targets() {
  static const std::map<std::string, FuzzTarget> all = {
      {"prototxt", without_errors<fuzz_prototxt>},
      {"solver", without_errors<fuzz_solver>},
      {"caffemodel", without_errors<fuzz_caffemodel>},
      {"datum", fuzz_datum},
      {"idx", fuzz_idx},
      {"cifar", fuzz_cifar}};
  return all;
}

}  // namespace vibnet
