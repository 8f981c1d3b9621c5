#include "model/parameters.h"

#include <array>
#include <limits>

#include "model/families.h"

namespace dbrx {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"embedding", "attention", "router",
                                                    "experts",   "norms",     "head"};

}  // namespace

std::string_view component_name(Component component) {
  return kNames.at(static_cast<size_t>(component));
}

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  for (size_t i = 0; i < kNames.size(); ++i) {
    count.components.push_back({.component = static_cast<Component>(i)});
  }
  for (const TensorSpec& spec : find_family(config.family, "config").tensors(config)) {
    ComponentCount& component = count.components[static_cast<size_t>(spec.component)];
    const int64_t n = spec.n_values();
    component.total += n;
    if (spec.layer == 0) component.per_layer += n;
    // A token passes top_k of the experts, and everything else.
    component.active +=
        spec.component == Component::experts ? n / config.n_experts * config.top_k : n;
    ++count.n_tensors;
  }
  for (const ComponentCount& component : count.components) {
    count.total += component.total;
    count.active += component.active;
  }
  return count;
}

int64_t n_expert_sets(const ModelConfig& config) {
  int64_t sets = 1;
  for (int64_t i = 1; i <= config.top_k; ++i) {
    if (__builtin_mul_overflow(sets, config.n_experts - i + 1, &sets)) {
      return std::numeric_limits<int64_t>::max();
    }
    sets /= i;
  }
  return sets;
}

}  // namespace dbrx
