// Reads parts of a file into memory as fast as the disk gives them: past the page cache (O_DIRECT)
// where the file system allows it, through it elsewhere.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace dbrx {

class FileReader {
 public:
  // Throws Error(not_found) naming the path.
  explicit FileReader(std::filesystem::path path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  // Fills `to` with the bytes from `offset` on; both begin at multiples of a page. May read up to
  // the next multiple of a page, so `to` must have that room after it. `cached`: the part is in the
  // page cache already, and taking it from there is faster. From any thread. Throws Error(corrupt)
  // where the file ends before or can't be read.
  void read(size_t offset, std::span<std::byte> to, bool cached) const;

 private:
  std::filesystem::path path_;
  int cached_fd_ = -1;
  int direct_fd_ = -1;  // -1: this file system has no O_DIRECT
};

}  // namespace dbrx
