// Bytes to valid UTF-8, in pieces: what is ill-formed becomes U+FFFD, one per maximal ill-formed
// subpart (Unicode 15, table 3-7 and section 3.9, as Python's and Rust's lossy decoders do it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dbrx {

class Utf8Repair {
 public:
  // Appends to `out` all characters that are decided by now. An incomplete but still valid
  // character (1 to 3 bytes) is kept for the next push.
  void push(std::string_view bytes, std::string& out);

  // The end of the bytes: a character that is still incomplete becomes U+FFFD.
  void finish(std::string& out);

 private:
  void push_byte(uint8_t byte, std::string& out);
  void start_character(uint8_t byte, std::string& out);

  char pending_[4] = {};  // the begin of a character
  uint8_t n_pending_ = 0;
  uint8_t n_missing_ = 0;  // continuation bytes that the character still needs
  uint8_t low_ = 0x80;     // the range of the next one
  uint8_t high_ = 0xBF;
};

// Whether the bytes are well-formed UTF-8.
bool is_utf8(std::string_view bytes);

// UTF-8 as it may be shown on a terminal, which takes orders from control characters: those of C0
// but newline and tab as their pictures (U+2400 on), delete and those of C1 as U+FFFD.
std::string without_controls(std::string_view text);

// The characters that begin in these bytes of UTF-8.
int64_t count_characters(std::string_view bytes);

}  // namespace dbrx
