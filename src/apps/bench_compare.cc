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
  double rate = 0;
  double share = 0;  // 0: has none
};

// What makes two rows the same measurement.
std::string key_of(const json::object& row) {
  char text[160];
  std::snprintf(text, sizeof text, "%-8s %-5s %-6s %5ld %6ld %7ld",
                row.at("test").as_string().c_str(), row.at("format").as_string().c_str(),
                row.at("activations").as_string().c_str(), row.at("sequences").as_int64(),
                row.at("tokens").as_int64(), row.at("context").as_int64());
  return text;
}

std::map<std::string, Value> read_report(const std::string& path) {
  const json::object report = parse_json_object(read_text_file(path, kMaxReportBytes), path);
  std::map<std::string, Value> values;
  try {
    for (const json::value& row : report.at("rows").as_array()) {
      const json::object& fields = row.as_object();
      Value& value = values[key_of(fields)];
      value.rate = fields.at("value").to_number<double>();
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
  std::printf(
      "test     format acts  seqs tokens context          A          B    B / A  share A  share "
      "B\n");
  for (const auto& [key, value] : a) {
    const auto other = b.find(key);
    if (other == b.end()) continue;
    std::printf("%s %10.2f %10.2f %7.2fx %6.1f %% %6.1f %%\n", key.c_str(), value.rate,
                other->second.rate, other->second.rate / value.rate, value.share * 100,
                other->second.share * 100);
  }
}

}  // namespace dbrx
