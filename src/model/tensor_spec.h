// What a checkpoint of a family holds: names and shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dbrx {

enum class Component { embedding, attention, router, experts, norms, head };

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
  Component component = Component::norms;
  int64_t layer = -1;  // -1: outside the layers

  int64_t n_values() const {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    return n;
  }
};

}  // namespace dbrx
