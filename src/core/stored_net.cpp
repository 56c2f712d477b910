#include "core/stored_net.h"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "core/upgrade.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

/// Copies the bytes of a NetParameter, but for the values of blobs: in their place stands where
/// they lie, and gradients are left out.
class Skeleton {
 public:
  Skeleton(CodedInputStream* in, std::int64_t size) : in_(in), size_(size) {}

  /// False where the bytes are no such message, or end too early.
  bool copy_message(const Descriptor* type, std::string* out) {
    google::protobuf::io::StringOutputStream stream(out);
    CodedOutputStream coded(&stream);
    while (const std::uint32_t tag = in_->ReadTag())
      if (!copy_field(type, tag, &coded)) return false;
    return in_->ConsumedEntireMessage();
  }

 private:
  bool copy_field(const Descriptor* type, std::uint32_t tag, CodedOutputStream* out) {
    std::uint64_t wide = 0;
    std::uint32_t narrow = 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        if (!in_->ReadVarint64(&wide)) return false;
        out->WriteTag(tag);
        out->WriteVarint64(wide);
        return true;
      case WireFormatLite::WIRETYPE_FIXED64:
        if (!in_->ReadLittleEndian64(&wide)) return false;
        out->WriteTag(tag);
        out->WriteLittleEndian64(wide);
        return true;
      case WireFormatLite::WIRETYPE_FIXED32:
        if (!in_->ReadLittleEndian32(&narrow)) return false;
        out->WriteTag(tag);
        out->WriteLittleEndian32(narrow);
        return true;
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return in_->ReadVarint32(&narrow) &&
               in_->CurrentPosition() + std::int64_t{narrow} <= size_ &&
               copy_delimited(type, tag, static_cast<int>(narrow), out);
      default:
        return false;
    }
  }

  bool copy_delimited(const Descriptor* type, std::uint32_t tag, int length,
                      CodedOutputStream* out) {
    const int number = WireFormatLite::GetTagFieldNumber(tag);
    std::string bytes;
    if (type == BlobProto::descriptor()) {
      if (number == BlobProto::kDataFieldNumber) return note_values(length, out);
      if (number == BlobProto::kDiffFieldNumber || number == BlobProto::kDoubleDiffFieldNumber ||
          number == BlobProto::kDataAtFieldNumber)
        return in_->Skip(length);
    }
    const FieldDescriptor* field = type->FindFieldByNumber(number);
    if (field != nullptr && holds_blobs(field->message_type())) {
      const auto limit = in_->PushLimit(length);
      if (!copy_message(field->message_type(), &bytes) || in_->BytesUntilLimit() != 0) return false;
      in_->PopLimit(limit);
    } else if (!in_->ReadString(&bytes, length)) {
      return false;
    }
    write(tag, bytes, out);
    return true;
  }

  bool note_values(int length, CodedOutputStream* out) {
    if (length % sizeof(float) != 0) return false;
    BlobProto::Span span;
    span.set_offset(in_->CurrentPosition());
    span.set_count(length / sizeof(float));
    write(WireFormatLite::MakeTag(BlobProto::kDataAtFieldNumber,
                                  WireFormatLite::WIRETYPE_LENGTH_DELIMITED),
          span.SerializeAsString(), out);
    return in_->Skip(length);
  }

  static void write(std::uint32_t tag, const std::string& bytes, CodedOutputStream* out) {
    out->WriteTag(tag);
    out->WriteVarint32(static_cast<std::uint32_t>(bytes.size()));
    out->WriteString(bytes);
  }

  static bool holds_blobs(const Descriptor* type) {
    return type == LayerParameter::descriptor() || type == V1LayerParameter::descriptor() ||
           type == V0LayerParameter::descriptor() || type == BlobProto::descriptor();
  }

  CodedInputStream* in_;
  std::int64_t size_;
};

std::string skeleton_of(int descriptor, std::int64_t size, const std::string& path) {
  google::protobuf::io::FileInputStream stream(descriptor);
  CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(std::numeric_limits<int>::max());
  std::string bytes;
  if (!Skeleton(&coded, size).copy_message(NetParameter::descriptor(), &bytes))
    fail(path, ": is cut off, or is no binary NetParameter");
  return bytes;
}

NetParameter read_skeleton(int descriptor, const std::string& path) {
  if (descriptor < 0) fail(path, ": cannot be read: ", std::strerror(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0) fail(path, ": cannot be read: ", std::strerror(errno));
  // A pipe can be read but once.
  if (!S_ISREG(status.st_mode)) return read_caffemodel(path);
  if (status.st_size == 0) fail(path, ": is empty");
  NetParameter net;
  if (!net.ParseFromString(skeleton_of(descriptor, status.st_size, path)))
    fail(path, ": is cut off, or is no binary NetParameter");
  return upgraded_net(std::move(net), path);
}

}  // namespace

StoredNet::StoredNet(const std::string& path) : path_(path), file_(path, O_RDONLY | O_CLOEXEC) {
  check_is_readable_file(path);
  net_ = read_skeleton(file_.descriptor(), path);
}

std::int64_t StoredNet::value_count(const BlobProto& blob) {
  std::uint64_t count =
      static_cast<std::uint64_t>(std::max(blob.data_size(), blob.double_data_size()));
  for (const BlobProto::Span& span : blob.data_at())
    count += static_cast<std::uint64_t>(span.count());
  return static_cast<std::int64_t>(count);
}

void StoredNet::read(const BlobProto& blob, float* values) const {
  if (blob.data_at_size() == 0) return copy_values(blob, value_count(blob), values);
  if (blob.data_size() > 0 || blob.double_data_size() > 0)
    fail(path_, ": states the values of a blob in two forms");
  for (const BlobProto::Span& span : blob.data_at()) {
    read_span(span.offset(), span.count(), values);
    values += span.count();
  }
}

/// The file's floats are little-endian, as are those of every machine that vibnet runs on.
void StoredNet::read_span(std::int64_t offset, std::int64_t count, float* values) const {
  auto* to = reinterpret_cast<char*>(values);
  for (std::int64_t left = count * std::int64_t{sizeof(float)}; left > 0;) {
    const ssize_t n = pread(file_.descriptor(), to, static_cast<std::size_t>(left), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, ": cannot be read: ", std::strerror(errno));
    if (n == 0) fail(path_, ": was cut off while it was read");
    to += n;
    offset += n;
    left -= n;
  }
}

void copy_values(const BlobProto& blob, std::int64_t count, float* values) {
  const bool is_double = blob.double_data_size() > 0;
  const int found = is_double ? blob.double_data_size() : blob.data_size();
  if (found != count) fail("a stored blob of ", count, " values holds ", found);
  if (is_double)
    std::copy(blob.double_data().begin(), blob.double_data().end(), values);
  else
    std::copy(blob.data().begin(), blob.data().end(), values);
}

}  // namespace vibnet
