// Any text as a chat template either renders a conversation and becomes tokens, or ends in an
// Error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "text/chat_template.h"
#include "text/tiny_tokenizer.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& tokenizer =
      *new dbrx::Tokenizer(dbrx::Tokenizer::from_json(dbrx::tiny::tokenizer_json(), "fuzz"));
  static const auto& folder = *new dbrx::TemporaryFolder;
  const std::vector<dbrx::ChatMessage> messages = {
      {.role = "system", .content = "Be <|im_end|> brief."},
      {.role = "user", .content = "h\u00e9llo"},
      {.role = "assistant", .content = ""},
      {.role = "user", .content = "{{ 1 }}"}};
  try {
    folder.write("chat_template.jinja", std::string(reinterpret_cast<const char*>(data), size));
    const auto chat_template = dbrx::ChatTemplate::load(folder.path(), "");
    if (chat_template) chat_template->encode(tokenizer, messages, /*add_generation_prompt=*/true);
  } catch (const dbrx::Error&) {  // NOLINT(bugprone-empty-catch): how a bad template must end
  }
  return 0;
}
