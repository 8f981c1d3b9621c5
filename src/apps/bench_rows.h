// The rows of `dbrx bench`: what is measured, the rounds that measure it beside the roof, and the
// report.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/memory.h"
#include "kernels/roof/roof.h"

namespace dbrx {

// What makes two rows the same measurement.
struct RowName {
  std::string test;   // decode, prefill, layer, kernel, start, mixed or memory
  std::string shape;  // kernel: of which matrix; start: from where to where; mixed: what; else
                      // empty
  std::string format;
  std::string activations;  // exact, fast, or float where the weights are no integers
  int64_t sequences = 1;
  int64_t tokens = 1;   // rows of a step or of a product
  int64_t context = 0;  // tokens in the cache before
};

struct Sample {
  double value = 0;
  RoofShare share;  // an empty roof: has none
};

struct BenchTest {
  RowName name;
  std::string unit;
  std::function<Sample(const Roof& roof)> run;
};

struct BenchRow {
  RowName name;
  std::string unit;
  std::vector<Sample> samples;
};

// Measures the roof again whenever the last time is more than a second ago, so that a row and its
// roof see the same minute of a shared host.
class RoofMeter {
 public:
  explicit RoofMeter(Context& context);

  const Roof& now();
  // Medians of all, and [least, most]: a wide range tells of a disturbed machine.
  boost::json::object json() const;
  void print() const;

 private:
  struct Range {
    double least;
    double median;
    double most;
  };
  Range range(double Roof::* rate) const;

  Context& context_;
  Block memory_;
  std::vector<Roof> roofs_;
  std::chrono::steady_clock::time_point last_;
};

// Runs every test once to warm up, then all of them in turn, `rounds` times, and appends the rows.
void run_tests(RoofMeter& meter, const std::vector<BenchTest>& tests, int rounds,
               std::vector<BenchRow>& rows);

// Medians; the layout is in docs/performance.md.
boost::json::object row_json(const BenchRow& row);
void print_rows(const boost::json::array& rows);

}  // namespace dbrx
