#include "server/answer_format.h"

#include "server/anthropic_format.h"
#include "server/openai_format.h"
#include "server/responses_format.h"

namespace dbrx {

std::unique_ptr<AnswerFormat> make_answer_format(Dialect dialect, const AnswerHead& head) {
  if (dialect == Dialect::anthropic) return std::make_unique<AnthropicAnswer>(head);
  if (dialect == Dialect::responses) return std::make_unique<ResponsesAnswer>(head);
  return std::make_unique<OpenAiAnswer>(head);
}

}  // namespace dbrx
