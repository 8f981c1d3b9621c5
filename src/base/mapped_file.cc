#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

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
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) {
    throw Error(Code::resource_exhausted, path.string() + ": can't map: " + reason());
  }
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() { munmap(const_cast<std::byte*>(data_), size_); }

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
