// Whose request it is, by address: that of the socket's other end, or, where that is a proxy which
// the operator trusts, the one that it names in X-Forwarded-For.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace dbrx {

// The address as it is usually written, "10.0.0.7" of "::ffff:10.0.0.7" as well; nothing when the
// text is none. A port or a zone behind it is left out.
std::optional<std::string> plain_address(std::string_view text);

// What these addresses say of others is believed.
class TrustedProxies {
 public:
  // "10.0.0.7", "10.0.0.0/8", "fd00::/8", or "*" for all. Throws Error for anything else.
  void add(const std::string& network);
  bool contains(std::string_view address) const;
  bool empty() const { return networks_.empty(); }

 private:
  using Bytes = std::array<uint8_t, 16>;  // of IPv6; of IPv4 behind ::ffff:
  struct Network {
    Bytes address;
    int n_bits;  // that count
  };

  std::vector<Network> networks_;
};

// Each proxy adds at the right of X-Forwarded-For who asked it: the client is the first from there
// that is no trusted proxy. What stands further left, anybody may have written.
std::string client_address(const HttpRequest& request, const TrustedProxies& proxies);

}  // namespace dbrx
