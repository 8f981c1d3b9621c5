// Which experts a synthetic model sends its tokens to: drawn, or recorded from a real one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "model/config.h"

namespace dbrx {

// A routing is [vocab, layers, top_k] expert ids, ascending for a token and layer: the experts
// belong to the token id.

// Draws each token's experts one after the other from those left, expert e with a probability in
// proportion to 1 / rank(e)^exponent (Zipf), ranks shuffled in each layer. 0 is uniform, 1 sends
// the most popular of 16 experts 80 % of the tokens.
std::vector<int32_t> zipf_routing(const ModelConfig& config, double exponent, uint32_t seed);

// Reads JSON lines, one per token: a list of lists, the experts of each layer, as in
// [[0, 3, 7, 12], [1, 2, 9, 15]]. Token id t gets line t modulo the number of lines; layers that
// the model does not have are left out. Throws Error that names the line where layers are missing
// or experts are none of the model's.
std::vector<int32_t> read_routing(const std::filesystem::path& path, const ModelConfig& config);

}  // namespace dbrx
