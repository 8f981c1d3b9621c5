// Typed reading of a JSON object that a client sent. Every mismatch is an ApiError 400 that names
// the field, what was expected and what was found.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

// Parses strict JSON, UTF-8 checked, nested at most 64 levels. Throws ApiError(400) with the place.
boost::json::value parse_json(std::string_view text);

// The same, of an object.
boost::json::value parse_json_object(std::string_view body);

// "param: expected <expected>, found <value>", the value shortened.
[[noreturn]] void bad_value(const std::string& param, const std::string& expected,
                            const boost::json::value& found);

// The number when it is integral, also as 5.0, and fits.
std::optional<int64_t> as_integer(const boost::json::value& value);

// Token ids below n_ids, or ApiError(400).
int32_t parse_token_id(const boost::json::value& value, const std::string& param, int32_t n_ids);
std::vector<int32_t> parse_token_ids(const boost::json::array& list, const std::string& param,
                                     int32_t n_ids);

inline boost::json::string to_json(std::string_view text) {
  return boost::json::string(boost::json::string_view(text));
}

// Adds a field to the text of an object that is not empty; its value is JSON text.
void add_field(std::string& object, std::string_view name, std::string_view value);

// The shortest text that gives this number back: 2.5, where Boost.JSON writes 2.5E0.
std::string plain_number(double value);

// The value as JSON text, cut at a character near `limit` bytes.
std::string excerpt(const boost::json::value& value, size_t limit = 60);

// The fields of one object. A field that is null counts as absent.
class JsonFields {
 public:
  // prefix goes before field names in messages: "stream_options."
  explicit JsonFields(const boost::json::object& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  const boost::json::object& object() const { return object_; }
  const boost::json::value* find(std::string_view name) const;
  std::string full_name(std::string_view name) const { return prefix_ + std::string(name); }

  struct Range {
    double low;
    double high;
    bool above_low = false;  // low itself is outside
  };
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high) const;
  std::optional<double> number(std::string_view name, Range range) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::string> string(std::string_view name) const;

 private:
  const boost::json::object& object_;
  std::string prefix_;
};

}  // namespace dbrx
