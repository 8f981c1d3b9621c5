// The fields of a request that bind the form of its answer, in the envelopes of OpenAI
// (response_format; text.format of Responses), vLLM (structured_outputs, guided_*) and llama.cpp
// (json_schema).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/json_fields.h"
#include "text/grammar.h"

namespace dbrx {

struct GrammarSource {
  GrammarKind kind = GrammarKind::json_schema;
  std::string text;   // as GrammarKind says
  std::string param;  // the field it came from
};

// Nothing when the answer is free. Throws ApiError(400): a wrong form, or several at a time. Adds
// unknown members to ignored. What the grammar itself has wrong shows when it is compiled.
std::optional<GrammarSource> parse_structured_output(const JsonFields& fields,
                                                     std::vector<std::string>& ignored);

// The same of /v1/responses: its field text, and structured_outputs.
std::optional<GrammarSource> parse_responses_output(const JsonFields& fields,
                                                    std::vector<std::string>& ignored);

}  // namespace dbrx
