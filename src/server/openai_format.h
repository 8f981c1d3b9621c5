// Events of the engine -> the JSON of the OpenAI routes. Pure: no engine, no sockets.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "server/openai_params.h"
#include "text/tokenizer.h"

namespace dbrx {

// What all objects of one answer have in common.
struct AnswerHead {
  Endpoint endpoint = Endpoint::chat;
  std::string id;       // "chatcmpl-..." or "cmpl-..."
  int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;
};

// What a chunk says about usage.
struct ChunkUsage {
  bool mention = false;  // the client asked for usage: null where there is none
  const Usage* usage = nullptr;
};

// One choice of a whole answer.
struct ChoiceAnswer {
  std::string text;               // the prompt's, too, when it is echoed
  std::vector<TokenInfo> tokens;  // when logprobs were asked for
  std::vector<TokenInfo> prompt;  // when its logprobs were asked for; the first has none
  FinishReason finish = FinishReason::stop;
  std::string stop_reason;
};

// Writes the logprobs objects of both endpoints, as JSON texts: answers with many of them are
// large, and a tree of JSON values many times as large.
class LogprobsFormat {
 public:
  explicit LogprobsFormat(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // {"content": [{"token", "logprob", "bytes", "top_logprobs"}]}
  std::string chat(const std::vector<TokenInfo>& tokens) const;
  // {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of an echoed prompt (n_top of its
  // alternatives) and generated tokens; offsets count characters, from text_offset on, which is
  // moved behind these tokens. The first token of a prompt has null for logprobs.
  std::string completions(std::span<const TokenInfo> prompt, int32_t n_top,
                          std::span<const TokenInfo> tokens, int64_t& text_offset) const;
  // vLLM's prompt_logprobs: a list with, per token, null or
  // {"<id>": {"logprob", "rank", "decoded_token"}} of n_top alternatives and the token itself.
  std::string prompt(std::span<const TokenInfo> tokens, int32_t n_top) const;

 private:
  std::string name(int32_t id) const;  // of a token, in the forms of completions

  const Tokenizer& tokenizer_;
};

// "stop" or "length".
std::string_view finish_name(FinishReason reason);

// A float's logprob as the shortest number that reads back as that float; -inf, which JSON lacks,
// as -9999.
double json_logprob(float logprob);

// A token's bytes when they are UTF-8, else each byte as \xNN.
std::string token_text(std::string_view bytes);

boost::json::object usage_json(const Usage& usage);

// The objects of a stream, each as "data: {...}\n\n".
std::string role_chunk(const AnswerHead& head, int32_t choice, ChunkUsage usage);
// logprobs: of LogprobsFormat, or "null" when not asked for.
std::string text_chunk(const AnswerHead& head, int32_t choice, std::string_view text,
                       std::string_view logprobs, ChunkUsage usage);
std::string finish_chunk(const AnswerHead& head, int32_t choice, FinishReason reason,
                         std::string_view stop_reason, uint64_t seed, ChunkUsage usage);
std::string usage_chunk(const AnswerHead& head, const Usage& usage);
std::string error_event(const std::string& error_json);
constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

// Which logprobs an answer has, and how many alternatives.
struct LogprobsWanted {
  std::optional<int32_t> tokens;
  bool echo = false;              // those of the prompt before those of the tokens
  std::optional<int32_t> prompt;  // vLLM's prompt_logprobs
};

// The whole answer. Objects of logprobs that are wanted are present, even if without tokens.
std::string whole_answer(const AnswerHead& head, const std::vector<ChoiceAnswer>& choices,
                         const LogprobsWanted& wanted, const Usage& usage,
                         const LogprobsFormat& format);

}  // namespace dbrx
