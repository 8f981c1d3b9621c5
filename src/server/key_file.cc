#include "server/key_file.h"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tensor/json.h"

namespace dbrx {
namespace json = boost::json;
namespace {

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(Code::invalid_argument, where + ": " + what);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || !text) throw Error(Code::not_found, path + ": the key file can't be read");
  return text.str();
}

std::string text_of(const json::value& value, const std::string& where) {
  if (!value.is_string() || value.get_string().empty()) fail(where, "must be a string, not empty");
  return std::string(value.get_string());
}

// A string, or a list of them.
std::vector<std::string> texts_of(const json::value& value, const std::string& where) {
  if (!value.is_array()) return {text_of(value, where)};
  std::vector<std::string> texts;
  for (const json::value& one : value.get_array()) texts.push_back(text_of(one, where));
  return texts;
}

std::set<Scope> scopes_of(const json::value& value, const std::string& where) {
  std::set<Scope> scopes;
  for (const std::string& text : texts_of(value, where)) {
    Scope scope = Scope::none;
    for (const Scope known : {Scope::infer, Scope::metrics, Scope::admin}) {
      if (text == scope_name(known)) scope = known;
    }
    if (scope == Scope::none) fail(where, "must be of infer, metrics and admin");
    scopes.insert(scope);
  }
  return scopes;
}

int64_t limit_of(const json::value& value, const std::string& where) {
  constexpr int64_t kMax = int64_t{1} << 40;
  const bool valid = value.is_int64() && value.get_int64() >= 1 && value.get_int64() <= kMax;
  if (!valid) fail(where, "must be an integer, at least 1 (leave it out for no limit)");
  return value.get_int64();
}

float weight_of(const json::value& value, const std::string& where) {
  const double weight = value.is_number() ? value.to_number<double>() : 0;
  if (!(weight >= 0.01 && weight <= 100)) fail(where, "must be a number from 0.01 to 100");
  return static_cast<float>(weight);
}

ApiKeys::Digest digest_of(const std::string& hex, const std::string& where) {
  ApiKeys::Digest digest;
  bool valid = hex.size() == 2 * digest.size();
  for (size_t i = 0; valid && i < digest.size(); ++i) {
    const char* begin = hex.data() + 2 * i;
    const auto [end, ec] = std::from_chars(begin, begin + 2, digest[i], 16);
    valid = ec == std::errc() && end == begin + 2;
  }
  if (!valid) fail(where, "must be the key's SHA-256, 64 hexadecimal digits");
  return digest;
}

void add_entry(const json::value& value, const std::string& where, ApiKeys& keys) {
  if (!value.is_object()) fail(where, "must be an object");
  Identity client;
  client.scopes = {Scope::infer};
  std::vector<std::string> plain;
  std::vector<ApiKeys::Digest> digests;
  for (const auto& [name_view, field] : value.get_object()) {
    const std::string name = name_view;
    const std::string place = where + "." + name;
    if (name == "name") {
      client.name = text_of(field, place);
    } else if (name == "key") {
      plain = texts_of(field, place);
    } else if (name == "sha256") {
      for (const std::string& hex : texts_of(field, place)) {
        digests.push_back(digest_of(hex, place));
      }
    } else if (name == "scopes") {
      client.scopes = scopes_of(field, place);
    } else if (name == "requests_per_minute") {
      client.limits.requests = limit_of(field, place);
    } else if (name == "input_tokens_per_minute") {
      client.limits.input_tokens = limit_of(field, place);
    } else if (name == "output_tokens_per_minute") {
      client.limits.output_tokens = limit_of(field, place);
    } else if (name == "weight") {
      client.weight = weight_of(field, place);
    } else {
      fail(place, "is no field of a key");
    }
  }
  if (client.name.empty()) fail(where, "needs a name");
  if (keys.has_client(client.name)) fail(where, "the name \"" + client.name + "\" is taken");
  if (plain.empty() && digests.empty()) fail(where, "needs a key or its sha256");
  for (const std::string& key : plain) keys.add(key, client);
  for (const ApiKeys::Digest& digest : digests) keys.add(digest, client);
}

}  // namespace

void add_key_file(const std::string& path, ApiKeys& keys) {
  const json::object document = parse_json_object(read_file(path), path);
  const json::value* list = document.if_contains("keys");
  if (!list || !list->is_array() || document.size() != 1) {
    fail(path, R"(must be an object {"keys": [...]} and have nothing else)");
  }
  if (list->get_array().empty()) fail(path, "has no key: then everybody could use the server");
  size_t i = 0;
  for (const json::value& entry : list->get_array()) {
    const std::string where = path + ": keys[" + std::to_string(i++) + "]";
    try {
      add_entry(entry, where, keys);
    } catch (const Error& error) {
      const std::string what = error.what();
      if (what.starts_with(where)) throw;
      fail(where, what);
    }
  }
}

}  // namespace dbrx
