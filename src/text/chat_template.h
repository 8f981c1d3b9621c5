// Chat messages to tokens through the checkpoint's own Jinja template. The engine has no chat
// format and no default system prompt of its own: whatever the template prints is the prompt.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

struct DbrxTextTemplate;

namespace dbrx {

struct ChatMessage {
  std::string role;  // passed on as it is; the template decides what it means
  std::string content;
};

// The text of tokenizer_config.json; empty where there is none. Throws Error if it can't be read.
std::string read_tokenizer_config(const std::filesystem::path& model_dir);

// Immutable after load; every const method may be called from several threads. Movable.
//
// A template is a program out of the checkpoint. Its steps, recursion and output are bounded, and
// it can reach neither files nor the network; its memory is not bounded, so a checkpoint deserves
// as much trust as any file that one loads.
class ChatTemplate {
 public:
  // Takes chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or the
  // entry "default" of a list), whose text is given; nullopt if the checkpoint has neither. A
  // non-empty `template_file` replaces both. Throws Error if a file is damaged or the template
  // can't be compiled.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model_dir,
                                          const std::string& tokenizer_config,
                                          const std::filesystem::path& template_file = {});

  // The prompt's text, as transformers' apply_chat_template prints it. Throws Error:
  // invalid_argument (no messages, the template refuses them or prints nothing for them),
  // resource_exhausted (the template runs too long) or unsupported (it fails otherwise).
  std::string render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

  // The prompt's tokens. Only the template itself makes special tokens: their names inside of
  // messages stay text (special_guard.h). Without such names in the messages the result is
  // encode(render(..), Specials::as_tokens). Throws as render does.
  std::vector<int32_t> encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                              bool add_generation_prompt) const;

 private:
  struct Close {
    void operator()(DbrxTextTemplate* handle) const;
  };

  explicit ChatTemplate(DbrxTextTemplate* handle) : rust_(handle) {}

  std::unique_ptr<DbrxTextTemplate, Close> rust_;
};

}  // namespace dbrx
