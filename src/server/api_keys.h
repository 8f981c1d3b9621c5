// Who may use the server: the keys that it was given, as their SHA-256. Without any, everybody.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"
#include "server/identity.h"

namespace dbrx {

// A key that nobody can guess: 24 random bytes in hexadecimal. Throws Error where the system gives
// none.
std::string make_key();

class ApiKeys {
 public:
  using Digest = std::array<uint8_t, 32>;

  // A client may have several keys. Its id is made of its name here; one without a name has id 0.
  // Throws Error for a key that no header could carry (empty, or not printable ASCII), and for one
  // that is there already.
  void add(std::string_view key, Identity client);
  void add(const Digest& digest, Identity client);

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }  // keys, of which a client may have several
  bool has_client(std::string_view name) const;

  // The owner of the request's key, "Authorization: Bearer KEY" (as OpenAI's and Databricks'
  // clients send it) or "x-api-key: KEY" (Anthropic's); null when it has none that is known. Takes
  // the same time whatever is wrong with it.
  std::shared_ptr<const Identity> identify(const HttpRequest& request) const;

 private:
  struct Entry {
    Digest digest;
    std::shared_ptr<const Identity> identity;
  };
  static Digest digest(std::string_view key);
  std::shared_ptr<const Identity> find(std::string_view key) const;

  std::vector<Entry> entries_;
};

}  // namespace dbrx
