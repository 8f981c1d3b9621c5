// What the safety filters found in one call, for programs (docs/api.md, "Safety").
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "safety/filter.h"

namespace dbrx {

struct InputFinding {
  size_t text = 0;         // which message, or which prompt
  bool in_prompt = false;  // it is a prompt
  SafetyFinding finding;
};

// What the classifier said of a text, or of the bytes [begin, end) of one that is long.
struct ClassifierVerdict {
  std::string classifier = {};
  bool of_output = false;  // the answer, else:
  size_t text = 0;         // which message, or which prompt
  bool in_prompt = false;  // it is a prompt
  std::string label = {};
  double probability = 0;  // that the model says this label, among all texts
  bool blocked = false;
  size_t begin = 0;
  size_t end = 0;
};

// Of one choice.
struct SafetyReport {
  bool blocked = false;
  std::vector<InputFinding> input;                 // of all texts of the call
  std::vector<SafetyFinding> output;               // of this choice
  std::vector<ClassifierVerdict> classified = {};  // of both
};

// {"blocked", "input": [...], "output": [...]}; a finding has filter, category, action, begin, end
// and, of the input, message or prompt. With verdicts "classifier": [...], each with name, of,
// label, probability, action, begin, end. Never a text.
boost::json::object report_json(const SafetyReport& report);

}  // namespace dbrx
