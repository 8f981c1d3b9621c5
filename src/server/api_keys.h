// Who may use the server: the keys that it was given, as their SHA-256. Without any, everybody.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace dbrx {

class ApiKeys {
 public:
  // Throws Error for a key that no header could carry: empty, or not printable ASCII.
  void add(std::string_view key);

  bool empty() const { return digests_.empty(); }

  // Throws ApiError(401) unless the request has one of the keys, as "Authorization: Bearer KEY" (as
  // OpenAI's and Databricks' clients do) or as "x-api-key: KEY" (Anthropic's). Takes the same time
  // whatever is wrong with it.
  void require(const HttpRequest& request) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  static Digest digest(std::string_view key);
  bool accept(std::string_view key) const;

  std::vector<Digest> digests_;
};

}  // namespace dbrx
