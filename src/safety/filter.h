// What a safety filter is: a search in a text that arrives in pieces. It knows nothing of requests,
// engines or JSON.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

// A filter may look at so many bytes of the text before a match; a stream keeps them.
inline constexpr size_t kSafetyContext = 64;

// Bytes [begin, end) of a text, not empty, at the bounds of characters. The category is constant.
struct SafetyMatch {
  size_t begin = 0;
  size_t end = 0;
  std::string_view category;  // "email", "keyword", ...
};

// Without a match: no match begins in [from, open), and one may begin at `open` when more text
// follows.
struct SafetySearch {
  std::optional<SafetyMatch> match;
  size_t open = 0;
};

// Immutable; threads may share it.
class SafetyFilter {
 public:
  virtual ~SafetyFilter() = default;

  virtual std::string_view name() const = 0;  // constant: "pii", "keyword", ...

  // The first match of the valid UTF-8 text that begins at `from` or later and that no further text
  // can change; with is_end, there is none. It depends on the text from `from` on and on the
  // kSafetyContext bytes before, so any cut of a text gives the same matches. Throws
  // Error(internal) if the search fails.
  virtual SafetySearch next(std::string_view text, size_t from, bool is_end) const = 0;
};

enum class SafetyAction { block, mask };

struct SafetyRule {
  std::shared_ptr<const SafetyFilter> filter;
  SafetyAction action = SafetyAction::block;
};

// A match that is reported. It holds no text: what was found must not get out this way.
struct SafetyFinding {
  std::string filter;
  std::string category;
  SafetyAction action = SafetyAction::block;
  size_t begin = 0;  // bytes of the text before masking
  size_t end = 0;

  bool operator==(const SafetyFinding&) const = default;
};

// What stands for a masked match: "[EMAIL]".
std::string mask_of(std::string_view category);

}  // namespace dbrx
