// Answers in the form of Anthropic's messages: one choice, whose blocks are a text and calls.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/answer_format.h"

namespace dbrx {

class AnthropicAnswer : public AnswerFormat {
 public:
  explicit AnthropicAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin(int32_t choice, std::span<const int32_t> prompt_ids, ChunkUsage usage) override;
  std::string piece(const AnswerPiece& piece, ChunkUsage usage) override;
  std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) override;
  std::string end(const Usage& total, bool include_usage) override;
  std::string error(const ApiError& error) override;
  std::string whole(const std::vector<ChoiceAnswer>& choices, const TokensWanted& wanted,
                    const Usage& usage, const LogprobsFormat& format) override;

 private:
  boost::json::object message(const Usage& usage) const;
  std::string start_block(boost::json::object block);
  std::string stop_block();
  std::string delta(boost::json::object delta) const;

  AnswerHead head_;
  int32_t n_blocks_ = 0;  // begun so far; the last one is open
  bool in_text_ = false;  // it is one of text
};

}  // namespace dbrx
