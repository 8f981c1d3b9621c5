#include "safety/keywords.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "base/error.h"
#include "base/mapped_file.h"
#include "safety/pattern.h"

namespace dbrx {
namespace {

constexpr size_t kMaxPhrase = 256;
// PCRE2's compiled patterns have at most 64 KiB: longer lists become several patterns.
constexpr size_t kMaxRegex = 8 << 10;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The phrase as an expression that means exactly it.
std::string regex_of(std::string_view phrase) {
  std::string regex;
  for (size_t i = 0; i < phrase.size(); ++i) {
    const char c = phrase[i];
    if (is_space(c)) {
      if (!is_space(phrase[i - 1])) regex += "\\s{1,8}+";
    } else {
      const bool is_plain = (c & 0x80) != 0 || std::isalnum(static_cast<uint8_t>(c)) != 0;
      if (!is_plain) regex += '\\';
      regex += c;
    }
  }
  return regex;
}

class KeywordFilter : public SafetyFilter {
 public:
  explicit KeywordFilter(std::vector<std::string> phrases) {
    // The longest first, so that of two that begin alike the longer one is found.
    std::sort(phrases.begin(), phrases.end(), [](const auto& a, const auto& b) {
      return a.size() != b.size() ? a.size() > b.size() : a < b;
    });
    std::string regex;
    for (const std::string& phrase : phrases) {
      regex += (regex.empty() ? "" : "|") + regex_of(phrase);
      if (regex.size() < kMaxRegex) continue;
      add(regex);
      regex.clear();
    }
    if (!regex.empty()) add(regex);
  }

  std::string_view name() const override { return "keyword"; }

  SafetySearch next(std::string_view text, size_t from, bool is_end) const override {
    SafetySearch first{std::nullopt, text.size()};
    for (const Pattern& pattern : patterns_) {
      const SafetySearch found = pattern.next(text, from, is_end);
      if (!found.match) {
        first.open = std::min(first.open, found.open);
      } else if (!first.match || is_before(*found.match, *first.match)) {
        first.match = found.match;
      }
    }
    // Another pattern may still find something that begins before, or there and is longer.
    if (first.match && !is_end && first.match->begin >= first.open) first.match.reset();
    return first;
  }

 private:
  static bool is_before(const SafetyMatch& a, const SafetyMatch& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  }

  void add(const std::string& regex) {
    const PatternRule rule{"keyword", "(?<!\\w)(?:" + regex + ")(?!\\w)"};
    patterns_.emplace_back(std::span(&rule, 1));
  }

  std::vector<Pattern> patterns_;
};

}  // namespace

std::shared_ptr<const SafetyFilter> make_keyword_filter(const std::vector<std::string>& phrases) {
  std::vector<std::string> trimmed;
  for (const std::string& phrase : phrases) {
    trimmed.emplace_back(trim(phrase));
    if (trimmed.back().empty() || trimmed.back().size() > kMaxPhrase) {
      throw Error(Code::invalid_argument, "keyword " + std::to_string(trimmed.size()) +
                                              ": expected 1 to " + std::to_string(kMaxPhrase) +
                                              " bytes, found " +
                                              std::to_string(trimmed.back().size()));
    }
  }
  if (trimmed.empty()) throw Error(Code::invalid_argument, "no keywords: expected one a line");
  return std::make_shared<KeywordFilter>(std::move(trimmed));
}

std::shared_ptr<const SafetyFilter> load_keyword_filter(const std::string& path) {
  constexpr size_t kMaxBytes = 16 << 20;
  std::istringstream lines(read_text_file(path, kMaxBytes));
  std::vector<std::string> phrases;
  for (std::string line; std::getline(lines, line);) {
    if (!trim(line).empty()) phrases.push_back(std::move(line));
  }
  try {
    return make_keyword_filter(phrases);
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

}  // namespace dbrx
