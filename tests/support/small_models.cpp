#include "support/small_models.h"

#include <algorithm>

#include "support/models.h"
#include "support/shuffle_net.h"
#include "vibnet/compress.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

const Shape kSmall = {2, 3, 64, 64};
const Shape kCifar = {2, 3, 32, 32};

void pool_what_is_left(LayerParameter* layer) {
  constexpr int kLargestInside = 5;
  if (layer->pooling_param().kernel_size() <= kLargestInside) return;
  PoolingParameter* pooling = layer->mutable_pooling_param();
  pooling->clear_kernel_size();
  pooling->clear_stride();
  pooling->set_global_pooling(true);
}

}  // namespace

const std::vector<SmallModel>& small_models() {
  static const std::vector<SmallModel> kAll = {
      {"lenet5", {2, 1, 28, 28}},   {"vgg16_cifar10", kCifar}, {"resnet20_cifar10", kCifar},
      {"resnet56_cifar10", kCifar}, {"googlenet", kSmall},     {"mobilenet_v1", kSmall},
      {"mobilenet_v2", kSmall},     {"shuffle_net", kCifar},   {"squeezenet_v1.1", kSmall}};
  return kAll;
}

NetParameter deploy_of(const SmallModel& model) {
  if (model.name == "shuffle_net") return shuffle_net(model.input);
  const NetParameter net = read_net_prototxt(model_file(model.name, "train_val.prototxt"));
  NetParameter deploy = make_deploy(without_bottlenecks(net), model.input);
  for (LayerParameter& layer : *deploy.mutable_layer()) pool_what_is_left(&layer);
  if (deploy.layer(deploy.layer_size() - 1).type() == "Softmax")
    deploy.mutable_layer()->RemoveLast();
  return deploy;
}

std::ostream& operator<<(std::ostream& out, const SmallModel& model) { return out << model.name; }

std::string test_name(const SmallModel& model) {
  std::string name = model.name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace vibnet
