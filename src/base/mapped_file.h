// A read-only file mapped into memory. Kept alive by every tensor that points into it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace dbrx {

class MappedFile {
 public:
  // Throws Error (not_found, corrupt when empty) naming the path.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

// The whole content of a small text file. Throws Error naming the path; refuses more than
// max_bytes.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);

}  // namespace dbrx
