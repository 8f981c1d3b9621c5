// What every request to the OpenAI routes needs; one per server.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fair_workers.h"
#include "engine/engine.h"
#include "server/grammar_queue.h"
#include "server/open_calls.h"
#include "server/openai_parse.h"
#include "server/rate_limits.h"
#include "server/safety.h"
#include "text/chat_template.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace dbrx {

class Telemetry;

// Logs each name of an unknown parameter once; remembers a bounded number of them.
class UnknownNames {
 public:
  void log_new(const std::vector<std::string>& names);

 private:
  std::mutex mutex_;
  std::set<std::string> known_;
};

struct Services {
  Engine& engine;
  const Tokenizer& tokenizer;
  std::optional<ChatTemplate> chat_template;
  GrammarCompiler* grammars = nullptr;    // null when the model has no end-of-text token
  GrammarQueue* grammar_queue = nullptr;  // of those who wait for them; null when they are
  FairWorkers& workers;                   // for texts
  Telemetry& telemetry;
  std::vector<std::string> model_names;  // the first one is the default
  std::string system_fingerprint;
  int64_t created = 0;  // of the models: seconds since 1970
  ParseOptions parse;
  size_t max_token_bytes = 1;  // of the longest token
  UnknownNames unknown_names;
  std::shared_ptr<const ReadySafety> safety = std::make_shared<ReadySafety>();  // I/O thread's
  RateLimits rate_limits{};
  OpenCalls open_calls = {};

  // The name of the model that is meant: the first one without a name. Throws ApiError(404).
  std::string require_model(const std::optional<std::string>& name) const;
};

}  // namespace dbrx
