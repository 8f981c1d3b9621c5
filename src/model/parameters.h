// How many parameters a model has, where they are, and how many a token uses.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/tensor_spec.h"

namespace dbrx {

struct ComponentCount {
  Component component = Component::norms;
  int64_t per_layer = 0;  // 0 outside the layers
  int64_t total = 0;
  int64_t active = 0;  // of the total, read for one token
};

struct ParameterCount {
  std::vector<ComponentCount> components;
  int64_t n_tensors = 0;
  int64_t total = 0;
  int64_t active = 0;  // embedding table included
};

ParameterCount count_parameters(const ModelConfig& config);

std::string_view component_name(Component component);

// C(n_experts, top_k): how many sets of experts the router can choose from.
int64_t n_expert_sets(const ModelConfig& config);

}  // namespace dbrx
