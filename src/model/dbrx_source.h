// DBRX's weights as a checkpoint has them: each tensor checked once when it is taken. Experts come
// fused (the official form), as one tensor each under the names that converters gave them, or
// packed by `dbrx quantize`.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernels/matmul/linear.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tensor_spec.h"
#include "tensor/checkpoint.h"

namespace dbrx {

// The three matrices of an expert, and their names in a checkpoint.
constexpr std::array<const char*, 3> kExpertMatrices = {"w1", "v1", "w2"};  // gate, up, down

class DbrxSource {
 public:
  // The checkpoint outlives the source. Throws Error(unsupported) for another quantizer's tensors.
  DbrxSource(const ModelConfig& config, const Checkpoint& checkpoint, const LoadOptions& options);

  // Throw Error naming file, tensor, expected and found: missing, another shape, no float format,
  // NaN.
  const Tensor& tensor(const std::string& name);
  std::vector<float> vector(const std::string& name);
  LinearSource matrix(const std::string& name);

  // The table of [vocab] rows, in a float format or in the rows that dbrx quantize writes: its
  // format says which.
  Tensor embedding(const std::string& name);

  // Whether the matrix is stored in panels; then packed() gives it where it lies.
  bool is_packed(const std::string& name) const;
  Linear packed(const std::string& name, int64_t out_features, int64_t in_features);

  // [n_experts] of kExpertMatrices; not for packed ones.
  std::vector<std::array<LinearSource, 3>> experts(int64_t layer);

  // Throws Error(corrupt) if the checkpoint has a tensor that nobody took.
  void refuse_unread() const;

  // Names.
  static std::string block(int64_t layer);
  static std::string expert_matrix(int64_t layer, int64_t expert, const char* matrix);

 private:
  const Tensor& take(const std::string& name, const std::vector<int64_t>& shape);
  void count(const Tensor& tensor);
  std::vector<std::array<LinearSource, 3>> fused_experts(const std::string& block);
  std::vector<std::array<LinearSource, 3>> unfused_experts(const std::string& prefix);
  LinearSource unfused_down(const std::string& name);

  ModelConfig config_;
  const Checkpoint& checkpoint_;
  LoadOptions options_;
  std::vector<TensorSpec> specs_;
  std::set<std::string> taken_;
  int64_t done_bytes_ = 0;
  int64_t total_bytes_ = 0;
};

}  // namespace dbrx
