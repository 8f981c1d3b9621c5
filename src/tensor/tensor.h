// A named tensor as it is stored: a slice of a mapped file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/format.h"

namespace dbrx {

struct Tensor {
  std::string name;
  std::string dtype;             // as the file names it: "BF16", "I32", ...
  std::optional<Format> format;  // what we compute with; empty for integer and unknown-to-us types
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::string note;  // what the file's __metadata__ says under the tensor's name; usually nothing
  std::shared_ptr<const MappedFile> file;  // keeps bytes alive

  int64_t n_values() const;
};

// "[16, 6144]"
std::string shape_text(std::span<const int64_t> shape);

// Index of the first NaN or infinity, if there is one. The tensor must have a format.
std::optional<int64_t> find_non_finite(const Tensor& tensor);

}  // namespace dbrx
