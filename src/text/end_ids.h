// Which tokens end a text.
#pragma once

#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace dbrx {

// `declared` (the ids of generation_config.json), completed with what mirrors of a checkpoint leave
// out:
// <|endoftext|> where nothing is declared and, for a model that chats, the ends of a ChatML turn:
// <|im_end|>, and <|im_start|>, which begins another's turn. Sorted. Empty: nothing is known.
std::vector<int32_t> complete_end_ids(std::vector<int32_t> declared, const Tokenizer& tokenizer,
                                      bool chats);

}  // namespace dbrx
