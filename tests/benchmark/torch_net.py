"""A PyTorch net from a prototxt and its weights: the modules and the forward that its users would
write, by torch.fx, with no interpreter between the layers."""
import operator

import torch
from torch import nn

import nets


class InformationBottleneck(nn.Module):
    """VIBNet's layer; after forward in training, `kl` holds its KL term."""

    def __init__(self, parameter, channels):
        super().__init__()
        self.mu = nn.Parameter(torch.empty(channels))
        self.log_sigma2 = nn.Parameter(torch.empty(channels))
        self.gamma, self.threshold = parameter.gamma, parameter.threshold
        self.kl_scale = parameter.kl_scale
        self.kl = None

    def factors(self, x):
        if not self.training:
            kept = self.log_sigma2 - torch.log(self.mu * self.mu) < self.threshold
            return (self.mu * kept).unsqueeze(0)
        noise = torch.randn(x.size(0), self.mu.numel(), device=x.device)
        self.kl = self.gamma * self.scale(x) * 0.5 * torch.log1p(
            self.mu * self.mu * torch.exp(-self.log_sigma2)).sum()
        return self.mu + torch.exp(0.5 * self.log_sigma2) * noise

    def scale(self, x):
        spatial = x[0, 0].numel()
        return {0: spatial, 1: 1, 2: x.size(-1) if x.dim() > 2 else 1}[self.kl_scale]

    def forward(self, x):
        z = self.factors(x)
        return x * z.view(z.shape + (1,) * (x.dim() - 2))


class Scale(nn.Module):
    def __init__(self, channels, has_bias):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels)) if has_bias else None

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.dim() - 2)
        scaled = x * self.weight.view(shape)
        return scaled if self.bias is None else scaled + self.bias.view(shape)


def _convolution(layer, blobs):
    p = layer.convolution_param
    out, in_of_group = blobs[0].shape[:2]
    if any(dilation != 1 for dilation in p.dilation):
        raise ValueError(layer.name + ": dilation is not translated")
    return nn.Conv2d(in_of_group * p.group, out, blobs[0].shape[2:], nets.pair(p, "stride", 1),
                     nets.pair(p, "pad", 0), groups=p.group, bias=len(blobs) > 1)


def _pooling(layer):
    p = layer.pooling_param
    if p.global_pooling:
        return nn.AdaptiveMaxPool2d(1) if p.pool == 0 else nn.AdaptiveAvgPool2d(1)
    kind = nn.MaxPool2d if p.pool == 0 else nn.AvgPool2d
    return kind(nets.pair(p, "kernel_size", 1), nets.pair(p, "stride", 1), nets.pair(p, "pad", 0),
                ceil_mode=p.round_mode == 0)


