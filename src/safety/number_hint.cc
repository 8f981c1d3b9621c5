#include "safety/number_hint.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "safety/number_words.h"

namespace dbrx {
namespace {

bool is_letter(char c) { return (c & 0x80) != 0 || std::isalpha(static_cast<uint8_t>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_byte(char c) { return is_letter(c) || is_digit(c); }

// Valid UTF-8 with Latin and Russian letters in lower case, and spaces for the signs and spaces of
// the blocks Latin-1, General Punctuation and CJK Symbols.
std::string words_of(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<uint8_t>(text[at]);
    const size_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const std::string_view letter = text.substr(at, n);
    at += letter.size();
    const uint8_t next = letter.size() > 1 ? static_cast<uint8_t>(letter[1]) : 0;
    if (letter.size() == 1) {
      out += static_cast<char>(std::tolower(lead));
    } else if (lead == 0xC2 || (lead == 0xE2 && next <= 0x81) || (lead == 0xE3 && next == 0x80)) {
      out += ' ';
    } else if ((lead == 0xC3 && next <= 0x9E) || (lead == 0xD0 && next >= 0x90 && next <= 0x9F)) {
      // A to Z with accents, and the first half of the Russian capitals
      out += {static_cast<char>(lead), static_cast<char>(next + 0x20)};
    } else if (lead == 0xD0 && next >= 0xA0 && next <= 0xAF) {
      out += {static_cast<char>(0xD1), static_cast<char>(next - 0x20)};
    } else {
      out += letter;
    }
  }
  return out;
}

// The last word of the text, which loses it, without digits at its end ("ean13" is "ean"); "" at a
// number or the begin.
std::string_view last_word(std::string_view& text) {
  while (!text.empty() && !is_word_byte(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_digit(text.back())) text.remove_suffix(1);
  const std::string_view whole = text;
  while (!text.empty() && is_letter(text.back())) text.remove_suffix(1);
  return whole.substr(text.size());
}

// A point may be that of "no." or "ref."
bool ends_sentence(std::string_view between) {
  return between.find_first_of("?!;") != between.npos;
}

// A letter alone, as signatures have it: "T: ", "| m: ", or a line that begins with "T ".
bool is_label_of_phone(std::string_view text) {
  const size_t at = text.find_last_of("tpmcfhow");
  if (at == text.npos) return false;
  const std::string_view after = text.substr(at + 1);
  if (std::any_of(after.begin(), after.end(), is_word_byte)) return false;
  const char before = at == 0 ? '\n' : text[at - 1];
  if (is_word_byte(before) || before == '\'') return false;
  return after.starts_with(':') || (before == '\n' && after == " ");
}

}  // namespace

NumberHint number_hint(std::string_view text) {
  constexpr int kNear = 3;  // a word farther away does not say that it is no phone number
  const std::string words = words_of(text);
  std::string_view before = words;
  if (is_label_of_phone(before)) return NumberHint::phone;
  bool is_number_of = false;  // "number" was the word after this one
  bool is_id = false;         // the same of "id"
  bool is_card = false;       // the same of "card"
  std::string initials;       // "S.S.N." so far
  int n_words = 0;
  size_t last = words.size();  // where the word after this one begins
  for (std::string_view word = last_word(before); !word.empty(); word = last_word(before)) {
    const size_t end = static_cast<size_t>(word.data() - words.data()) + word.size();
    n_words += ends_sentence(std::string_view(words).substr(end, last - end)) ? kNear + 1 : 1;
    last = end - word.size();
    NumberHint hint = hint_of_word(word);
    initials = word.size() == 1 ? std::string(word) + initials : "";
    if (initials == "ssn") hint = NumberHint::ssn;
    const bool is_part = n_words == 2 && (initials == "sn" || initials == "pn");
    if (is_part && !before.ends_with("s.")) hint = NumberHint::other;  // S/N, P/N; not S.S.N.
    if (is_card) return word == "security" ? NumberHint::ssn : NumberHint::card;
    if (is_id) {
      if (word == "tax" || word == "taxpayer") return NumberHint::ssn;
      return hint == NumberHint::phone && word == "caller" ? hint : NumberHint::other;
    }
    is_id = word == "id" && n_words <= kNear;
    is_card = word == "card";
    const bool is_far = hint == NumberHint::other && n_words > kNear;
    if (hint != NumberHint::none && !is_far && !is_card) return hint;
    if (is_number_of && makes_number_personal(word)) return NumberHint::phone;  // "my number"
    is_number_of = is_number_word(word);
  }
  if (is_card) return NumberHint::card;
  return is_id ? NumberHint::other : NumberHint::none;
}

}  // namespace dbrx
