#include "safety/plain_text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace dbrx {
namespace {

constexpr size_t kIncomplete = static_cast<size_t>(-1);

// One character that some bytes stand for.
struct Escape {
  size_t length = 0;  // of those bytes; 0: none begins here; kIncomplete: more text decides
  uint32_t character = 0;
};

bool begins_escape(char c) { return c == '\\' || c == '%' || c == '&' || c == '\xEF'; }

// The number in the digits of the text, if they are nothing else.
std::optional<uint32_t> number_of(std::string_view digits, int base) {
  uint32_t value = 0;
  const char* begin = digits.data();
  const char* end = begin + digits.size();
  const auto [at, error] = std::from_chars(begin, end, value, base);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

bool is_printable(uint32_t c) { return c >= 0x20 && c < 0x7F; }

// Hexadecimal digits after the first `skip` bytes of the escape.
Escape hexadecimal(std::string_view text, size_t skip, size_t n) {
  const auto value = number_of(text.substr(skip, n), 16);
  if (text.size() < skip + n) {
    return {text.size() == skip || value ? kIncomplete : 0};
  }
  return value ? Escape{skip + n, *value} : Escape{};
}

Escape json_escape(std::string_view text) {
  if (text.size() < 2) return {kIncomplete};
  switch (text[1]) {
    case 'n':
    case 'r':
      return {2, '\n'};
    case 't':
      return {2, ' '};
    case '"':
    case '/':
      return {2, static_cast<uint8_t>(text[1])};
    case 'u': {
      const Escape escape = hexadecimal(text, 2, 4);
      return escape.character >= 0xD800 && escape.character < 0xE000 ? Escape{} : escape;
    }
    default:
      return {};
  }
}

Escape url_escape(std::string_view text) {
  const Escape escape = hexadecimal(text, 1, 2);
  return escape.length == kIncomplete || is_printable(escape.character) ? escape : Escape{};
}

// At most 6 bytes.
Escape html_escape(std::string_view text) {
  constexpr std::string_view kSpace = "&nbsp;";
  text = text.substr(0, kSpace.size());
  if (text == kSpace) return {text.size(), ' '};
  if (kSpace.starts_with(text)) return {kIncomplete};
  if (!text.starts_with("&#")) return {};
  const bool is_hex = text.size() > 2 && (text[2] == 'x' || text[2] == 'X');
  const size_t skip = is_hex ? 3 : 2;
  const size_t end = text.find(';');
  const auto value =
      number_of(text.substr(skip, end == text.npos ? end : end - skip), is_hex ? 16 : 10);
  if (end == text.npos) {
    return {text.size() < kSpace.size() && (text.size() == skip || value) ? kIncomplete : 0};
  }
  return value && is_printable(*value) ? Escape{end + 1, *value} : Escape{};
}

// Valid UTF-8 is never cut within a character.
Escape full_width(std::string_view text) {
  const uint32_t c = (static_cast<uint8_t>(text[1]) & 0x3FU) << 6U |
                     (static_cast<uint8_t>(text[2]) & 0x3FU) | 0xF000U;
  return c >= 0xFF01 && c <= 0xFF5E ? Escape{3, c - 0xFF01 + '!'} : Escape{};
}

Escape escape_at(std::string_view text) {
  switch (text.front()) {
    case '\\':
      return json_escape(text);
    case '%':
      return url_escape(text);
    case '&':
      return html_escape(text);
    default:
      return full_width(text);
  }
}

void append_utf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

}  // namespace

std::optional<PlainText> to_plain(std::string_view text, bool is_end) {
  if (std::none_of(text.begin(), text.end(), begins_escape)) return std::nullopt;
  PlainText plain;
  plain.text.reserve(text.size());
  plain.origin.reserve(text.size() + 1);
  size_t at = 0;
  while (at < text.size()) {
    const Escape escape = begins_escape(text[at]) ? escape_at(text.substr(at)) : Escape{};
    if (escape.length == kIncomplete && !is_end) break;
    const size_t n_before = plain.text.size();
    if (escape.length == 0 || escape.length == kIncomplete) {
      plain.text += text[at];
    } else {
      append_utf8(escape.character, plain.text);
    }
    plain.origin.insert(plain.origin.end(), plain.text.size() - n_before,
                        static_cast<uint32_t>(at));
    at += escape.length == 0 || escape.length == kIncomplete ? 1 : escape.length;
  }
  plain.origin.push_back(static_cast<uint32_t>(at));
  return plain;
}

}  // namespace dbrx
