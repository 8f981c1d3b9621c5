// Where one sequence stands in its grammar, and the choice of its next token (grammar_choices.h).
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/request.h"

namespace dbrx {

struct GrammarChoice {
  bool pending = false;               // the engine thread's: the token is not there yet
  std::atomic<bool> unwanted{false};  // the sequence has ended meanwhile

  // The worker's while the choice is pending, the engine thread's otherwise.
  std::optional<GrammarMatcher> matcher;  // from the first token on
  TokenInfo token;                        // id -1: none could be chosen
  std::string failure;                    // why, if the grammar is to blame
  double seconds = 0;                     // of a thread, that it took

  // Guarded by GrammarChoices.
  bool awaited = false;  // the step waits for it
  bool done = false;

  std::mutex mutex;  // guards what is below
  bool needs_logits = false;
  std::span<const float> logits;   // empty: there was no memory for a copy
  std::vector<float> late_logits;  // those, when the step did not wait
};

}  // namespace dbrx
