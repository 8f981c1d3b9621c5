#include "server/openai_params.h"

#include <algorithm>

#include "server/api_error.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxIgnored = 256;

bool same_value(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  return a == b;
}

const Parameter* find_parameter(std::span<const Parameter> table, std::string_view name) {
  for (const Parameter& parameter : table) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

}  // namespace

void add_ignored(std::vector<std::string>& ignored, std::string name) {
  if (ignored.size() >= kMaxIgnored) return;
  if (std::find(ignored.begin(), ignored.end(), name) != ignored.end()) return;
  ignored.push_back(std::move(name));
}

void note_unknown(const json::object& object, const std::string& prefix,
                  std::initializer_list<std::string_view> known,
                  std::vector<std::string>& ignored) {
  for (const auto& [key, value] : object) {
    if (value.is_null()) continue;
    if (std::find(known.begin(), known.end(), std::string_view(key)) != known.end()) continue;
    add_ignored(ignored, prefix + std::string(key));
  }
}

bool asks_for_nothing(const json::value& value, std::string_view neutral) {
  json::value list = json::parse(neutral);
  const json::array& values = list.get_array();
  auto listed = [&](const json::value& wanted) {
    return std::any_of(values.begin(), values.end(),
                       [&](const json::value& v) { return same_value(v, wanted); });
  };
  if (value.is_null() || listed(value)) return true;
  if (value == json::value(false)) return !listed(true);
  if (value.is_string()) return value.get_string().empty();
  if (value.is_array()) return value.get_array().empty();
  if (!value.is_object()) return false;
  // A member that is null asks for nothing.
  json::object given;
  for (const auto& [key, member] : value.get_object()) {
    if (!member.is_null()) given.emplace(key, member);
  }
  return given.empty() || (given.size() < value.get_object().size() && listed(given));
}

void refuse_ignored(const std::vector<std::string>& ignored, bool strict) {
  if (!strict || ignored.empty()) return;
  throw ApiError(400,
                 ignored.front() + ": unknown parameter (this server runs with --strict-params)",
                 ignored.front(), "unknown_parameter");
}

std::vector<std::string> check_parameters(std::span<const Parameter> table, Endpoint endpoint,
                                          const json::object& fields, bool strict) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : fields) {
    std::string name(key);
    const Parameter* parameter = find_parameter(table, name);
    if (!parameter) {
      add_ignored(unknown, std::move(name));
      continue;
    }
    Support support = endpoint == Endpoint::chat ? parameter->chat : parameter->completions;
    if (support != Support::refused || asks_for_nothing(value, parameter->neutral)) continue;
    std::string message = name + ": not supported by this server";
    if (!parameter->hint.empty()) message.append("; ").append(parameter->hint);
    throw ApiError(400, message, name, "unsupported_parameter");
  }
  refuse_ignored(unknown, strict);
  return unknown;
}

}  // namespace dbrx
