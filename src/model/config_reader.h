// Typed access to a config.json with one clear error per mistake: file, key, expected, found.
// Unknown keys are ignored: published configs carry whole dumps of unrelated settings.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace dbrx {

class ConfigReader {
 public:
  static constexpr int64_t kMaxSize = int64_t{1} << 20;

  // object must outlive the reader. `path` is the key path of the object ("" for the root).
  ConfigReader(const boost::json::object& object, std::string where, std::string path = "")
      : object_(object), where_(std::move(where)), path_(std::move(path)) {}

  // The sub-object at `key`; an empty one when absent or null. Throws Error on another type.
  ConfigReader child(std::string_view key) const;

  // For the rare key where null and absent differ.
  const boost::json::object& object() const { return object_; }

  // nullptr when the key is absent or null.
  const boost::json::value* find(std::string_view key) const;

  // A size: an integer (or an integral number) from 1 to kMaxSize, under any of these names. Throws
  // Error when absent. The limit is far above every model there is, and keeps the product of any
  // three sizes within 64 bits.
  int64_t size(std::initializer_list<std::string_view> names) const;
  int64_t size_or(std::string_view key, int64_t missing) const;

  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::string text(std::string_view key) const;
  std::optional<std::string> optional_text(std::string_view key) const;

  [[noreturn]] void fail(std::string_view key, const std::string& what) const;

 private:
  int64_t to_size(std::string_view key, const boost::json::value& value) const;

  const boost::json::object& object_;
  std::string where_;
  std::string path_;
};

}  // namespace dbrx
