// From what a request says to the tokens of its prompts. For text workers: it may take a while.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "server/services.h"

namespace dbrx {

// A text so long that no tokenization of it fits the context is refused untokenized: megabytes take
// many seconds of a text worker and gigabytes of memory. Throws ApiError(400).
void check_size(const Services& services, std::string_view prompt);
// Of all messages together; the error names param.
void check_size(const Services& services, const std::vector<ChatMessage>& messages,
                const char* param);

// A prompt of so many tokens that no answer fits the context is refused. Throws ApiError(400) that
// names param.
void check_length(const Services& services, int64_t n_prompt, const char* param);

// A conversation through the model's chat template. Throws ApiError(400) naming param: there is no
// template, it refuses the messages, or they can't fit the context.
std::vector<int32_t> chat_tokens(const Services& services, const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt, const char* param = "messages");

// A raw prompt, which may name special tokens: that is how completion clients write chat turns.
// Throws ApiError(400).
std::vector<int32_t> text_tokens(const Services& services, std::string_view text);

}  // namespace dbrx
