#include "support/shuffle_net.h"

#include <string>
#include <vector>

#include "support/trained_net.h"

namespace vibnet {
namespace {

constexpr int kGroups = 3;

class ShuffleNetWriter {
 public:
  NetParameter write(const Shape& input) {
    text_ = input_of(input);
    std::string x = relu(convolution("data", 24, "kernel_size: 3 pad: 1"));
    x = add("Pooling", {x}, "pooling_param { pool: MAX kernel_size: 3 stride: 2 }");
    x = first_unit(x, 24, 24, 1);
    x = first_unit(x, 24, 48, 2);
    x = first_unit(x, 48, 48, 1);
    x = second_unit(x, 48);
    x = second_unit_down(x, 48, 96);
    x = second_unit(x, 96);
    x = relu(convolution(x, 64, "kernel_size: 1"));
    x = add("Pooling", {x}, "pooling_param { pool: AVE global_pooling: true }");
    add("InnerProduct", {x}, "inner_product_param { num_output: 10 }");
    return net_of(text_);
  }

 private:
  using Blobs = std::vector<std::string>;

  std::string add(const std::string& type, const Blobs& bottoms, const std::string& parameter,
                  int tops = 1) {
    const std::string name = type + "_" + std::to_string(++layers_);
    text_ += "layer { name: '" + name + "' type: '" + type + "'";
    for (const std::string& bottom : bottoms) text_ += " bottom: '" + bottom + "'";
    text_ += " top: '" + name + "'";
    if (tops == 2) text_ += " top: '" + name + "_b'";
    text_ += " " + parameter + " }\n";
    return name;
  }

  void in_place(const std::string& type, const std::string& blob, const std::string& parameter) {
    text_ += "layer { name: '" + type + "_" + std::to_string(++layers_) + "' type: '" + type +
             "' bottom: '" + blob + "' top: '" + blob + "' " + parameter + " }\n";
  }

  std::string relu(const std::string& x) {
    in_place("ReLU", x, "");
    return x;
  }

  std::string convolution(const std::string& x, int outputs, const std::string& window,
                          int group = 1) {
    const std::string top =
        add("Convolution", {x},
            "convolution_param { num_output: " + std::to_string(outputs) + " " + window +
                " group: " + std::to_string(group) + " bias_term: false }");
    in_place("BatchNorm", top, "");
    in_place("Scale", top, "scale_param { bias_term: true }");
    return top;
  }

  std::string depthwise(const std::string& x, int channels, int stride) {
    return convolution(x, channels, "kernel_size: 3 pad: 1 stride: " + std::to_string(stride),
                       channels);
  }

  std::string shuffle(const std::string& x, int group) {
    return add("ShuffleChannel", {x},
               "shuffle_channel_param { group: " + std::to_string(group) + " }");
  }

  std::string first_unit(const std::string& x, int inputs, int outputs, int stride) {
    const int added = stride == 1 ? outputs : outputs - inputs;
    std::string y = relu(convolution(x, 12, "kernel_size: 1", kGroups));
    y = depthwise(shuffle(y, kGroups), 12, stride);
    y = convolution(y, added, "kernel_size: 1", kGroups);
    if (stride == 1) return relu(add("Eltwise", {x, y}, ""));
    const std::string shortcut =
        add("Pooling", {x}, "pooling_param { pool: AVE kernel_size: 2 stride: 2 }");
    return relu(add("Concat", {shortcut, y}, ""));
  }

  std::string second_branch(const std::string& x, int channels, int stride) {
    const std::string y =
        depthwise(relu(convolution(x, channels, "kernel_size: 1")), channels, stride);
    return relu(convolution(y, channels, "kernel_size: 1"));
  }

  std::string second_unit(const std::string& x, int channels) {
    const std::string half = add("Slice", {x}, "", 2);
    return shuffle(add("Concat", {half, second_branch(half + "_b", channels / 2, 1)}, ""), 2);
  }

  std::string second_unit_down(const std::string& x, int inputs, int outputs) {
    const std::string left =
        relu(convolution(depthwise(x, inputs, 2), outputs / 2, "kernel_size: 1"));
    return shuffle(add("Concat", {left, second_branch(x, outputs / 2, 2)}, ""), 2);
  }

  std::string text_;
  int layers_ = 0;
};

}  // namespace

NetParameter shuffle_net(const Shape& input) { return ShuffleNetWriter().write(input); }

}  // namespace vibnet
