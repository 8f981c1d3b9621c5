// Keys in a file, for many clients: names, scopes, limits.
#pragma once

#include <string>

#include "server/api_keys.h"

namespace dbrx {

// Adds the keys of a JSON file:
//   {"keys": [{"name": "alice", "key": "..." or "sha256": "64 hexadecimal digits",
//              "scopes": ["infer", "metrics", "admin"], "requests_per_minute": 60,
//              "input_tokens_per_minute": 100000, "output_tokens_per_minute": 20000,
//              "weight": 1}]}
// Where "scopes" is missing, it is infer alone; a missing limit is none; both "key" and "sha256"
// may be lists. Throws Error that says what is wrong with which entry, never repeating a key.
void add_key_file(const std::string& path, ApiKeys& keys);

}  // namespace dbrx
