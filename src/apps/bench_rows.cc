#include "apps/bench_rows.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace dbrx {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

constexpr size_t kRoofBytes = size_t{1} << 30;
constexpr double kRoofSeconds = 1;  // a roof older than this is measured again

struct RoofField {
  const char* name;   // in the report
  const char* label;  // in the table
  double Roof::* rate;
  double unit;
  const char* unit_name;
};

constexpr std::array<RoofField, 4> kRoofFields = {{
    {"read_bytes_per_s", "read", &Roof::read_bytes, 1e9, "GB/s,"},
    {"int8_ops_per_s", "int8", &Roof::int8_ops, 1e12, "TOP/s,"},
    {"bf16_ops_per_s", "bf16", &Roof::bf16_ops, 1e12, "TFLOP/s,"},
    {"f32_ops_per_s", "f32", &Roof::f32_ops, 1e12, "TFLOP/s"},
}};

template <typename T, typename Field>
double median_of(const std::vector<T>& all, const Field& field) {
  std::vector<double> values;
  for (const T& one : all) values.push_back(field(one));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void show_progress(const RowName& name, int round, int rounds) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\r\033[K%s %s %ld x %ld, round %d of %d", name.test.c_str(),
               name.shape.c_str(), name.sequences, name.tokens, round, rounds);
}

void end_progress() {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K");
}

}  // namespace

RoofMeter::RoofMeter(Context& context) : context_(context), memory_(kRoofBytes) {
  std::memset(memory_.data(), 1, memory_.size());
}

const Roof& RoofMeter::now() {
  const std::chrono::duration<double> age = Clock::now() - last_;
  if (roofs_.empty() || age.count() > kRoofSeconds) {
    roofs_.push_back(measure_roof(context_, {memory_.data(), memory_.size()}));
    last_ = Clock::now();
  }
  return roofs_.back();
}

RoofMeter::Range RoofMeter::range(double Roof::* rate) const {
  std::vector<double> values;
  for (const Roof& roof : roofs_) values.push_back(roof.*rate);
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

json::object RoofMeter::json() const {
  json::object out;
  for (const RoofField& field : kRoofFields) {
    const Range range = this->range(field.rate);
    out[field.name] = range.median;
    out[std::string(field.name) + "_range"] = {range.least, range.most};
  }
  return out;
}

void RoofMeter::print() const {
  std::printf("roof:");
  for (const RoofField& field : kRoofFields) {
    const Range range = this->range(field.rate);
    std::printf(" %s %.4g (%.4g to %.4g) %s", field.label, range.median / field.unit,
                range.least / field.unit, range.most / field.unit, field.unit_name);
  }
  std::printf("\n");
}

void run_tests(RoofMeter& meter, const std::vector<BenchTest>& tests, int rounds,
               std::vector<BenchRow>& rows) {
  const size_t first = rows.size();
  for (const BenchTest& test : tests) {
    show_progress(test.name, 0, rounds);
    test.run(meter.now());
    rows.push_back({test.name, test.unit, {}});
  }
  for (int round = 1; round <= rounds; ++round) {
    for (size_t i = 0; i < tests.size(); ++i) {
      show_progress(tests[i].name, round, rounds);
      rows[first + i].samples.push_back(tests[i].run(meter.now()));
    }
  }
  end_progress();
}

json::object row_json(const BenchRow& row) {
  const RowName& name = row.name;
  json::object out = {{"test", name.test},
                      {"format", name.format},
                      {"activations", name.activations},
                      {"sequences", name.sequences},
                      {"tokens", name.tokens},
                      {"context", name.context},
                      {"value", median_of(row.samples, [](const Sample& s) { return s.value; })},
                      {"unit", row.unit}};
  const double share = median_of(row.samples, [](const Sample& s) { return s.share.share; });
  const std::string_view roof = row.samples.back().share.roof;
  out["share"] = roof.empty() ? json::value(nullptr) : json::value(share);
  if (!roof.empty()) out["roof"] = roof;
  if (!name.shape.empty()) out["shape"] = name.shape;
  // Some engines compute only the last token in the last layer's experts: less work for a shallow
  // model.
  if (name.test == "prefill") out["last_layer_tokens"] = "all";
  return out;
}

void print_rows(const json::array& rows) {
  std::printf("%-8s %-16s %-6s %-6s %5s %6s %7s %10s %-9s %7s\n", "test", "shape", "format", "acts",
              "seqs", "tokens", "context", "value", "unit", "share");
  for (const json::value& value : rows) {
    const json::object& row = value.get_object();
    const json::value* shape = row.if_contains("shape");
    std::printf(
        "%-8s %-16s %-6s %-6s %5ld %6ld %7ld %10.3f %-9s", row.at("test").as_string().c_str(),
        shape == nullptr ? "" : shape->as_string().c_str(), row.at("format").as_string().c_str(),
        row.at("activations").as_string().c_str(), row.at("sequences").as_int64(),
        row.at("tokens").as_int64(), row.at("context").as_int64(), row.at("value").as_double(),
        row.at("unit").as_string().c_str());
    if (row.at("share").is_double()) {
      std::printf(" %5.1f %% of %s", row.at("share").as_double() * 100,
                  row.at("roof").as_string().c_str());
    }
    std::printf("\n");
  }
}

}  // namespace dbrx
