#include "net/shares.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "net/layer_set_up.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// What a blob holds on each of several ranks: its own samples, along the first axis; or what was
/// summed over the samples of all, the same on each.
enum class Holds { SAMPLES, SUM };

const std::set<std::string> kSources = {"Data",      "DummyData",  "HDF5Data",
                                        "ImageData", "MemoryData", "WindowData"};

/// Those whose first top is a sum over the samples. Of Accuracy all tops are.
const std::set<std::string> kSums = {
    "Accuracy",     "ContrastiveLoss",         "EuclideanLoss",           "HingeLoss",
    "InfogainLoss", "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "SoftmaxWithLoss"};

/// Those that treat value by value, so that sums may be their bottoms.
const std::set<std::string> kPlain = {"Eltwise", "Exp", "Log", "Power", "Silence", "Split"};

/// Those that treat each sample alone whatever their parameters say; BatchNorm sums over ranks.
const std::set<std::string> kAlone = {"AbsVal",
                                      "Axpy",
                                      "BatchNorm",
                                      "BNLL",
                                      "Clip",
                                      "Dropout",
                                      "ELU",
                                      "Embed",
                                      "HardConcrete",
                                      "HardSwish",
                                      "InformationBottleneck",
                                      "Interp",
                                      "LRN",
                                      "MVN",
                                      "Pooling",
                                      "PReLU",
                                      "ReLU",
                                      "ReLU6",
                                      "Sigmoid",
                                      "ShuffleChannel",
                                      "SPP",
                                      "Swish",
                                      "TanH",
                                      "Threshold"};

int permuted(const LayerParameter& p) {
  const auto& order = p.permute_param().order();
  return order.empty() || order[0] == 0 ? 1 : 0;
}

/// A dim of 0 or -1 leaves the batch its axis.
int reshaped(const LayerParameter& p) {
  const ReshapeParameter& reshape = p.reshape_param();
  const bool keeps = reshape.shape().dim_size() > 0 && reshape.shape().dim(0) <= 0;
  if (reshape.axis() < 0) return reshape.axis() == -1 ? 1 : reshape.axis() + 1;
  return reshape.axis() == 0 && keeps ? 1 : reshape.axis();
}

/// A factor of each sample has all its axes; a learned one, of which axis 0 could be the first,
/// none.
template <typename Parameter>
int broadcast(const LayerParameter& p, const Parameter& broadcast, bool has_bias) {
  if (p.bottom_size() > 1) return broadcast.axis() == 0 && !has_bias ? 1 : 0;
  return broadcast.num_axes() == 0 ? 1 : broadcast.axis();
}

/// For layers that work along an axis, or several from there on: which.
const std::map<std::string, std::function<int(const LayerParameter&)>> kAxes = {
    {"Accuracy", [](const auto& p) { return p.accuracy_param().axis(); }},
    {"ArgMax",
     [](const auto& p) { return p.argmax_param().has_axis() ? p.argmax_param().axis() : 1; }},
    {"Bias", [](const auto& p) { return broadcast(p, p.bias_param(), false); }},
    {"Concat",
     [](const auto& p) {
       const ConcatParameter& concat = p.concat_param();
       return concat.has_concat_dim() ? static_cast<int>(concat.concat_dim()) : concat.axis();
     }},
    {"Convolution", [](const auto& p) { return p.convolution_param().axis(); }},
    {"Crop", [](const auto& p) { return p.crop_param().axis(); }},
    {"Deconvolution", [](const auto& p) { return p.convolution_param().axis(); }},
    {"DepthwiseConvolution", [](const auto& p) { return p.convolution_param().axis(); }},
    {"Flatten", [](const auto& p) { return p.flatten_param().axis(); }},
    {"Im2col", [](const auto& p) { return p.convolution_param().axis(); }},
    {"InfogainLoss", [](const auto& p) { return p.infogain_loss_param().axis(); }},
    {"InnerProduct", [](const auto& p) { return p.inner_product_param().axis(); }},
    {"Permute", permuted},
    {"Reduction", [](const auto& p) { return p.reduction_param().axis(); }},
    {"Reshape", reshaped},
    {"Scale",
     [](const auto& p) { return broadcast(p, p.scale_param(), p.scale_param().bias_term()); }},
    {"Slice",
     [](const auto& p) {
       const SliceParameter& slice = p.slice_param();
       return slice.has_slice_dim() ? static_cast<int>(slice.slice_dim()) : slice.axis();
     }},
    {"Softmax", [](const auto& p) { return p.softmax_param().axis(); }},
    {"SoftmaxWithLoss", [](const auto& p) { return p.softmax_param().axis(); }},
    {"Tile", [](const auto& p) { return p.tile_param().axis(); }},
};

/// Whether the layer works along the axis of the samples.
bool crosses_samples(const LayerParameter& layer, int axes) {
  const auto found = kAxes.find(layer.type());
  if (found == kAxes.end()) return false;
  const int axis = found->second(layer);
  return (axis < 0 ? axis + axes : axis) == 0;
}

bool is_known(const std::string& type) {
  return kSources.count(type) + kSums.count(type) + kPlain.count(type) + kAlone.count(type) +
             kAxes.count(type) >
         0;
}

class Shares {
 public:
  explicit Shares(const Net& net) : net_(net) {}

  void check() {
    for (int i = 0; i < static_cast<int>(net_.layers().size()); ++i) {
      if (!can_share(i))
        fail(title(layer(i)), ": cannot work on a share of the batch, which is what each of ",
             net_.context().ranks->size(), " ranks has; train this net with one");
      for (int top = 0; top < static_cast<int>(net_.tops(i).size()); ++top) set_top(i, top);
    }
  }

 private:
  const LayerParameter& layer(int index) const { return net_.layers()[index]->parameter(); }

  bool all_hold(int index, Holds what) const {
    const Blobs& bottoms = net_.bottoms(index);
    return std::all_of(bottoms.begin(), bottoms.end(),
                       [&](const Blob* blob) { return holds_.at(blob) == what; });
  }

  bool sums(int index) const {
    const std::string& type = layer(index).type();
    return kSums.count(type) > 0 ||
           (type == "Reduction" && crosses_samples(layer(index), net_.bottoms(index)[0]->axes()));
  }

  bool can_share(int index) const {
    const std::string& type = layer(index).type();
    if (!is_known(type)) return false;
    if (net_.bottoms(index).empty()) return kSources.count(type) > 0;
    if (kPlain.count(type) > 0 && all_hold(index, Holds::SUM)) return true;
    if (!all_hold(index, Holds::SAMPLES)) return false;
    if (type == "InfogainLoss" && net_.bottoms(index).size() > 2) return false;  // its matrix
    if (type == "Reduction") return true;
    return !crosses_samples(layer(index), net_.bottoms(index)[0]->axes());
  }

  void set_top(int index, int top) {
    const bool is_sum = kPlain.count(layer(index).type()) > 0
                            ? all_hold(index, Holds::SUM)
                            : sums(index) && (top == 0 || layer(index).type() == "Accuracy");
    holds_[net_.tops(index)[top]] = is_sum ? Holds::SUM : Holds::SAMPLES;
    const float weight = top < layer(index).loss_weight_size()
                             ? layer(index).loss_weight(top)
                             : net_.layers()[index]->default_loss_weight(top);
    if (weight != 0 && !is_sum)
      fail(title(layer(index)), ": loss_weight is for a top that holds a value for each sample; ",
           "several ranks need a sum, by a Reduction of axis 0");
  }

  const Net& net_;
  std::map<const Blob*, Holds> holds_;
};

}  // namespace

void check_shares(const Net& net) { Shares(net).check(); }

}  // namespace vibnet
