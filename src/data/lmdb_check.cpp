#include "data/lmdb_check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "vibnet/error.h"

namespace vibnet {
namespace {

// The layout of data.mdb, version 1, on a machine of 64 bits (mdb.c of LMDB 0.9).
struct PageHeader {
  std::uint64_t number;
  std::uint16_t pad;
  std::uint16_t flags;
  std::uint16_t lower;
  std::uint16_t upper;
};
struct Tree {
  std::uint32_t page_bytes;
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
struct Meta {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address, map_bytes;
  Tree free_pages, records;
  std::uint64_t last_page, transaction;
};
struct Node {
  std::uint16_t low, high, flags, key_bytes;
};

constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint16_t kBranch = 1, kLeaf = 2, kOverflow = 4, kMetaPage = 8;
constexpr std::uint16_t kOnOverflowPages = 1;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr int kMaxDepth = 32;
constexpr std::uint64_t kMaxKeyBytes = 511;

/// A file's bytes, mapped for reading.
class MappedFile {
 public:
  MappedFile(const std::string& file, const std::string& path) {
    const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(path, ": cannot be read: ", std::strerror(errno));
    struct stat status {};
    fstat(descriptor, &status);
    bytes_ = static_cast<std::uint64_t>(status.st_size);
    void* map =
        bytes_ == 0 ? MAP_FAILED : mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (bytes_ == 0) fail(path, ": is not an LMDB database: its file is empty");
    if (map == MAP_FAILED) fail(path, ": cannot be read as LMDB: ", std::strerror(errno));
    data_ = static_cast<const char*>(map);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { munmap(const_cast<char*>(data_), bytes_); }

  const char* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const char* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

class Checker {
 public:
  Checker(const MappedFile& file, const std::string& path) : file_(file), path_(path) {}

  void check() {
    meta_ = newer_meta();
    const Tree& tree = meta_.records;
    if (tree.root == kNoPage) return;
    if (tree.flags != 0) fail(path_, ": is an LMDB database of another kind than Caffe's");
    if (tree.depth < 1 || tree.depth > kMaxDepth) fail_damaged(tree.root);
    walk(tree.root, 1);
    if (entries_ != tree.entries) fail_damaged(tree.root);
  }

 private:
  [[noreturn]] void fail_damaged(std::uint64_t page) const {
    fail(path_, ": the LMDB database is damaged at page ", page, "; convert the data again");
  }

  template <typename Part>
  Part load(std::uint64_t offset) const {
    if (offset + sizeof(Part) > file_.bytes())
      fail(path_, ": the LMDB database is cut off after ", file_.bytes(), " bytes");
    Part part;
    std::memcpy(&part, file_.data() + offset, sizeof(part));
    return part;
  }

  Meta meta_at(std::uint64_t offset) const {
    const auto meta = load<Meta>(offset + sizeof(PageHeader));
    if (load<PageHeader>(offset).flags != kMetaPage || meta.magic != kMagic || meta.version != 1)
      fail(path_, ": is not an LMDB database");
    return meta;
  }

  /// The page that the last transaction wrote, of the two at the front.
  Meta newer_meta() {
    const Meta first = meta_at(0);
    page_bytes_ = first.free_pages.page_bytes;
    if (page_bytes_ < 256 || page_bytes_ > 65536 || (page_bytes_ & (page_bytes_ - 1)) != 0)
      fail_damaged(0);
    const Meta second = meta_at(page_bytes_);
    if (second.free_pages.page_bytes != page_bytes_) fail_damaged(1);
    return second.transaction > first.transaction ? second : first;
  }

  /// Where a page and the ones that follow it start; all lie in the file.
  std::uint64_t offset_of(std::uint64_t page, std::uint64_t pages) const {
    if (page < 2 || page > meta_.last_page || pages > meta_.last_page - page + 1)
      fail_damaged(page);
    const std::uint64_t whole_pages = file_.bytes() / page_bytes_;
    if (page >= whole_pages || pages > whole_pages - page)
      fail(path_, ": the LMDB database is cut off after ", file_.bytes(), " bytes; page ", page,
           " is missing");
    return page * page_bytes_;
  }

  void walk(std::uint64_t page, int level) {
    const std::uint64_t offset = offset_of(page, 1);
    const auto header = load<PageHeader>(offset);
    const bool is_leaf = level == meta_.records.depth;
    // More pages than the file has: the tree runs into itself.
    if (++pages_ > file_.bytes() / page_bytes_) fail_damaged(page);
    if (header.number != page || header.flags != (is_leaf ? kLeaf : kBranch)) fail_damaged(page);
    if (header.lower < sizeof(header) || header.lower > page_bytes_) fail_damaged(page);
    const std::uint64_t nodes = (header.lower - sizeof(header)) / 2;
    if (nodes < (is_leaf ? 1 : 2)) fail_damaged(page);
    for (std::uint64_t i = 0; i < nodes; ++i) {
      const std::uint64_t at = load<std::uint16_t>(offset + sizeof(header) + 2 * i);
      if (at < header.lower || at + sizeof(Node) > page_bytes_) fail_damaged(page);
      const auto node = load<Node>(offset + at);
      const std::uint64_t key_end = at + sizeof(Node) + node.key_bytes;
      if (node.key_bytes > kMaxKeyBytes || key_end > page_bytes_) fail_damaged(page);
      if (is_leaf)
        check_value(page, offset, key_end, node);
      else
        walk(node.low | std::uint64_t{node.high} << 16 | std::uint64_t{node.flags} << 32,
             level + 1);
    }
  }

  void check_value(std::uint64_t page, std::uint64_t offset, std::uint64_t at, const Node& node) {
    ++entries_;
    const std::uint64_t bytes = node.low | std::uint64_t{node.high} << 16;
    if (node.flags == 0) {
      if (at + bytes > page_bytes_) fail_damaged(page);
      return;
    }
    if (node.flags != kOnOverflowPages || at + sizeof(std::uint64_t) > page_bytes_)
      fail_damaged(page);
    const auto first = load<std::uint64_t>(offset + at);
    const std::uint64_t pages = (sizeof(PageHeader) + bytes + page_bytes_ - 1) / page_bytes_;
    const auto header = load<PageHeader>(offset_of(first, pages));
    if (header.number != first || header.flags != kOverflow) fail_damaged(first);
  }

  const MappedFile& file_;
  const std::string& path_;
  Meta meta_{};
  std::uint64_t page_bytes_ = 0;
  std::uint64_t pages_ = 0;
  std::uint64_t entries_ = 0;
};

}  // namespace

void check_lmdb_file(const std::string& file, const std::string& path) {
  const MappedFile map(file, path);
  Checker(map, path).check();
}

}  // namespace vibnet
