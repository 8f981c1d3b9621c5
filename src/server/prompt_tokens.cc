#include "server/prompt_tokens.h"

#include <string>

#include "server/api_error.h"

namespace dbrx {
namespace {

void check_bytes(const Services& services, size_t n_bytes, const char* param) {
  const auto context = static_cast<size_t>(services.engine.max_context());
  if (n_bytes <= context * services.max_token_bytes) return;
  throw ApiError(400,
                 "the context of this model is " + std::to_string(context) +
                     " tokens; the prompt has " + std::to_string(n_bytes) +
                     " bytes, which are at least " +
                     std::to_string(n_bytes / services.max_token_bytes) + " tokens: shorten it",
                 param, "context_length_exceeded");
}

// Whatever it is, it lies in this text: a 500 would only make clients try it again.
ApiError bad_text(const char* param, const Error& error) {
  return ApiError(400, std::string(param) + ": " + error.what(), param, "invalid_value");
}

}  // namespace

void check_size(const Services& services, std::string_view prompt) {
  check_bytes(services, prompt.size(), "prompt");
}

void check_size(const Services& services, const std::vector<ChatMessage>& messages,
                const char* param) {
  size_t n_bytes = 0;
  for (const ChatMessage& message : messages) n_bytes += message.content.size();
  check_bytes(services, n_bytes, param);
}

void check_length(const Services& services, int64_t n_prompt, const char* param) {
  const int64_t context = services.engine.max_context();
  if (n_prompt < context) return;
  throw ApiError(400,
                 "the context of this model is " + std::to_string(context) +
                     " tokens; the prompt has " + std::to_string(n_prompt) +
                     ", which leaves no room for an answer: shorten it",
                 param, "context_length_exceeded");
}

std::vector<int32_t> chat_tokens(const Services& services, const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt, const char* param) {
  if (!services.chat_template) {
    throw ApiError(400, "this model has no chat template: use /v1/completions", param,
                   "no_chat_template");
  }
  check_size(services, messages, param);
  try {
    return services.chat_template->encode(services.tokenizer, messages, add_generation_prompt);
  } catch (const Error& error) {
    throw bad_text(param, error);
  }
}

std::vector<int32_t> text_tokens(const Services& services, std::string_view text) {
  check_size(services, text);
  try {
    return services.tokenizer.encode(text, Specials::as_tokens);
  } catch (const Error& error) {
    throw bad_text("prompt", error);
  }
}

}  // namespace dbrx
