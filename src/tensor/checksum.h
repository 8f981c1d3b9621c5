// The checksums of our own files: XXH3-64 of a tensor's bytes, in its note.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace dbrx {

constexpr std::string_view kChecksumKey = "xxh3";

// As a note has it.
std::string checksum_text(uint64_t hash);

// Compares a tensor with its checksum, piece by piece. The tensor outlives it.
class ChecksumReader {
 public:
  // Throws Error(unsupported) when the tensor has none.
  explicit ChecksumReader(const Tensor& tensor);
  ~ChecksumReader();
  ChecksumReader(const ChecksumReader&) = delete;
  ChecksumReader& operator=(const ChecksumReader&) = delete;

  // Reads at most n_bytes more, and says how many it read: 0 at the end. Throws Error(corrupt) when
  // the whole tensor is read and is another one.
  size_t read(size_t n_bytes);

 private:
  struct Hash;
  const Tensor& tensor_;
  std::string_view expected_;
  std::unique_ptr<Hash> hash_;
  size_t done_ = 0;
};

// Throws Error: corrupt when the tensor's bytes do not have its checksum, unsupported when it has
// none.
void verify_checksum(const Tensor& tensor);

}  // namespace dbrx
