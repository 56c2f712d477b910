// Uses vibnet as a library: loads a deployment net and prints its outputs for an input of zeros.

#include <vibnet/net.h>
#include <vibnet/proto_io.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: embed NET.deploy.prototxt WEIGHTS.caffemodel\n";
    return 2;
  }
  try {
    vibnet::NetOptions options;
    options.keeps_blobs = false;  // inputs and outputs are all that is looked at
    vibnet::Net net(vibnet::read_net_prototxt(argv[1]), options);
    net.copy_weights(argv[2], vibnet::Missing::FAIL);
    for (const std::string& name : net.input_names()) net.blob(name)->set_data(0);
    net.forward();
    for (const auto& [name, value] : net.outputs()) std::cout << name << " = " << value << "\n";
    return 0;
  } catch (const vibnet::Error& error) {
    std::cerr << "embed: " << error.what() << "\n";
    return 1;
  }
}
