#include "text/utf8.h"

namespace dbrx {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

void Utf8Repair::push(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) push_byte(static_cast<uint8_t>(byte), out);
}

void Utf8Repair::finish(std::string& out) {
  if (n_pending_ > 0) out += kReplacement;
  n_pending_ = 0;
}

void Utf8Repair::push_byte(uint8_t byte, std::string& out) {
  if (n_pending_ > 0 && (byte < low_ || byte > high_)) finish(out);
  if (n_pending_ == 0) return start_character(byte, out);
  pending_[n_pending_++] = static_cast<char>(byte);
  low_ = 0x80;
  high_ = 0xBF;
  if (--n_missing_ > 0) return;
  out.append(pending_, n_pending_);
  n_pending_ = 0;
}

void Utf8Repair::start_character(uint8_t byte, std::string& out) {
  if (byte < 0x80) {
    out += static_cast<char>(byte);
    return;
  }
  if (byte < 0xC2 || byte > 0xF4) {
    out += kReplacement;
    return;
  }
  n_missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  // The second byte's range excludes overlong forms, surrogates and values above U+10FFFF.
  low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  pending_[0] = static_cast<char>(byte);
  n_pending_ = 1;
}

bool is_utf8(std::string_view bytes) {
  std::string repaired;
  Utf8Repair repair;
  repair.push(bytes, repaired);
  repair.finish(repaired);
  return repaired == bytes;
}

int64_t count_characters(std::string_view bytes) {
  int64_t n = 0;
  for (char c : bytes) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

std::string without_controls(std::string_view text) {
  std::string shown;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const bool is_c1 =
        byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0;
    if (is_c1 || byte == 0x7F) {
      shown += "\xEF\xBF\xBD";
      if (is_c1) ++i;
    } else if (byte < 0x20 && byte != '\n' && byte != '\t') {
      shown.append("\xE2\x90").push_back(static_cast<char>(0x80 + byte));
    } else {
      shown.push_back(text[i]);
    }
  }
  return shown;
}

}  // namespace dbrx
