#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

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

std::string_view scope_name(Scope scope) {
  switch (scope) {
    case Scope::none:
      return "none";
    case Scope::infer:
      return "infer";
    case Scope::metrics:
      return "metrics";
    case Scope::admin:
      return "admin";
  }
  return "";
}

std::string make_key() {
  std::array<unsigned char, 24> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw Error(Code::unavailable, "the system gives no random bytes to make a key of");
  }
  std::string key;
  for (const unsigned char byte : bytes) {
    key.push_back("0123456789abcdef"[byte >> 4]);
    key.push_back("0123456789abcdef"[byte & 15]);
  }
  return key;
}

ApiKeys::Digest ApiKeys::digest(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

void ApiKeys::add(std::string_view key, Identity client) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (key.empty() || !printable) {
    throw Error(Code::invalid_argument,
                "an API key must have printable ASCII characters without spaces, at least one");
  }
  add(digest(key), std::move(client));
}

void ApiKeys::add(const Digest& digest_in, Identity client) {
  if (digest_in == digest("")) {
    throw Error(Code::invalid_argument, "the SHA-256 of \"" + client.name +
                                            "\" is that of an empty key: what it was made of was "
                                            "not set");
  }
  for (const Entry& entry : entries_) {
    if (entry.digest != digest_in) continue;
    throw Error(Code::invalid_argument, "the API key of \"" + client.name +
                                            "\" is there twice, first as that of \"" +
                                            entry.identity->name + "\"");
  }
  if (!client.name.empty()) {
    const Digest of_name = digest(client.name);
    std::memcpy(&client.id, of_name.data(), sizeof(client.id));
  }
  entries_.push_back({digest_in, std::make_shared<const Identity>(std::move(client))});
}

bool ApiKeys::has_client(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.identity->name == name; });
}

std::shared_ptr<const Identity> ApiKeys::find(std::string_view key) const {
  if (key.empty()) return nullptr;
  const Digest given = digest(key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    const bool same = CRYPTO_memcmp(given.data(), entry.digest.data(), given.size()) == 0;
    found = same ? &entry : found;
  }
  return found ? found->identity : nullptr;
}

std::shared_ptr<const Identity> ApiKeys::identify(const HttpRequest& request) const {
  std::shared_ptr<const Identity> by_bearer = find(bearer(request.header("Authorization")));
  std::shared_ptr<const Identity> by_header = find(request.header("x-api-key"));
  return by_bearer ? by_bearer : by_header;
}

}  // namespace dbrx
