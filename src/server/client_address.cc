#include "server/client_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "server/http_text.h"

namespace dbrx {
namespace {

using Bytes = std::array<uint8_t, 16>;
constexpr Bytes kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};  // IPv4's place in IPv6
constexpr size_t kMappedBytes = 12;

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// "10.0.0.7:80", "[::1]:80" and "fe80::1%eth0" without what stands behind the address.
std::string_view only_address(std::string_view text) {
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  if (std::count(text.begin(), text.end(), ':') == 1) text = text.substr(0, text.find(':'));
  return text.substr(0, text.find('%'));
}

std::optional<Bytes> parse_address(std::string_view text) {
  const std::string address(only_address(trimmed(text)));
  Bytes bytes = kMapped;
  if (inet_pton(AF_INET, address.c_str(), bytes.data() + kMappedBytes) == 1) return bytes;
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

bool is_v4(const Bytes& bytes) {
  return std::equal(kMapped.begin(), kMapped.begin() + kMappedBytes, bytes.begin());
}

}  // namespace

std::optional<std::string> plain_address(std::string_view text) {
  const std::optional<Bytes> bytes = parse_address(text);
  if (!bytes) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> out = {};
  const bool v4 = is_v4(*bytes);
  inet_ntop(v4 ? AF_INET : AF_INET6, bytes->data() + (v4 ? kMappedBytes : 0), out.data(),
            out.size());
  return out.data();
}

void TrustedProxies::add(const std::string& network) {
  if (network == "*") return networks_.push_back({.address = {}, .n_bits = 0});
  const size_t slash = std::min(network.find('/'), network.size());
  const std::string host = network.substr(0, slash);
  const std::optional<Bytes> address = parse_address(host);
  const bool v4 = address && is_v4(*address);
  const int most = v4 ? 32 : 128;
  int n_bits = most;
  bool valid = address && only_address(host) == host;
  if (valid && slash < network.size()) {
    const char* end = network.data() + network.size();
    const auto [last, ec] = std::from_chars(network.data() + slash + 1, end, n_bits);
    valid = ec == std::errc() && last == end && n_bits >= 0 && n_bits <= most;
  }
  if (!valid) {
    throw Error(Code::invalid_argument,
                "--trusted-proxy " + network +
                    ": expected an address, a network such as 10.0.0.0/8, or * for all");
  }
  networks_.push_back({.address = *address, .n_bits = n_bits + (v4 ? 96 : 0)});
}

bool TrustedProxies::contains(std::string_view address) const {
  const std::optional<Bytes> bytes = parse_address(address);
  if (!bytes) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    for (int bit = 0; bit < network.n_bits; ++bit) {
      const auto at = static_cast<size_t>(bit / 8);
      if (((network.address[at] ^ (*bytes)[at]) >> (7 - bit % 8) & 1) != 0) return false;
    }
    return true;
  });
}

std::string client_address(const HttpRequest& request, const TrustedProxies& proxies) {
  std::string client = request.peer;
  if (!proxies.contains(client)) return client;
  std::string named;  // of all fields of that name, in their order
  for (const HttpHeader& header : request.headers) {
    if (equals_ignoring_case(header.name, "x-forwarded-for")) named += "," + header.value;
  }
  std::string_view rest = named;
  while (!rest.empty() && proxies.contains(client)) {
    const size_t comma = rest.rfind(',');
    const std::optional<std::string> before = plain_address(rest.substr(comma + 1));
    if (!before) break;
    client = *before;
    rest = rest.substr(0, comma);
  }
  return client;
}

}  // namespace dbrx
