#include "telemetry/trace_context.h"

#include <algorithm>
#include <random>

namespace dbrx {
namespace {

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
  return is_lower_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

TraceParent parse_traceparent(std::string_view header) {
  constexpr size_t kLength = 55;  // of version 00; later ones may add to it
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-') {
    return {};
  }
  const std::string_view version = header.substr(0, 2), trace = header.substr(3, 32),
                         span = header.substr(36, 16), flags = header.substr(53, 2);
  const bool length_fits = header.size() == kLength || (version != "00" && header[kLength] == '-');
  if (!is_lower_hex(version) || version == "ff" || !is_id(trace) || !is_id(span) ||
      !is_lower_hex(flags) || !length_fits) {
    return {};
  }
  const char low = flags[1];
  const int digit = low <= '9' ? low - '0' : low - 'a' + 10;
  return {.trace_id = std::string(trace), .span_id = std::string(span), .sampled = digit % 2 == 1};
}

std::string random_trace_hex(size_t n) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string text(n, '0');
  while (text.find_first_not_of('0') == std::string::npos) {
    for (char& c : text) c = "0123456789abcdef"[random() % 16];
  }
  return text;
}

}  // namespace dbrx
