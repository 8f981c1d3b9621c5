#include "tensor/checksum.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "tensor/safetensors_writer.h"

namespace dbrx {

struct ChecksumReader::Hash {
  XXH3_state_t* state = XXH3_createState();
  Hash() { XXH3_64bits_reset(state); }
  ~Hash() { XXH3_freeState(state); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
};

std::string checksum_text(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", static_cast<unsigned long>(hash));
  return text;
}

ChecksumReader::ChecksumReader(const Tensor& tensor)
    : tensor_(tensor), hash_(std::make_unique<Hash>()) {
  const std::optional<std::string_view> word = note_word(tensor.note, kChecksumKey);
  if (!word) {
    throw Error(Code::unsupported,
                tensor.file->path().string() + ": tensor '" + tensor.name +
                    "' has no checksum: only what dbrx quantize wrote can be verified");
  }
  expected_ = *word;
}

ChecksumReader::~ChecksumReader() = default;

size_t ChecksumReader::read(size_t n_bytes) {
  const size_t n = std::min(n_bytes, tensor_.bytes.size() - done_);
  XXH3_64bits_update(hash_->state, tensor_.bytes.data() + done_, n);
  done_ += n;
  if (done_ < tensor_.bytes.size()) return n;
  const std::string found = checksum_text(XXH3_64bits_digest(hash_->state));
  if (found != expected_) {
    throw Error(Code::corrupt, tensor_.file->path().string() + ": tensor '" + tensor_.name +
                                   "': expected checksum " + std::string(expected_) + ", found " +
                                   found + ": the file is damaged, make or copy it again");
  }
  return n;
}

void verify_checksum(const Tensor& tensor) { ChecksumReader(tensor).read(SIZE_MAX); }

}  // namespace dbrx
