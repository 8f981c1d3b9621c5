// The weights of a Hugging Face checkpoint directory: one model.safetensors, or shards with an
// index.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tensor/tensor.h"

namespace dbrx {

// What `path`, a model directory or a file, holds instead of a safetensors checkpoint, in words for
// an error: "a GGUF file (x.gguf)". Empty where nothing of the kind is there.
std::string foreign_weights(const std::filesystem::path& path);

class Checkpoint {
 public:
  // Maps every shard and reads every header. Throws Error: the directory or a shard is missing, a
  // file is corrupt, or the directory holds another engine's format.
  static Checkpoint open(const std::filesystem::path& dir);

  const std::filesystem::path& dir() const { return dir_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  // nullptr where there is no such tensor.
  const Tensor* find(const std::string& name) const;

  // Lets the tensors of `before` point to the same bytes of `after`, a copy of that file.
  void replace_file(const MappedFile& before, const std::shared_ptr<const MappedFile>& after);

 private:
  void add_file(const std::filesystem::path& path);

  std::filesystem::path dir_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace dbrx
