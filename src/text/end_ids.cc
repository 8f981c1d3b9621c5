#include "text/end_ids.h"

#include <algorithm>

namespace dbrx {

std::vector<int32_t> complete_end_ids(std::vector<int32_t> declared, const Tokenizer& tokenizer,
                                      bool chats) {
  const auto add = [&](std::string_view name) {
    if (const std::optional<int32_t> id = tokenizer.special_id(name)) declared.push_back(*id);
  };
  if (declared.empty()) add("<|endoftext|>");
  if (chats) {
    add("<|im_end|>");
    add("<|im_start|>");
  }
  std::sort(declared.begin(), declared.end());
  declared.erase(std::unique(declared.begin(), declared.end()), declared.end());
  return declared;
}

}  // namespace dbrx
