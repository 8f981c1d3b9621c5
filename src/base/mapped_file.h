// A read-only file in memory: mapped from the page cache, or read into memory of our own. Kept
// alive by every tensor that points into it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/memory.h"

namespace dbrx {

class MappedFile {
 public:
  // Maps the file at a multiple of 2 MB, with the advice to use huge pages. Throws Error
  // (not_found, corrupt when empty) naming the path. read_fault.h says what happens when a page
  // can't be read later.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  // The same file in anonymous memory, for the caller to fill through `room` (of the file's size,
  // rounded up to a page) before anybody reads it. Throws Error(resource_exhausted).
  static std::shared_ptr<const MappedFile> make_copy(const MappedFile& file,
                                                     std::span<std::byte>& room);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

  // Brings a part of a mapped file into memory, and its pages into this process's tables. False: a
  // page could not be read (disk error, file cut meanwhile).
  bool populate(size_t offset, size_t n_bytes) const;

  // Whether that part of a mapped file is in the page cache.
  bool is_cached(size_t offset, size_t n_bytes) const;

 private:
  MappedFile(std::filesystem::path path, std::span<const std::byte> bytes, Block owned)
      : path_(std::move(path)), bytes_(bytes), owned_(std::move(owned)) {}

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
  Block owned_;  // what bytes_ points into, unless they are mapped
};

// The whole content of a small text file. Throws Error naming the path; refuses more than
// max_bytes.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);

}  // namespace dbrx
