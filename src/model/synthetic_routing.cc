#include "model/synthetic_routing.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <span>
#include <string>

#include "base/error.h"
#include "tensor/json.h"

namespace dbrx {
namespace {

namespace json = boost::json;

// Index of the weight in which the point lies, of weights laid end to end.
size_t index_at(std::span<const double> weights, double point) {
  size_t last = 0;  // rounding may leave the point beyond the end
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    last = i;
    point -= weights[i];
    if (point < 0) break;
  }
  return last;
}

std::vector<int32_t> read_line(const json::value& line, const ModelConfig& config,
                               const std::string& where) {
  const auto k = static_cast<size_t>(config.top_k);
  const std::string expected =
      where + ": expected at least " + std::to_string(config.n_layers) + " lists (layers) of " +
      std::to_string(k) + " different expert ids from 0 to " + std::to_string(config.n_experts - 1);
  if (!line.is_array() || std::ssize(line.get_array()) < config.n_layers) {
    throw Error(Code::invalid_argument, expected);
  }
  std::vector<int32_t> ids;
  for (size_t i = 0; i < static_cast<size_t>(config.n_layers); ++i) {
    const json::value& layer = line.get_array()[i];
    if (!layer.is_array() || layer.get_array().size() != k) {
      throw Error(Code::invalid_argument, expected);
    }
    for (const json::value& id : layer.get_array()) {
      if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= config.n_experts) {
        throw Error(Code::invalid_argument, expected + ", found " + json::serialize(id));
      }
      ids.push_back(static_cast<int32_t>(id.get_int64()));
    }
    const auto begin = ids.end() - config.top_k;
    std::sort(begin, ids.end());
    if (std::adjacent_find(begin, ids.end()) != ids.end()) {
      throw Error(Code::invalid_argument, expected + ", found one twice");
    }
  }
  return ids;
}

}  // namespace

std::vector<int32_t> zipf_routing(const ModelConfig& config, double exponent, uint32_t seed) {
  const auto n_experts = static_cast<size_t>(config.n_experts);
  std::mt19937 random(seed);
  std::vector<std::vector<double>> popularity(static_cast<size_t>(config.n_layers));
  for (std::vector<double>& layer : popularity) {
    for (size_t rank = 1; rank <= n_experts; ++rank) {
      layer.push_back(std::pow(static_cast<double>(rank), -exponent));
    }
    std::shuffle(layer.begin(), layer.end(), random);
  }
  std::vector<int32_t> routing;
  routing.reserve(static_cast<size_t>(config.vocab_size * config.n_layers * config.top_k));
  for (int64_t token = 0; token < config.vocab_size; ++token) {
    for (std::vector<double> weights : popularity) {
      for (int64_t i = 0; i < config.top_k; ++i) {
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        const size_t expert = index_at(weights, random() * 0x1p-32 * total);
        weights[expert] = 0;
        routing.push_back(static_cast<int32_t>(expert));
      }
      std::sort(routing.end() - config.top_k, routing.end());
    }
  }
  return routing;
}

std::vector<int32_t> read_routing(const std::filesystem::path& path, const ModelConfig& config) {
  std::ifstream file(path);
  if (!file) throw Error(Code::not_found, path.string() + ": can't open it");
  const auto row = static_cast<size_t>(config.n_layers * config.top_k);
  const size_t wanted = row * static_cast<size_t>(config.vocab_size);
  std::vector<int32_t> routing;
  int64_t number = 0;
  for (std::string line; routing.size() < wanted && std::getline(file, line);) {
    const std::string where = path.string() + ": line " + std::to_string(++number);
    const std::vector<int32_t> ids = read_line(parse_json(line, where), config, where);
    routing.insert(routing.end(), ids.begin(), ids.end());
  }
  if (routing.empty()) throw Error(Code::invalid_argument, path.string() + ": no lines");
  const size_t period = routing.size();
  for (size_t i = period; i < wanted; ++i) routing.push_back(routing[i - period]);
  return routing;
}

}  // namespace dbrx
