#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/read_fault.h"

namespace dbrx {
namespace {

std::string reason() { return std::generic_category().message(errno); }

// Closes the descriptor on every way out; the mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Address space at a multiple of `alignment`, to be mapped over. MAP_FAILED: there is none.
void* reserve(size_t n_bytes, size_t alignment) {
  void* raw = mmap(nullptr, n_bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return raw;
  auto* first = static_cast<std::byte*>(raw);
  const size_t skip =
      round_up(reinterpret_cast<size_t>(first), alignment) - reinterpret_cast<size_t>(first);
  if (skip > 0) munmap(first, skip);
  if (skip < alignment) munmap(first + skip + n_bytes, alignment - skip);
  return first + skip;
}

// Reads a byte of each page.
bool touch(const std::byte* first, size_t n_bytes) {
  return catch_read_fault([&] {
    for (size_t at = 0; at < n_bytes; at += kPage) {
      static_cast<void>(*const_cast<const volatile std::byte*>(first + at));
    }
  });
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) throw Error(Code::not_found, path.string() + ": can't open: " + reason());
  struct stat status = {};
  if (fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(Code::invalid_argument, path.string() + ": not a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) throw Error(Code::corrupt, path.string() + ": the file is empty");
  // A huge page can be mapped only where address and offset agree.
  void* room = reserve(round_up(size, kPage), kHugePage);
  void* data =
      room == MAP_FAILED ? room : mmap(room, size, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd, 0);
  if (data == MAP_FAILED) {
    const std::string why = reason();
    if (room != MAP_FAILED) munmap(room, round_up(size, kPage));
    throw Error(Code::resource_exhausted, path.string() + ": can't map: " + why);
  }
  madvise(data, size, MADV_HUGEPAGE);  // advice only
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(data), size);
  watch_mapped_file(bytes, path);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, bytes, {}));
}

std::shared_ptr<const MappedFile> MappedFile::make_copy(const MappedFile& file,
                                                        std::span<std::byte>& room) {
  const size_t size = file.bytes_.size();
  Block block(round_up(size, kPage));
  room = {block.data(), block.size()};
  const std::span<const std::byte> bytes(block.data(), size);
  return std::shared_ptr<const MappedFile>(new MappedFile(file.path_, bytes, std::move(block)));
}

MappedFile::~MappedFile() {
  if (owned_.size() > 0) return;
  forget_mapped_file(bytes_);
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

bool MappedFile::populate(size_t offset, size_t n_bytes) const {
  CHECK_EQ(offset % kPage, size_t{0});
  CHECK_LE(offset + n_bytes, bytes_.size());
  auto* first = const_cast<std::byte*>(bytes_.data()) + offset;
  while (madvise(first, n_bytes, MADV_POPULATE_READ) != 0) {
    if (errno == EINVAL) return touch(first, n_bytes);  // before Linux 5.14
    if (errno != EINTR && errno != EAGAIN) return false;
  }
  return true;
}

bool MappedFile::is_cached(size_t offset, size_t n_bytes) const {
  CHECK_EQ(offset % kPage, size_t{0});
  std::vector<unsigned char> pages((n_bytes + kPage - 1) / kPage);
  auto* first = const_cast<std::byte*>(bytes_.data()) + offset;
  if (mincore(first, n_bytes, pages.data()) != 0) return false;
  return std::all_of(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
}

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Code::not_found, path.string() + ": can't open: " + reason());
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw Error(Code::invalid_argument, path.string() + ": " + error.message());
  if (size > max_bytes) {
    throw Error(Code::invalid_argument, path.string() + ": " + std::to_string(size) +
                                            " bytes, more than the " + std::to_string(max_bytes) +
                                            " that such a file may have");
  }
  std::string text(size, '\0');
  file.read(text.data(), static_cast<std::streamsize>(size));
  if (static_cast<size_t>(file.gcount()) != size) {
    throw Error(Code::corrupt, path.string() + ": could not be read to its end");
  }
  return text;
}

}  // namespace dbrx
