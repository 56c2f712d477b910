#include "support/models.h"
#include "support/paths.h"

#include <algorithm>
#include <map>

namespace vibnet {
namespace {

const Shape kImageNet = {1, 3, 224, 224};
const Shape kImageNet227 = {1, 3, 227, 227};
const Shape kCifar = {1, 3, 32, 32};
const Shape kMnist = {1, 1, 28, 28};

bool is_bottleneck(const LayerParameter& layer) { return layer.type() == "InformationBottleneck"; }

bool is_in_place(const LayerParameter& layer) {
  return layer.bottom_size() > 0 && layer.top_size() > 0 && layer.bottom(0) == layer.top(0);
}

/// Copies layers while blobs change their names.
class Copy {
 public:
  explicit Copy(const NetParameter& net) : net_(net) { net_.clear_layer(); }

  void add(LayerParameter layer) {
    const bool in_place = is_in_place(layer);
    for (std::string& bottom : *layer.mutable_bottom()) bottom = name_of(bottom);
    if (in_place) layer.set_top(0, layer.bottom(0));
    *net_.add_layer() = layer;
  }
  void rename(const std::string& blob, const std::string& name) { names_[blob] = name; }
  std::string name_of(const std::string& blob) const {
    const auto found = names_.find(blob);
    return found == names_.end() ? blob : found->second;
  }
  NetParameter net() const { return net_; }

 private:
  NetParameter net_;
  std::map<std::string, std::string> names_;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const PublishedNet& net) { return out << net.folder; }

std::string test_name(const PublishedNet& net) {
  std::string name = net.folder;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

const std::vector<PublishedNet>& published_nets() {
  static const std::vector<PublishedNet> all = {
      {"lenet_300_100", kMnist, 10, 266610, 0.2662},
      {"lenet5", kMnist, 10, 431080, 2.293},
      {"caffenet", kImageNet227, 1000, 60965224, 724},
      {"vgg16", kImageNet, 1000, 138357544, 15470},
      {"googlenet", kImageNet, 1000, 6998552, 1582},
      {"resnet18", kImageNet, 1000, 11689512, 1814},
      {"resnet50", kImageNet, 1000, 25557032, 3858},
      {"squeezenet_v1.1", kImageNet227, 1000, 1235496, 388},
      {"mobilenet_v1", kImageNet, 1000, 4231976, 569},
      {"mobilenet_v2", kImageNet, 1000, 3504872, 300},
      {"vgg16_cifar10", kCifar, 10, 14990922, 313},
      {"resnet20_cifar10", kCifar, 10, 269722, 40.6},
      {"resnet56_cifar10", kCifar, 10, 853018, 125.5},
  };
  return all;
}

std::string model_file(const std::string& folder, const std::string& file) {
  return source_dir() + "/models/" + folder + "/" + file;
}

NetParameter without_bottlenecks(const NetParameter& net) {
  Copy copy(net);
  for (const LayerParameter& layer : net.layer()) {
    if (is_bottleneck(layer))
      copy.rename(layer.top(0), copy.name_of(layer.bottom(0)));
    else
      copy.add(layer);
  }
  return copy.net();
}

NetParameter with_bottlenecks(const NetParameter& net) {
  if (std::any_of(net.layer().begin(), net.layer().end(), is_bottleneck)) return net;
  Copy copy(net);
  for (const LayerParameter& layer : net.layer()) {
    copy.add(layer);
    if (layer.type() != "ReLU" && layer.type() != "ReLU6") continue;
    LayerParameter bottleneck;
    bottleneck.set_name("ib_" + layer.name());
    bottleneck.set_type("InformationBottleneck");
    *bottleneck.mutable_include() = layer.include();
    bottleneck.add_bottom(copy.name_of(layer.top(0)));
    bottleneck.add_top(bottleneck.name());
    copy.add(bottleneck);
    copy.rename(layer.top(0), bottleneck.name());
  }
  return copy.net();
}

}  // namespace vibnet
