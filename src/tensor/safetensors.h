// One safetensors file: 8 bytes of header length (little-endian), a JSON header, then the data.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/tensor.h"

namespace dbrx {

// Parses the header of a whole file in memory and checks it against the size: every range inside
// the data, as long as dtype and shape say, no two overlapping, nothing left over. Throws
// Error(corrupt) naming `where`, the tensor, what was expected and what was found.
std::vector<Tensor> parse_safetensors(std::span<const std::byte> file, const std::string& where);

// Maps and parses a file; the tensors keep it mapped.
std::vector<Tensor> open_safetensors(const std::filesystem::path& path);

}  // namespace dbrx
