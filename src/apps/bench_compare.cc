#include "apps/bench_compare.h"

#include <boost/json.hpp>
#include <cstdio>
#include <map>

#include "base/error.h"
#include "base/mapped_file.h"
#include "tensor/json.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr size_t kMaxReportBytes = size_t{16} << 20;

struct Value {
  double value = 0;
  double share = 0;  // 0: has none
};

// What makes two rows the same measurement, as the table prints it.
std::string key_of(const json::object& row) {
  const json::value* shape = row.if_contains("shape");
  char text[200];
  std::snprintf(text, sizeof text, "%-8s %-16s %-6s %-6s %5ld %6ld %7ld %-8s",
                row.at("test").as_string().c_str(),
                shape == nullptr ? "" : shape->as_string().c_str(),
                row.at("format").as_string().c_str(), row.at("activations").as_string().c_str(),
                row.at("sequences").as_int64(), row.at("tokens").as_int64(),
                row.at("context").as_int64(), row.at("unit").as_string().c_str());
  return text;
}

std::map<std::string, Value> read_report(const std::string& path) {
  const json::object report = parse_json_object(read_text_file(path, kMaxReportBytes), path);
  std::map<std::string, Value> values;
  try {
    for (const json::value& row : report.at("rows").as_array()) {
      const json::object& fields = row.as_object();
      Value& value = values[key_of(fields)];
      value.value = fields.at("value").to_number<double>();
      if (fields.at("share").is_number()) value.share = fields.at("share").to_number<double>();
    }
  } catch (const std::exception& error) {
    throw Error(Code::corrupt, path + ": not a report of dbrx bench --json: " + error.what());
  }
  return values;
}

}  // namespace

void compare_reports(const std::string& a_path, const std::string& b_path) {
  const std::map<std::string, Value> a = read_report(a_path);
  const std::map<std::string, Value> b = read_report(b_path);
  std::printf("A: %s\nB: %s\n", a_path.c_str(), b_path.c_str());
  std::printf("%-8s %-16s %-6s %-6s %5s %6s %7s %-8s %10s %10s %8s %9s %9s\n", "test", "shape",
              "format", "acts", "seqs", "tokens", "context", "unit", "A", "B", "B / A", "share A",
              "share B");
  for (const auto& [key, value] : a) {
    const auto other = b.find(key);
    if (other == b.end()) continue;
    std::printf("%s %10.3f %10.3f %7.2fx %7.1f %% %7.1f %%\n", key.c_str(), value.value,
                other->second.value, other->second.value / value.value, value.share * 100,
                other->second.share * 100);
  }
}

}  // namespace dbrx
