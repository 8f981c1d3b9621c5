// Who asks, and for what they may ask: what a key says of its owner.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace dbrx {

// What a route wants of a key. `none`: no key at all, as the route says nothing but whether the
// server is well. `infer`: the models; `metrics`: numbers about the server as a whole; `admin`:
// what other clients do.
enum class Scope { none, infer, metrics, admin };

std::string_view scope_name(Scope scope);

// What a client may use in a minute, and at once after a while without using anything; 0: as much
// as it likes.
struct ClientLimits {
  int64_t requests = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;

  auto operator<=>(const ClientLimits&) const = default;
};

struct Identity {
  std::string name;        // of the key, for logs and records; empty when the server has no keys
  uint64_t id = 0;         // made of the name; 0 when the server has no keys
  std::set<Scope> scopes;  // without `none`
  ClientLimits limits = {};
  float weight = 1;  // its share of a busy engine, beside those of others
};

}  // namespace dbrx
