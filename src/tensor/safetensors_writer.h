// Writes one safetensors file of our own, tensor after tensor, with a checksum of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace dbrx {

struct StoredTensor {
  std::string name;
  std::string dtype;  // "U8", "F32", ...
  std::vector<int64_t> shape;
  int64_t n_bytes = 0;
  std::string note;  // words for __metadata__, see Tensor::note; the checksum is added to them
};

// The data begins at a multiple of 4096. The file grows as PATH.part and gets its name in finish(),
// so what has the name is whole.
class SafetensorsWriter {
 public:
  // Throws Error when the file can't be made.
  SafetensorsWriter(std::filesystem::path path, std::vector<StoredTensor> tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // The next bytes of the next tensor, in the order given. Throws Error (disk full, ...).
  void write(std::span<const std::byte> bytes);

  // All tensors are written: adds the checksums, flushes to the disk and renames.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The word after "key=" in a note, if there is one.
std::optional<std::string_view> note_word(std::string_view note, std::string_view key);

}  // namespace dbrx
