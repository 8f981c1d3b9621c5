// Keeps user text from becoming a special token on its way through a chat template. Each name of a
// special token in a message is replaced by one private-use character that occurs in no message;
// the rendered prompt is cut at the special tokens that remain, which are the template's own; then
// the characters become names again, as text.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace dbrx {

class SpecialGuard {
 public:
  // Throws Error invalid_argument if the messages leave no private-use character free.
  SpecialGuard(const Tokenizer& tokenizer, std::span<const ChatMessage> messages);

  // The messages with the names replaced.
  const std::vector<ChatMessage>& messages() const { return messages_; }

  // The tokens of a prompt rendered from messages().
  std::vector<int32_t> encode(std::string_view prompt) const;

 private:
  std::string hide_names(std::string_view text);
  std::string hide_edges(std::string text);
  const std::string& stand_in(std::string_view hidden);
  std::string restore(std::string_view text) const;

  const Tokenizer* tokenizer_;
  std::vector<ChatMessage> messages_;
  std::set<char32_t> used_;                             // private-use characters of the messages
  char32_t next_;                                       // the next one to try
  std::map<std::string, std::string, std::less<>> to_;  // hidden text -> its character, UTF-8
  std::map<std::string, std::string, std::less<>> from_;
};

}  // namespace dbrx
