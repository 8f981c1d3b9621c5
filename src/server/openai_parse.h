// The body of /v1/chat/completions and /v1/completions -> what is wanted, wholly checked except for
// what needs the tokenizer. Pure: no engine, no sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/request.h"
#include "server/openai_params.h"
#include "server/structured_output.h"
#include "text/chat_template.h"

namespace dbrx {

using Prompt = std::variant<std::string, std::vector<int32_t>>;  // text, or token ids

struct ParseOptions {
  bool strict_params = false;
  int32_t max_choices = 128;  // of n, and so of one prompt
  int32_t max_prompts = 256;
  int32_t max_all_choices = 1024;  // of all prompts together
  int32_t n_ids = 0;               // of the tokenizer
  int64_t max_context = 0;         // tokens
};

// Where a request came in.
struct CompletionRoute {
  std::optional<Endpoint> endpoint = {};  // without: completions for a body with a prompt
  Dialect dialect = Dialect::openai;
  std::string model = {};  // named in the path; empty: by the body
};

// Fields that dialects name differently, for messages to clients.
struct FieldNames {
  const char* messages = "messages";
  const char* max_tokens = "max_tokens";
  const char* logprobs = "logprobs";
};

struct CompletionRequest {
  Endpoint endpoint = Endpoint::chat;
  Dialect dialect = Dialect::openai;
  FieldNames names;
  std::optional<std::string> model;
  std::vector<ChatMessage> messages;  // chat
  std::vector<Prompt> prompts;        // completions; at least one
  std::optional<int64_t> max_tokens;
  int32_t n = 1;  // choices per prompt
  SamplingParams sampling;
  StopRules stop;  // max_tokens is set once the prompt's length is known
  std::optional<GrammarSource> grammar;
  bool calls_tools = false;  // the grammar is that of text or calls of functions
  std::optional<int64_t> seed;
  std::optional<int32_t> top_logprobs;
  bool echo = false;                       // the answer's text begins with the prompt
  std::optional<int32_t> prompt_logprobs;  // vLLM's, of all prompts
  bool by_id = false;                      // logprobs name tokens by their ids
  bool return_token_ids = false;           // of prompts and answers
  bool return_routed_experts = false;      // of all tokens that were computed
  bool stream = false;
  bool include_usage = false;     // a last chunk with the usage
  bool continuous_usage = false;  // usage in every chunk
  bool skip_special_tokens = true;
  int32_t priority = 0;
  bool wrap_prompts = false;  // completions: each text is a user's message
  // Tokens of a prompt that are kept, from its end; 0: as many as fit beside max_tokens.
  std::optional<int64_t> truncate_prompt;
  std::string safety_field;          // the one that asks for the safety filters; empty: none does
  std::vector<std::string> ignored;  // names of unknown fields
  boost::json::object echoed;        // members of a Responses answer that repeat the request
};

// temperature, top_p and top_k, which all dialects have. Throws ApiError(400).
SamplingParams parse_basic_sampling(const JsonFields& fields, double max_temperature);

// The fields that say how tokens are drawn and when the answer ends (but for its length), with
// which priority it runs and whether filters watch it. Throws ApiError(400).
void parse_generation(const JsonFields& fields, const ParseOptions& options,
                      CompletionRequest& request);

// The field `name`: a string or a list of them. Throws ApiError(400).
std::vector<std::string> parse_stop_strings(const JsonFields& fields, const std::string& name);

// Refuses, with ApiError(400), what would end a text in another way than its grammar does; for a
// request that has both. stop_field: the name of its stop strings.
void check_stops(const CompletionRequest& request, const std::string& stop_field);

// OpenAI's fields stream and stream_options, as request.dialect has them. Throws ApiError(400).
void parse_stream(const JsonFields& fields, CompletionRequest& request);

// Throws ApiError(400).
CompletionRequest parse_completion_request(const CompletionRoute& route, std::string_view body,
                                           const ParseOptions& options);

}  // namespace dbrx
