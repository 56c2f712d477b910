#include "vibnet/proto_io.h"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/text_format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include "core/file.h"
#include "core/text_parser.h"
#include "core/upgrade.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using google::protobuf::Message;

void write_all(int descriptor, const std::string& bytes, const std::string& path) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = write(descriptor, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path, ": cannot be written: ", std::strerror(errno));
    written += static_cast<std::size_t>(n);
  }
}

/// Makes a pipe that nobody reads any more an error as others are, not the process's end.
class IgnoredBrokenPipes {
 public:
  IgnoredBrokenPipes() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  IgnoredBrokenPipes(const IgnoredBrokenPipes&) = delete;
  IgnoredBrokenPipes& operator=(const IgnoredBrokenPipes&) = delete;
  ~IgnoredBrokenPipes() { std::signal(SIGPIPE, before_); }

 private:
  void (*before_)(int);
};

void write_stream(const std::string& path, const std::string& bytes) {
  const IgnoredBrokenPipes ignored;
  const File stream(path, O_WRONLY | O_CLOEXEC);
  if (stream.descriptor() < 0) fail(path, ": cannot be written: ", std::strerror(errno));
  write_all(stream.descriptor(), bytes, path);
}

/// A file under a temporary name, gone again unless it is put in place.
class NewFile {
 public:
  NewFile(const std::string& path, const std::string& bytes)
      : path_(path),
        place_(behind_links(path)),
        temporary_(place_ + ".tmp" + std::to_string(getpid())) {
    const File file(temporary_, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    if (file.descriptor() < 0) fail(path, ": cannot be written: ", std::strerror(errno));
    try {
      write_all(file.descriptor(), bytes, path);
      if (fsync(file.descriptor()) != 0) fail(path, ": cannot be written: ", std::strerror(errno));
    } catch (const Error&) {
      unlink(temporary_.c_str());
      throw;
    }
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (!in_place_) unlink(temporary_.c_str());
  }

  void put_in_place() {
    if (rename(temporary_.c_str(), place_.c_str()) != 0)
      fail(path_, ": cannot be written: ", std::strerror(errno));
    in_place_ = true;
  }

 private:
  std::string path_;
  std::string place_;
  std::string temporary_;
  bool in_place_ = false;
};

}  // namespace

std::string read_file(const std::string& path) {
  check_is_readable_file(path);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) fail(path, ": cannot be read: ", std::strerror(errno));
  return text.str();
}

void parse_prototxt(const std::string& text, const std::string& name, Message* message) {
  if (const auto error = parse_text(text, message))
    fail(name, ":", error->line, ":", error->column, ": ", error->text);
}

void read_prototxt(const std::string& path, Message* message) {
  std::string text = read_file(path);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) fail(path, ": is empty");
  if (text.find('\0') != std::string::npos)
    fail(path, ": is binary, and a prototxt (text) is needed");
  parse_prototxt(text, path, message);
}

void read_binary(const std::string& path, Message* message) {
  check_is_readable_file(path);
  const File file(path, O_RDONLY | O_CLOEXEC);
  if (file.descriptor() < 0) fail(path, ": cannot be read: ", std::strerror(errno));
  google::protobuf::io::FileInputStream stream(file.descriptor());
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(std::numeric_limits<int>::max());
  if (!message->ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage())
    fail(path, ": is cut off, or is no binary ", message->GetDescriptor()->name());
  if (message->ByteSizeLong() == 0) fail(path, ": is empty");
}

std::string to_prototxt(const Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  printer.SetHideUnknownFields(true);  // a prototxt cannot name them
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

void write_prototxt(const Message& message, const std::string& path) {
  write_file(path, to_prototxt(message));
}

std::string to_binary(const Message& message, const std::string& path) {
  if (message.ByteSizeLong() > std::numeric_limits<int>::max())
    fail(path, ": would be over 2 GiB, more than protobuf's files can hold");
  return message.SerializeAsString();
}

void write_binary(const Message& message, const std::string& path) {
  write_file(path, to_binary(message, path));
}

void write_file(const std::string& path, const std::string& bytes) {
  if (is_stream(path)) return write_stream(path, bytes);
  NewFile(path, bytes).put_in_place();
}

void write_files(const std::vector<std::pair<std::string, std::string>>& files) {
  std::vector<std::unique_ptr<NewFile>> written;
  written.reserve(files.size());
  for (const auto& [path, bytes] : files)
    if (!is_stream(path)) written.push_back(std::make_unique<NewFile>(path, bytes));
  for (const auto& [path, bytes] : files)
    if (std::filesystem::is_directory(path)) fail(path, ": cannot be written: is a folder");
  for (const auto& [path, bytes] : files)
    if (is_stream(path)) write_stream(path, bytes);
  for (const auto& file : written) file->put_in_place();
}

NetParameter read_net_prototxt(const std::string& path) {
  NetParameter net;
  read_prototxt(path, &net);
  return upgraded_net(std::move(net), path);
}

NetParameter read_caffemodel(const std::string& path) {
  NetParameter net;
  read_binary(path, &net);
  net = upgraded_net(std::move(net), path);
  for (LayerParameter& layer : *net.mutable_layer())
    for (BlobProto& blob : *layer.mutable_blobs()) blob.clear_data_at();  // StoredNet's own
  return net;
}

}  // namespace vibnet
