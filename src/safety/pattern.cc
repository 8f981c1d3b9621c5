#define PCRE2_CODE_UNIT_WIDTH 8
#include "safety/pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace dbrx {
namespace {

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

struct Attempt {
  const std::vector<PatternRule>* rules;
  std::span<const uint32_t> origin;
  size_t accepted = 0;  // the rule of the last accepted callout: the one that matched
};

// The whole characters among the last kPatternContext bytes of text[0, end).
std::string_view context_of(std::string_view text, size_t end, std::span<const uint32_t> origin) {
  size_t begin = end - std::min(end, kPatternContext);
  if (!origin.empty()) {
    const uint32_t first = origin[end] - std::min<uint32_t>(origin[end], kPatternContext);
    const auto last = origin.begin() + static_cast<int64_t>(end);
    begin = static_cast<size_t>(std::lower_bound(origin.begin(), last, first) - origin.begin());
  }
  while (begin < end && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) ++begin;
  return text.substr(begin, end - begin);
}

// Called by PCRE2 at the end of each rule, whose number the callout has. Not 0: no match here.
int on_rule(pcre2_callout_block* block, void* data) {
  Attempt& attempt = *static_cast<Attempt*>(data);
  attempt.accepted = block->callout_number;
  const auto accept = (*attempt.rules)[block->callout_number].accept;
  if (accept == nullptr) return 0;
  const std::string_view text(reinterpret_cast<const char*>(block->subject),
                              block->current_position);
  return accept(text.substr(block->start_match),
                context_of(text, block->start_match, attempt.origin))
             ? 0
             : 1;
}

}  // namespace

void Pattern::Free::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Pattern::Pattern(std::span<const PatternRule> rules) : rules_(rules.begin(), rules.end()) {
  CHECK(!rules.empty());
  CHECK_LE(rules.size(), size_t{255});
  std::string regex;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const std::string& begin = rules_[i].begin;
    if (i == 0 || begin != rules_[i - 1].begin) {
      regex += i == 0 ? "" : ")|";
      regex += begin.empty() ? "(?:" : "(?=[" + begin + "])(?:";
    } else {
      regex += "|";
    }
    regex += "(?:" + rules_[i].regex + ")(?C" + std::to_string(i) + ")";
  }
  regex += ")";
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_EXTENDED, &error,
                            &offset, nullptr));
  if (code_ == nullptr) {
    throw Error(Code::invalid_argument,
                "safety pattern, byte " + std::to_string(offset) + ": " + message_of(error));
  }
  // Where the system forbids new code, PCRE2 interprets the pattern.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
}

SafetySearch Pattern::next(std::string_view text, size_t from, bool is_end,
                           std::span<const uint32_t> origin) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatch> context(
      pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr) {
    throw Error(Code::resource_exhausted, "safety pattern: no memory for a search");
  }
  Attempt attempt{&rules_, origin};
  pcre2_set_callout(context.get(), on_rule, &attempt);
  const uint32_t options = PCRE2_NO_UTF_CHECK | (is_end ? 0 : PCRE2_PARTIAL_HARD);
  const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), from, options, data.get(), context.get());
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
  if (result == PCRE2_ERROR_NOMATCH) return {std::nullopt, text.size()};
  if (result == PCRE2_ERROR_PARTIAL) return {std::nullopt, span[0]};
  if (result < 0) throw Error(Code::internal, "safety pattern: " + message_of(result));
  return {SafetyMatch{span[0], span[1], rules_[attempt.accepted].category}, span[0]};
}

}  // namespace dbrx
