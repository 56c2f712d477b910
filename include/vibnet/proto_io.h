#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// Reads a prototxt. Throws Error with file, line and column where it is missing or wrong.
void read_prototxt(const std::string& path, google::protobuf::Message* message);

/// The same from a text; `name` stands for the file in messages.
void parse_prototxt(const std::string& text, const std::string& name,
                    google::protobuf::Message* message);

/// Reads a binary message (caffemodel, solverstate, binaryproto). Throws Error where it is missing,
/// empty, cut off or of another kind.
void read_binary(const std::string& path, google::protobuf::Message* message);

std::string to_prototxt(const google::protobuf::Message& message);
/// A binary message's bytes; `path` stands for the file in messages. Throws Error beyond 2 GiB.
std::string to_binary(const google::protobuf::Message& message, const std::string& path);
void write_prototxt(const google::protobuf::Message& message, const std::string& path);
void write_binary(const google::protobuf::Message& message, const std::string& path);

/// A net's prototxt or caffemodel, upgraded from Caffe's older forms to `layer` messages. Throws
/// Error for one without layers.
NetParameter read_net_prototxt(const std::string& path);
NetParameter read_caffemodel(const std::string& path);

/// Replaces the file in one step: after a crash or a full disk the old one is still whole. Where
/// the path is a link, it is the file behind it that is replaced; a device or a pipe is written
/// into.
void write_file(const std::string& path, const std::string& bytes);

/// The same for several, as {path, bytes}: none is replaced before all are on the disk.
void write_files(const std::vector<std::pair<std::string, std::string>>& files);
std::string read_file(const std::string& path);

}  // namespace vibnet
