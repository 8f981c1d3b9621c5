// Answers in OpenAI's form, which is Databricks' too: chat completions and completions.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/answer_format.h"

namespace dbrx {

class OpenAiAnswer : public AnswerFormat {
 public:
  explicit OpenAiAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin(int32_t choice, std::span<const int32_t> prompt_ids, ChunkUsage usage) override;
  std::string piece(const AnswerPiece& piece, ChunkUsage usage) override;
  std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) override;
  std::string end(const Usage& total, bool include_usage) override;
  std::string error(const ApiError& error) override;
  std::string whole(const std::vector<ChoiceAnswer>& choices, const TokensWanted& wanted,
                    const Usage& usage, const LogprobsFormat& format) override;

 private:
  bool is_chat() const { return head_.endpoint == Endpoint::chat; }
  boost::json::object envelope(std::string_view object_name) const;
  std::string chunk(ChunkUsage usage);
  std::string whole_choice(int32_t index, const ChoiceAnswer& choice, const TokensWanted& wanted,
                           const LogprobsFormat& format) const;

  AnswerHead head_;
  std::string chunk_head_;  // of every chunk; empty until the first one
};

}  // namespace dbrx
