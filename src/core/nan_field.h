#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace vibnet {

/// The first float field that is no number, "elu_param.alpha" say; empty where there is none.
/// Blobs are not looked at.
std::string nan_field(const google::protobuf::Message& message);

}  // namespace vibnet
