// The model families that this program knows: one row each.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/config_reader.h"
#include "model/model.h"
#include "model/quantize.h"
#include "model/tensor_spec.h"
#include "tensor/checkpoint.h"

namespace dbrx {

struct Family {
  std::string_view model_type;  // of config.json
  ModelConfig (*parse_config)(const ConfigReader& reader);
  // Every tensor of a checkpoint, in the order of the model. The one list that loading, counting
  // and later quantizing and sharding walk.
  std::vector<TensorSpec> (*tensors)(const ModelConfig& config);
  std::unique_ptr<Model> (*load)(const ModelConfig& config, const Checkpoint& checkpoint,
                                 const LoadOptions& options);
  // The files of a packed checkpoint. They refer to the checkpoint.
  std::vector<PackedPart> (*packed_parts)(const ModelConfig& config, const Checkpoint& checkpoint,
                                          const QuantizeOptions& options);
};

std::span<const Family> families();

// Throws Error(unsupported) that names the known ones.
const Family& find_family(std::string_view model_type, const std::string& where);

}  // namespace dbrx
