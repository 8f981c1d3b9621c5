// What the safety filters found in one call, for programs (docs/api.md, "Safety").
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <vector>

#include "safety/filter.h"

namespace dbrx {

struct InputFinding {
  size_t text = 0;         // which message, or which prompt
  bool in_prompt = false;  // it is a prompt
  SafetyFinding finding;
};

// Of one choice.
struct SafetyReport {
  bool blocked = false;
  std::vector<InputFinding> input;    // of all texts of the call
  std::vector<SafetyFinding> output;  // of this choice
};

// {"blocked", "input": [...], "output": [...]}; a finding has filter, category, action, begin, end
// and, of the input, message or prompt. Never a text.
boost::json::object report_json(const SafetyReport& report);

}  // namespace dbrx
