// What the two processes of a grammar's trial say to each other: both are the same program, so it
// is plain structs. Private to text.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace dbrx {

// Small enough for a pipe to take it when nobody reads.
inline constexpr size_t kMaxTrialAnswer = 4096;

inline bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

struct TrialQuestion {
  struct Head {
    int32_t n_ids = 0;
    int32_t eos_id = 0;
    size_t kind = 0;  // bytes
    size_t source = 0;
    size_t specials = 0;
  };

  int32_t n_ids = 0;
  int32_t eos_id = 0;
  std::string_view kind;
  std::string_view source;
  std::string_view specials = {};

  std::string bytes() const {
    const Head head{n_ids, eos_id, kind.size(), source.size(), specials.size()};
    std::string text(reinterpret_cast<const char*>(&head), sizeof(head));
    return text.append(kind).append(source).append(specials);
  }

  // Views into bytes. Nothing when they are not what bytes() makes.
  static std::optional<TrialQuestion> parse(std::string_view bytes) {
    Head head;
    if (bytes.size() < sizeof(head)) return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof(head));
    bytes.remove_prefix(sizeof(head));
    if (bytes.size() != head.kind + head.source + head.specials) return std::nullopt;
    return TrialQuestion{.n_ids = head.n_ids,
                         .eos_id = head.eos_id,
                         .kind = bytes.substr(0, head.kind),
                         .source = bytes.substr(head.kind, head.source),
                         .specials = bytes.substr(head.kind + head.source)};
  }
};

struct TrialAnswer {
  struct Head {
    Code code = Code::internal;
    size_t kept_bytes = 0;
    size_t error = 0;  // bytes
  };

  std::string error;  // "": the grammar is good
  Code code = Code::internal;
  size_t kept_bytes = 0;

  std::string bytes() const {
    const size_t n = std::min(error.size(), kMaxTrialAnswer - sizeof(Head));
    const Head head{code, kept_bytes, n};
    std::string text(reinterpret_cast<const char*>(&head), sizeof(head));
    return text.append(error, 0, n);
  }

  // Nothing when the process died before it wrote all.
  static std::optional<TrialAnswer> parse(std::string_view bytes) {
    Head head;
    if (bytes.size() < sizeof(head)) return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof(head));
    bytes.remove_prefix(sizeof(head));
    if (bytes.size() != head.error) return std::nullopt;
    return TrialAnswer{std::string(bytes), head.code, head.kept_bytes};
  }
};

}  // namespace dbrx
