// How many rows of prompts a step may have beside sequences that generate, so that these need not
// wait much longer for their next tokens: at most max_slowdown times as long as a step without
// prompts takes, unless prompts would then get less than a quarter of the rate that they have
// alone. That happens beside one or two sequences: those read few experts, and a handful of rows
// more reads all of them. Nothing is assumed about the machine or the model: the pacer learns from
// what steps took. Chunks decide about time only, never about bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace dbrx {

class PrefillPacer {
 public:
  // max_slowdown above 1; 0: prompts may always take all rows. max_rows: of a step.
  PrefillPacer(double max_slowdown, int64_t max_rows);

  // Rows that prompts may take beside n_decoding rows, up to all that are left. Sometimes 0: then
  // a step without prompts is needed to compare with.
  int64_t prompt_rows(int64_t n_decoding) const;

  // What a step took.
  void measured(int64_t n_decoding, int64_t n_prompt_rows, double seconds);

 private:
  // Steps with 2^(i-1) <= n_decoding < 2^i.
  struct Level {
    double seconds = 0;   // of a step without prompts
    int64_t n_since = 0;  // steps with prompts since it was measured
    bool known = false;
  };

  static size_t level(int64_t n_decoding);

  double max_slowdown_;
  double max_rows_;
  double chunk_;
  double rate_alone_ = 0;  // of prompts, rows/s; 0: not known yet
  std::array<Level, 16> levels_;
};

}  // namespace dbrx
