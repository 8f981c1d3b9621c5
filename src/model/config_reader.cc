#include "model/config_reader.h"

#include <boost/json/serialize.hpp>
#include <cmath>

#include "base/error.h"

namespace dbrx {

namespace json = boost::json;

void ConfigReader::fail(std::string_view key, const std::string& what) const {
  throw Error(Code::corrupt, where_ + ": " + path_ + std::string(key) + ": " + what);
}

const json::value* ConfigReader::find(std::string_view key) const {
  const json::value* value = object_.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

ConfigReader ConfigReader::child(std::string_view key) const {
  static const json::object kEmpty;
  const json::value* value = find(key);
  if (value == nullptr) return {kEmpty, where_, path_ + std::string(key) + "."};
  if (!value->is_object()) fail(key, "expected an object, found " + json::serialize(*value));
  return {value->get_object(), where_, path_ + std::string(key) + "."};
}

int64_t ConfigReader::to_size(std::string_view key, const json::value& value) const {
  double number = 0;
  if (value.is_int64()) {
    number = static_cast<double>(value.get_int64());
  } else if (value.is_double()) {
    number = value.get_double();
  } else {
    fail(key, "expected a whole number, found " + json::serialize(value));
  }
  if (number != std::floor(number) || number < 1 || number > static_cast<double>(kMaxSize)) {
    fail(key, "expected a whole number from 1 to " + std::to_string(kMaxSize) + ", found " +
                  json::serialize(value));
  }
  return static_cast<int64_t>(number);
}

int64_t ConfigReader::size(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (const json::value* value = find(name)) return to_size(name, *value);
  }
  fail(*names.begin(), "missing: the architecture needs it and it has no safe default");
}

int64_t ConfigReader::size_or(std::string_view key, int64_t missing) const {
  const json::value* value = find(key);
  return value == nullptr ? missing : to_size(key, *value);
}

std::optional<double> ConfigReader::number(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail(key, "expected a number, found " + json::serialize(*value));
  return value->to_number<double>();
}

std::optional<bool> ConfigReader::boolean(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) fail(key, "expected true or false, found " + json::serialize(*value));
  return value->get_bool();
}

std::optional<std::string> ConfigReader::optional_text(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(key, "expected a string, found " + json::serialize(*value));
  return std::string(value->get_string());
}

std::string ConfigReader::text(std::string_view key) const {
  const std::optional<std::string> value = optional_text(key);
  if (!value) fail(key, "missing");
  return *value;
}

}  // namespace dbrx