class Builder:
    def __init__(self, net, blobs):
        self.blobs, self.layers = blobs, list(net.layer)
        self.root, self.graph, self.values = nn.Module(), torch.fx.Graph(), {}
        self.flat, self.specs, self.skipped = set(), {}, set()
        self.pieces = {}
        for index, layer in enumerate(self.layers):
            if layer.name not in self.skipped and layer.type != "SoftmaxWithLoss":
                self.add(index, layer)

    def module(self, layer, module, arrays=()):
        """The call of a module, whose parameters take these arrays."""
        name = layer.name.replace("/", "_").replace(".", "_")
        if len(arrays) != len(list(module.parameters())):
            raise ValueError("%s has %d blobs" % (layer.name, len(arrays)))
        for (parameter_name, parameter), array in zip(module.named_parameters(), arrays):
            if tuple(parameter.shape) != array.shape:
                raise ValueError("%s: %s is of shape %s" % (layer.name, parameter_name,
                                                            array.shape))
            parameter.data.copy_(torch.from_numpy(array))
        self.root.add_module(name, module)
        for index, parameter in enumerate(module.parameters()):
            spec = layer.param[index] if index < len(layer.param) else None
            self.specs[parameter] = self.rates(layer, spec)
        return self.graph.call_module(name, (self.values[layer.bottom[0]],))

    @staticmethod
    def rates(layer, spec):
        """(lr_mult, decay_mult) of a parameter."""
        decay = 0 if layer.type == nets.GATE else 1
        if spec is None:
            return 1, decay
        return spec.lr_mult, spec.decay_mult if spec.HasField("decay_mult") else decay

    def call(self, function, *arguments):
        return self.graph.call_function(function, arguments)

    def add(self, index, layer):
        if layer.type == "Input":
            if layer.name != "label":
                self.values[layer.top[0]] = self.graph.placeholder(layer.top[0])
                if len(layer.input_param.shape[0].dim) == 2:
                    self.flat.add(layer.top[0])
            return
        value = getattr(self, "add_" + layer.type)(index, layer)
        if value is not None:
            self.values[layer.top[0]] = self.output = value

    def add_Convolution(self, _, layer):
        blobs = self.blobs[layer.name]
        return self.module(layer, _convolution(layer, blobs), blobs)

    def add_InnerProduct(self, _, layer):
        blobs = self.blobs[layer.name]
        if layer.bottom[0] not in self.flat:
            self.values[layer.bottom[0]] = self.call(torch.flatten, self.values[layer.bottom[0]], 1)
        self.flat.add(layer.top[0])
        out, size = blobs[0].shape
        return self.module(layer, nn.Linear(size, out, bias=len(blobs) > 1), blobs)

    def add_Flatten(self, _, layer):
        self.flat.add(layer.top[0])
        return self.call(torch.flatten, self.values[layer.bottom[0]], 1)

    def add_ReLU(self, _, layer):
        if layer.bottom[0] in self.flat:
            self.flat.add(layer.top[0])
        return self.module(layer, nn.ReLU(inplace=layer.top[0] == layer.bottom[0]))

    def add_Pooling(self, _, layer):
        return self.module(layer, _pooling(layer))

    def add_Dropout(self, _, layer):
        return self.module(layer, nn.Dropout(layer.dropout_param.dropout_ratio))

    def add_Softmax(self, _, layer):
        return self.module(layer, nn.Softmax(1))

    def add_BatchNorm(self, index, layer):
        """Together with a Scale behind it, as everybody else has it."""
        p = layer.batch_norm_param
        mean, variance, factor = self.blobs[layer.name][:3]
        following = self.layers[index + 1]
        scales = (following.type == "Scale" and following.bottom[0] == layer.top[0]
                  and len(self.blobs[following.name]) == 2)
        module = nn.BatchNorm2d(len(mean), p.eps, 1 - p.moving_average_fraction, affine=scales)
        module.running_mean.copy_(torch.from_numpy(mean / factor))
        module.running_var.copy_(torch.from_numpy(variance / factor))
        if not scales:
            return self.module(layer, module)
        self.skipped.add(following.name)
        value = self.module(layer, module, self.blobs[following.name])
        self.values[following.top[0]] = value
        return value

    def add_Scale(self, _, layer):
        blobs = self.blobs[layer.name]
        return self.module(layer, Scale(len(blobs[0]), len(blobs) > 1), blobs)

    def add_InformationBottleneck(self, _, layer):
        if layer.bottom[0] in self.flat:
            self.flat.add(layer.top[0])
        blobs = self.blobs[layer.name]
        return self.module(layer, InformationBottleneck(layer.information_bottleneck_param,
                                                        len(blobs[0])), blobs)

    def add_Eltwise(self, _, layer):
        if layer.eltwise_param.operation != 1 or any(c != 1 for c in layer.eltwise_param.coeff):
            raise ValueError(layer.name + ": only a plain sum is translated")
        first, *others = [self.values[blob] for blob in layer.bottom]
        for other in others:
            first = self.call(operator.add, first, other)
        return first

    def add_Slice(self, _, layer):
        """Kept as (blob, begin, end) until a Concat puts its pieces together."""
        ends = list(layer.slice_param.slice_point)
        for top, begin, end in zip(layer.top, [0] + ends, ends + [None]):
            self.pieces[top] = (layer.bottom[0], begin, end)

    def add_Silence(self, _, layer):
        pass

    def add_selection(self, layer):
        """A Concat of pieces of one blob; the last piece fills what the InnerProduct behind reads."""
        reader = next(l for l in self.layers if l.type == "InnerProduct"
                      and l.bottom[0] == layer.top[0])
        width = self.blobs[reader.name][0].shape[1]
        index = []
        for piece in layer.bottom:
            blob, begin, end = self.pieces[piece]
            index += range(begin, begin + width - len(index) if end is None else end)
        name = layer.name + "_index"
        self.root.register_buffer(name, torch.tensor(index))
        self.flat.add(layer.top[0])
        return self.call(torch.index_select, self.values[blob], 1, self.graph.get_attr(name))

    def add_Concat(self, _, layer):
        if layer.bottom[0] in self.pieces:
            return self.add_selection(layer)
        return self.call(torch.cat, [self.values[blob] for blob in layer.bottom], 1)

    def add_Power(self, _, layer):
        p = layer.power_param
        if p.power != 1 or p.shift != 0:
            raise ValueError(layer.name + ": only a scale is translated")
        if p.scale == 0:
            return self.call(torch.zeros_like, self.values[layer.bottom[0]])
        return self.call(operator.mul, self.values[layer.bottom[0]], p.scale)

    def net(self):
        self.graph.output(self.output)
        return torch.fx.GraphModule(self.root, self.graph)


def load(prototxt, caffemodel):
    """The module, and (lr_mult, decay_mult) of each parameter."""
    builder = Builder(nets.read_prototxt(prototxt), nets.arrays(nets.read_weights(caffemodel)))
    return builder.net(), builder.specs
