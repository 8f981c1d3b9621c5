#include "server/json_fields.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "server/api_error.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxDepth = 64;

std::string describe(const boost::system::error_code& ec) {
  if (ec == json::error::too_deep)
    return "it nests deeper than " + std::to_string(kMaxDepth) + " levels";
  if (ec == json::error::incomplete) return "it ends too early";
  if (ec == json::error::extra_data) return "something follows the first value";
  if (ec == json::error::exponent_overflow) return "a number is too large";
  return "syntax error or invalid UTF-8";
}

}  // namespace

json::value parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::parser parser(json::storage_ptr(), options);
  boost::system::error_code ec;
  size_t n = parser.write_some(text.data(), text.size(), ec);
  if (!ec && n < text.size()) ec = json::error::extra_data;
  if (ec) {
    throw ApiError(400,
                   "the request body is not valid JSON: " + describe(ec) + ", near byte " +
                       std::to_string(n) + " of " + std::to_string(text.size()),
                   "", "invalid_json");
  }
  return parser.release();
}

std::string plain_number(double value) {
  std::array<char, 32> text;
  auto [end, ec] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

void add_field(std::string& object, std::string_view name, std::string_view value) {
  object.back() = ',';
  object.append("\"").append(name).append("\":").append(value).append("}");
}

std::string excerpt(const json::value& value, size_t limit) {
  if (value.is_double()) return plain_number(value.get_double());
  std::string text;
  json::serializer serializer;
  serializer.reset(&value);
  text.resize(limit + 1);  // no more than that is ever produced
  std::string_view produced = serializer.read(text.data(), text.size());
  text.resize(produced.size());
  if (text.size() <= limit) return text;
  size_t cut = limit;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

void bad_value(const std::string& param, const std::string& expected, const json::value& found) {
  throw ApiError(400, param + ": expected " + expected + ", found " + excerpt(found), param,
                 "invalid_value");
}

std::optional<int64_t> as_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return std::nullopt;  // an uint64 here is one that int64 can't hold
  double d = value.get_double();
  if (d != std::floor(d) || std::abs(d) > 9007199254740992.0) return std::nullopt;
  return static_cast<int64_t>(d);
}

int32_t parse_token_id(const json::value& value, const std::string& param, int32_t n_ids) {
  std::optional<int64_t> id = as_integer(value);
  if (!id || *id < 0 || *id >= n_ids)
    bad_value(param, "token ids from 0 to " + std::to_string(n_ids - 1), value);
  return static_cast<int32_t>(*id);
}

std::vector<int32_t> parse_token_ids(const json::array& list, const std::string& param,
                                     int32_t n_ids) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json::value& value : list) ids.push_back(parse_token_id(value, param, n_ids));
  return ids;
}

json::value parse_json_object(std::string_view body) {
  json::value document = parse_json(body);
  if (document.is_object()) return document;
  throw ApiError(400, "the request body must be a JSON object, found " + excerpt(document), "",
                 "invalid_json");
}

const json::value* JsonFields::find(std::string_view name) const {
  const json::value* value = object_.if_contains(name);
  return value && !value->is_null() ? value : nullptr;
}

std::optional<int64_t> JsonFields::integer(std::string_view name, int64_t low, int64_t high) const {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  std::optional<int64_t> number = as_integer(*value);
  if (number && *number >= low && *number <= high) return number;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  std::string expected = "an integer";
  if (low > std::numeric_limits<int64_t>::min()) expected += " from " + std::to_string(low);
  if (high < kMax) expected += " to " + std::to_string(high);
  if (high == kMax && low == std::numeric_limits<int64_t>::min()) expected += " of 64 bits";
  bad_value(full_name(name), expected, *value);
}

std::optional<double> JsonFields::number(std::string_view name, Range range) const {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (value->is_number()) {
    double number = value->to_number<double>();
    bool above = range.above_low ? number > range.low : number >= range.low;
    if (above && number <= range.high) return number;
  }
  std::string expected = range.above_low
                             ? "a number above " + plain_number(range.low) + ", at most "
                             : "a number from " + plain_number(range.low) + " to ";
  bad_value(full_name(name), expected + plain_number(range.high), *value);
}

std::optional<bool> JsonFields::boolean(std::string_view name) const {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_bool()) bad_value(full_name(name), "true or false", *value);
  return value->get_bool();
}

std::optional<std::string> JsonFields::string(std::string_view name) const {
  const json::value* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) bad_value(full_name(name), "a string", *value);
  return std::string(value->get_string());
}

}  // namespace dbrx
