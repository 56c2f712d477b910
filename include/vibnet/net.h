#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/context.h"
#include "vibnet/layer.h"

namespace vibnet {

class ChannelPass;
class ChannelwiseLayer;
class GateLayer;
class GpuOutOfMemory;
class Net;

struct NetOptions {
  Phase phase = TEST;
  Device device;
  std::uint64_t seed = 0;
  int level = 0;
  std::vector<std::string> stages;
  /// Whether the fillers run; false for a net whose weights are all copied from a file.
  bool fills_parameters = true;
  /// Whether every blob holds its values after a pass. If not, layers run together where they can,
  /// and blobs share memory: only inputs, outputs and parameters are to be looked at, and a TEST
  /// net runs no backward.
  bool keeps_blobs = true;
  /// Those who share each batch.
  Communicator* ranks = &one_rank();
  /// A net whose parameter memory this one uses, layer by layer name; none if null.
  const Net* weights_of = nullptr;
};

/// What copy_weights does with a layer of the net that the file holds nothing for.
enum class Missing { KEEP, FAIL };

/// A graph of layers built from a prototxt, in the order of the file.
class Net {
 public:
  /// Keeps the layers that the phase, level and stages include, puts Split layers where a blob has
  /// several readers, makes the layers and shapes every blob. Throws Error naming the layer.
  Net(const NetParameter& parameter, const NetOptions& options);
  Net(const Net&) = delete;  // the layers point to its context
  Net& operator=(const Net&) = delete;
  ~Net();

  /// Runs all layers. Returns the objective: the loss tops by their weights, and in TRAIN the
  /// layers' penalties.
  float forward();
  /// The tops that are losses, and their weights: forward()'s result but for the penalties.
  struct Loss {
    const Blob* blob;
    float weight;
  };
  std::vector<Loss> losses() const;
  /// Layer::check of all layers. forward() does it; who runs layer by layer, when a loss is read.
  void check();
  /// Runs the gradients of the last forward back. Adds to the diffs of the parameters.
  void backward();
  void clear_gradients();
  /// Shapes every blob anew after the input blobs have been reshaped.
  void reshape();

  /// Copies blobs by layer name. Layers that only the file has are passed over. Throws Error, and
  /// copies nothing, when a count or shape does not fit; `source` names the file in the message.
  void copy_weights(const NetParameter& weights, const std::string& source, Missing missing);
  /// The same from a caffemodel, which is read blob by blob and never stands in memory as a whole.
  void copy_weights(const std::string& caffemodel, Missing missing);
  /// The net as it stands, weights in.
  NetParameter to_proto(bool write_diff = false) const;

  Context& context() { return context_; }
  const Context& context() const { return context_; }
  const std::string& name() const { return name_; }

  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }
  /// Null when there is none of that name.
  Layer* layer(const std::string& name) const;
  const Blobs& bottoms(int layer) const { return bottoms_[layer]; }
  const Blobs& tops(int layer) const { return tops_[layer]; }
  bool needs_backward(int layer) const { return layer_needs_backward_[layer]; }
  /// The first of the layers that this one runs together with: itself if alone.
  int pass_of(int layer) const { return pass_of_[layer]; }

  /// Null when there is none of that name.
  Blob* blob(const std::string& name) const;
  /// In the order they are made.
  const std::vector<std::string>& blob_names() const { return blob_names_; }
  /// The tops of Input layers.
  const std::vector<std::string>& input_names() const { return input_names_; }
  /// The blobs that no layer reads.
  const std::vector<std::string>& output_names() const { return output_names_; }

  /// Every value of every output, as "name" or "name[i]".
  std::vector<std::pair<std::string, double>> outputs() const;

  /// A parameter that the solver updates. Shared ones stand here once.
  struct Parameter {
    Blob* blob;
    std::string name;
    float lr_mult;
    float decay_mult;
    /// Times kl_weight times the sum of |values|: a part of what is made small, as weight decay is,
    /// and like it no part of the objective that forward() returns.
    float l1_decay;
  };
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<GateLayer*>& gates() const { return gates_; }

