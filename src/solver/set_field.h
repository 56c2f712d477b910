#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace vibnet {

/// Sets one field from "name=value", as a flag gives it: "base_lr=0.01", "net_param.name=x",
/// "stepvalue=10,20" for a repeated one. Throws Error for a field or value that does not exist.
void set_field(const std::string& assignment, google::protobuf::Message* message);

}  // namespace vibnet
