#include "server/known_verdicts.h"

#include <openssl/sha.h>

#include <array>

namespace dbrx {

std::string KnownVerdicts::key(uint64_t client, std::string_view text) {
  const std::string message = std::to_string(client).append(":").append(text);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest.data());
  return {digest.begin(), digest.end()};
}

std::optional<ClassifierVerdict> KnownVerdicts::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const ClassifierVerdict* known = verdicts_.find(key);
  return known == nullptr ? std::nullopt : std::optional(*known);
}

void KnownVerdicts::keep(const std::string& key, const ClassifierVerdict& verdict) {
  const size_t n_bytes =
      sizeof(verdict) + key.size() + verdict.classifier.size() + verdict.label.size();
  const std::lock_guard lock(mutex_);
  verdicts_.put(key, verdict, n_bytes);
}

}  // namespace dbrx
