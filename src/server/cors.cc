#include "server/cors.h"

#include <algorithm>

#include "base/error.h"
#include "server/http_text.h"

namespace dbrx {
namespace {

// What answers carry for programs to read, beside what every page may see.
constexpr const char* kExposedHeaders =
    "x-request-id, x-dbrx-seed, x-dbrx-fingerprint, x-dbrx-ignored, served-model-name, "
    "retry-after, retry-after-ms, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    "anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, "
    "anthropic-ratelimit-requests-reset, anthropic-ratelimit-input-tokens-limit, "
    "anthropic-ratelimit-input-tokens-remaining, anthropic-ratelimit-input-tokens-reset, "
    "anthropic-ratelimit-output-tokens-limit, anthropic-ratelimit-output-tokens-remaining, "
    "anthropic-ratelimit-output-tokens-reset";

}  // namespace

void AllowedOrigins::add(const std::string& origin) {
  const size_t scheme = origin.find("://");
  const bool is_origin = scheme != std::string::npos && scheme > 0 && scheme + 3 < origin.size() &&
                         origin.find('/', scheme + 3) == std::string::npos &&
                         sanitize_token(origin, 200) == origin;
  if (origin != "*" && !is_origin) {
    throw Error(Code::invalid_argument,
                "--allowed-origins: \"" + origin +
                    "\" is no origin; write it as https://chat.example.com, without a path, or *");
  }
  // Origins are compared as they are sent.
  const bool has_capitals =
      std::any_of(origin.begin(), origin.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  const bool has_default_port = (origin.starts_with("https://") && origin.ends_with(":443")) ||
                                (origin.starts_with("http://") && origin.ends_with(":80"));
  if (has_capitals || has_default_port) {
    throw Error(Code::invalid_argument,
                "--allowed-origins: \"" + origin +
                    "\" is never sent by a browser; write it in small letters, and without :443 "
                    "of https or :80 of http");
  }
  origins_.insert(origin);
}

void AllowedOrigins::add_headers(HttpRequest& request) const {
  if (origins_.empty()) return;
  std::vector<HttpHeader>& headers = request.answer_headers;
  headers.push_back({"Vary", "Origin"});  // no cache may give one origin the answer to another
  const std::string origin(request.header("Origin"));
  if (!origins_.contains("*") && !origins_.contains(origin)) return;
  headers.push_back({"Access-Control-Allow-Origin", origins_.contains("*") ? "*" : origin});
  const bool preflight =
      request.method == "OPTIONS" && !request.header("Access-Control-Request-Method").empty();
  if (!preflight) {
    headers.push_back({"Access-Control-Expose-Headers", kExposedHeaders});
    return;
  }
  headers.push_back({"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"});
  // Keys travel in a header that "*" does not stand for; what others there are does no harm.
  headers.push_back({"Access-Control-Allow-Headers",
                     std::string(request.header("Access-Control-Request-Headers"))});
  headers.push_back({"Access-Control-Max-Age", "600"});
}

}  // namespace dbrx
