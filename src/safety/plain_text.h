// A text as its reader will see it: without the escapes of JSON, URLs and HTML, with ASCII for
// full-width characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

struct PlainText {
  std::string text;
  std::vector<uint32_t> origin;  // [text.size() + 1]: where each byte came from, ascending
};

// Of valid UTF-8; nullopt if the text is plain. What is decoded depends on nothing before it:
//   \n \r \t \" \/ \u0040   JSON, of one character; surrogates stay
//   %40                     URLs, of ASCII
//   &#64; &#x40; &nbsp;     HTML, of ASCII
//   U+FF01 to U+FF5E        full-width ASCII
// With !is_end, an escape that the text's end cuts is left out, with all of its bytes.
std::optional<PlainText> to_plain(std::string_view text, bool is_end);

}  // namespace dbrx
