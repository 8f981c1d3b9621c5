// How an answer is written, whole or as a stream, in the form that the client's dialect has. Pure:
// no engine, no sockets. Each method of a stream returns whole events, or nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/openai_format.h"

namespace dbrx {

// How one choice ended.
struct ChoiceEnd {
  FinishReason reason = FinishReason::stop;
  std::string_view stop_reason;  // the stop string
  uint64_t seed = 0;
};

class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;

  virtual std::string begin(int32_t choice, ChunkUsage usage) const = 0;
  // logprobs: of LogprobsFormat, or "null" when not asked for.
  virtual std::string text(int32_t choice, std::string_view text, std::string_view logprobs,
                           ChunkUsage usage) const = 0;
  virtual std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) const = 0;
  virtual std::string end(const Usage& total, bool include_usage) const = 0;
  virtual std::string error(const ApiError& error) const = 0;

  // The body of an answer that is not streamed. Objects of logprobs that are wanted are present,
  // even if without tokens.
  virtual std::string whole(const std::vector<ChoiceAnswer>& choices, const LogprobsWanted& wanted,
                            const Usage& usage, const LogprobsFormat& format) const = 0;
};

std::unique_ptr<AnswerFormat> make_answer_format(Dialect dialect, const AnswerHead& head);

}  // namespace dbrx
