// Answers in the form of Anthropic's messages: one choice with one block of text.
#pragma once

#include "server/answer_format.h"

namespace dbrx {

class AnthropicAnswer : public AnswerFormat {
 public:
  explicit AnthropicAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin(int32_t choice, ChunkUsage usage) const override;
  std::string text(int32_t choice, std::string_view text, std::string_view logprobs,
                   ChunkUsage usage) const override;
  std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) const override;
  std::string end(const Usage& total, bool include_usage) const override;
  std::string error(const ApiError& error) const override;
  std::string whole(const std::vector<ChoiceAnswer>& choices, const LogprobsWanted& wanted,
                    const Usage& usage, const LogprobsFormat& format) const override;

 private:
  boost::json::object message(const Usage& usage) const;

  AnswerHead head_;
};

}  // namespace dbrx
