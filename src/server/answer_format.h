// How an answer is written, whole or as a stream, in the form that the client's dialect has. No
// engine, no sockets. Each method of a stream returns whole events, or nothing.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/api_error.h"
#include "server/logprobs_format.h"
#include "server/openai_params.h"
#include "server/safety_report.h"
#include "server/tool_calls.h"

namespace dbrx {

// What all objects of one answer have in common.
struct AnswerHead {
  Endpoint endpoint = Endpoint::chat;
  std::string id;       // "chatcmpl-...", "cmpl-...", ...
  int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;
  boost::json::object echoed = {};  // of CompletionRequest
};

// What a chunk says about usage.
struct ChunkUsage {
  bool mention = false;  // the client asked for usage: null where there is none
  const Usage* usage = nullptr;
};

// What is new of a streamed choice.
struct AnswerPiece {
  int32_t choice = 0;
  std::string_view text = "";
  std::span<const ToolCallDelta> calls = {};
  std::string_view logprobs = "null";        // of LogprobsFormat
  std::span<const int32_t> prompt_ids = {};  // where they are wanted: in the first piece
  std::span<const int32_t> token_ids = {};   // where they are wanted
  std::string_view routed_experts = "";      // where they are wanted: as in ChoiceAnswer
};

// How one choice ended.
struct ChoiceEnd {
  FinishReason reason = FinishReason::stop;
  std::string stop_reason;  // the stop string
  bool has_calls = false;
  uint64_t seed = 0;
  std::optional<SafetyReport> safety = {};  // when filters watched it

  bool is_blocked() const { return safety && safety->blocked; }
};

// One choice of a whole answer.
struct ChoiceAnswer {
  std::string text;  // the prompt's, too, when it is echoed
  std::vector<ToolCall> calls;
  std::vector<TokenInfo> tokens;        // when logprobs were asked for
  std::vector<TokenInfo> prompt;        // when its logprobs were asked for; the first has none
  std::span<const int32_t> prompt_ids;  // when ids were asked for
  std::vector<int32_t> token_ids;       // when ids were asked for: of all that were generated
  std::string routed_experts;           // when asked for: base64 of a .npy file
  ChoiceEnd end;
};

// What an answer tells of its tokens.
struct TokensWanted {
  std::optional<int32_t> logprobs;         // with so many alternatives
  bool echo = false;                       // those of the prompt before those of the answer
  std::optional<int32_t> prompt_logprobs;  // vLLM's
  bool ids = false;
};

class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;

  // prompt_ids: where they are wanted.
  virtual std::string begin(int32_t choice, std::span<const int32_t> prompt_ids,
                            ChunkUsage usage) = 0;
  virtual std::string piece(const AnswerPiece& piece, ChunkUsage usage) = 0;
  virtual std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) = 0;
  virtual std::string end(const Usage& total, bool include_usage) = 0;
  virtual std::string error(const ApiError& error) = 0;

  // The body of an answer that is not streamed. What is wanted is present, even if without tokens.
  virtual std::string whole(const std::vector<ChoiceAnswer>& choices, const TokensWanted& wanted,
                            const Usage& usage, const LogprobsFormat& format) = 0;
};

std::unique_ptr<AnswerFormat> make_answer_format(Dialect dialect, const AnswerHead& head);

}  // namespace dbrx
