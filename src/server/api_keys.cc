#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/error.h"
#include "server/api_error.h"

namespace dbrx {
namespace {

// The key of "Bearer KEY"; the scheme's letters may be of either case (RFC 9110).
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  if (authorization.size() < kScheme.size()) return "";
  if (!std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                  [&](char b, char a) { return same(a, b); })) {
    return "";
  }
  authorization.remove_prefix(kScheme.size());
  authorization.remove_prefix(std::min(authorization.find_first_not_of(' '), authorization.size()));
  return authorization;
}

}  // namespace

ApiKeys::Digest ApiKeys::digest(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

void ApiKeys::add(std::string_view key) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (key.empty() || !printable) {
    throw Error(Code::invalid_argument,
                "an API key must have printable ASCII characters without spaces, at least one");
  }
  digests_.push_back(digest(key));
}

bool ApiKeys::accept(std::string_view key) const {
  const Digest given = digest(key);
  bool found = false;
  for (const Digest& known : digests_) {
    found |= CRYPTO_memcmp(given.data(), known.data(), given.size()) == 0;
  }
  return found;
}

void ApiKeys::require(const HttpRequest& request) const {
  if (digests_.empty()) return;
  const bool by_bearer = accept(bearer(request.header("Authorization")));
  const bool by_header = accept(request.header("x-api-key"));
  if (by_bearer || by_header) return;
  throw ApiError(401,
                 "this server wants an API key that it knows, as \"Authorization: Bearer KEY\" or "
                 "\"x-api-key: KEY\"",
                 "", "invalid_api_key");
}

}  // namespace dbrx
