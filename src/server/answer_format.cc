#include "server/answer_format.h"

#include <utility>

#include "server/anthropic_format.h"

namespace dbrx {
namespace {

// OpenAI's form, which is Databricks' too.
class OpenAiAnswer : public AnswerFormat {
 public:
  explicit OpenAiAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin(int32_t choice, ChunkUsage usage) const override {
    return head_.endpoint == Endpoint::chat ? role_chunk(head_, choice, usage) : "";
  }
  std::string text(int32_t choice, std::string_view text, std::string_view logprobs,
                   ChunkUsage usage) const override {
    return text_chunk(head_, choice, text, logprobs, usage);
  }
  std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) const override {
    return finish_chunk(head_, choice, end.reason, end.stop_reason, end.seed, usage);
  }
  std::string end(const Usage& total, bool include_usage) const override {
    return (include_usage ? usage_chunk(head_, total) : "") + std::string(kDoneEvent);
  }
  std::string error(const ApiError& error) const override { return error_event(error_json(error)); }
  std::string whole(const std::vector<ChoiceAnswer>& choices, const LogprobsWanted& wanted,
                    const Usage& usage, const LogprobsFormat& format) const override {
    return whole_answer(head_, choices, wanted, usage, format);
  }

 private:
  AnswerHead head_;
};

}  // namespace

std::unique_ptr<AnswerFormat> make_answer_format(Dialect dialect, const AnswerHead& head) {
  if (dialect == Dialect::anthropic) return std::make_unique<AnthropicAnswer>(head);
  return std::make_unique<OpenAiAnswer>(head);
}

}  // namespace dbrx