  /// One layer; with the first of several that run together, all of them, and with the others none.
  void backward_layer(int index);
  void forward_layer(int index);

 private:
  /// The blob that a shared parameter's name stands for, and its place in parameters_.
  struct Owner {
    int layer;
    int blob;
    int parameter;
  };

  /// The layers that a file has weights for, and what they are there.
  using Matches = std::vector<std::pair<Layer*, const LayerParameter*>>;

  Matches match_weights(const NetParameter& weights, const std::string& source,
                        Missing missing) const;
  void append_layer(const LayerParameter& parameter, const NetOptions& options);
  void check_names_of_weights() const;
  Blob* connect_bottom(const LayerParameter& parameter, int index);
  Blob* connect_top(const LayerParameter& parameter, int index, const std::string& name);
  void share_weights(const Net& other);
  void set_loss_weights(const LayerParameter& parameter, int layer);
  void append_parameters(const LayerParameter& parameter, int layer);
  void append_parameter(const ParamSpec& spec, int layer, int index);
  void share_parameter(const ParamSpec& spec, int layer, int index, const Owner& owner);
  void find_backward_path(bool force);
  void find_outputs();
  int last_of_pass(int first) const;
  void reshape_layer(int index);
  /// Whether backward may be asked of a layer.
  bool runs_backward(int layer) const {
    return layer_needs_backward_[layer] && (context_.phase == TRAIN || keeps_blobs_);
  }
  bool is_in_place(int layer) const;
  bool spoils_gradient(int layer) const;
  bool spoils_its_own(int layer) const;
  int spoiled_by(int layer) const;
  bool give_own_bottom(int layer);
  void part_blobs_in_place();
  std::vector<ChannelwiseLayer*> members_of_pass(int first, int end) const;
  bool may_begin_pass(int layer) const;
  bool joins_pass(int layer, int first) const;
  int writer_of(const Blob* blob, int layer) const;
  int maker_of(const Blob* blob, int layer) const;
  void replace_blob(Blob* old, Blob* blob, int begin, int end);
  void fuse(int layer, int behind);
  void fuse_sum(int sum);
  void fuse_relu(int relu);
  int reader_of(const Blob* blob) const;
  void put_channels_last(int depthwise);
  void fuse_on_cpu();
  void fuse_layers();
  bool join_blobs_of_pass(int first, int end);
  bool keep_bottom_of_pass(int first, int end);
  std::vector<Blobs> sharing(bool (Layer::*shares)() const) const;
  bool is_diff_changed(const Blob* blob, int reader) const;
  std::map<Blob*, Blob*> handed_on_diffs() const;
  void share_diffs();
  void share_data();
  void plan_memory();
  [[noreturn]] void explain(const GpuOutOfMemory& error, int layer) const;
  void log_forward(int layer) const;
  void log_backward(int layer) const;

  std::string name_;
  bool debug_info_ = false;
  Context context_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Blobs> bottoms_;
  std::vector<Blobs> tops_;
  std::vector<std::vector<float>> loss_weights_;
  std::vector<std::vector<bool>> propagate_down_;
  std::vector<bool> layer_needs_backward_;
  std::vector<int> pass_of_;
  /// At the first layer of each pass of several, and of one that runs in place as passes can.
  std::vector<std::unique_ptr<ChannelPass>> passes_;
  /// Blobs that the prototxt knows nothing of.
  std::vector<std::unique_ptr<Blob>> own_blobs_;
  bool keeps_blobs_ = true;
  std::map<std::string, std::unique_ptr<Blob>> blobs_;
  std::vector<std::string> blob_names_;
  std::vector<std::string> input_names_;
  std::vector<std::string> output_names_;
  std::vector<Parameter> parameters_;
  std::map<std::string, Owner> owners_;
  std::vector<GateLayer*> gates_;
};

/// The net; `source`, the prototxt's file, stands in front of what is wrong.
Net make_net(const NetParameter& parameter, const std::string& source, const NetOptions& options);

}  // namespace vibnet
