// Which calls the safety filters watch, and what they do to the texts of a call before the engine
// sees them. What they do to answers is Completion's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "safety/filter.h"
#include "server/safety_classifier.h"
#include "server/safety_report.h"
#include "server/watched_files.h"

namespace dbrx {

struct CompletionRequest;
struct Services;

enum class SafetyMode { off, on_request, always };

struct SafetyPolicy {
  SafetyMode mode = SafetyMode::off;
  std::vector<SafetyRule> rules = {};
  std::shared_ptr<const SafetyClassifier> classifier = {};
  FileWatch keywords_file = FileWatch();  // of the last rule; without a path: it has none
  FileWatch classifier_file = FileWatch();

  bool is_empty() const { return rules.empty() && classifier == nullptr; }  // not with `always`
};

// The policy on one server's model, as it is when a call begins.
struct ReadySafety {
  SafetyPolicy policy;
  ReadyClassifier classifier;
};

// The flags of `dbrx serve`.
struct SafetyFlags {
  std::string mode = "on-request";  // off, on-request, always
  std::string pii = "block";        // block, mask, off
  std::string keywords = {};        // a file; empty: none
  std::string classifier = {};      // a file; empty: none
};

// Throws Error: a file can't be read, or the flags contradict each other.
SafetyPolicy make_safety_policy(const SafetyFlags& flags);

// What a blocked input gets instead of an answer, as Databricks has it.
inline constexpr std::string_view kSafetyRefusal =
    "I'm sorry, I am unable to assist with that request.";

// Whether the filters watch this call. Throws ApiError(400) when it asks for filters that this
// server has not, or for what would tell of texts past them.
bool is_filtered(const SafetyPolicy& policy, const CompletionRequest& request);

struct InputCheck {
  bool blocked = false;
  std::vector<InputFinding> findings;
  std::vector<ClassifierVerdict> verdicts;  // Completion asks for them
};

// Looks at each message and prompt and masks in place. In token ids nothing can be masked: a find
// blocks. Throws ApiError(400) for texts too long for the context, Error(internal) if a search
// fails.
InputCheck check_input(const Services& services, const SafetyPolicy& policy,
                       CompletionRequest& request);

}  // namespace dbrx
