#include "base/file_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/memory.h"

namespace dbrx {

FileReader::FileReader(std::filesystem::path path)
    : path_(std::move(path)), cached_fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (cached_fd_ < 0) {
    throw Error(Code::not_found,
                path_.string() + ": can't open: " + std::generic_category().message(errno));
  }
  direct_fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
}

FileReader::~FileReader() {
  ::close(cached_fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

void FileReader::read(size_t offset, std::span<std::byte> to, bool cached) const {
  int fd = cached || direct_fd_ < 0 ? cached_fd_ : direct_fd_;
  size_t done = 0;
  while (done < to.size()) {
    // Direct reads end with the file, whatever length is asked for.
    const size_t rest = to.size() - done;
    const size_t n = fd == direct_fd_ ? round_up(rest, kPage) : rest;
    const ssize_t got = ::pread(fd, to.data() + done, n, static_cast<off_t>(offset + done));
    if (got > 0) {
      done += static_cast<size_t>(got);
      // What is left of a short read may begin anywhere.
      if (done % kPage != 0) fd = cached_fd_;
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL && fd == direct_fd_) {  // opened, but refused after all
      fd = cached_fd_;
      continue;
    }
    throw Error(Code::corrupt, path_.string() + ": can't read byte " +
                                   std::to_string(offset + done) + ": " +
                                   (got == 0 ? std::string("the file ends before")
                                             : std::generic_category().message(errno)));
  }
}

}  // namespace dbrx
