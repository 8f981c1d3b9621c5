#include "server/cors.h"

#include "base/error.h"
#include "server/http_text.h"

namespace dbrx {

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
    headers.push_back(
        {"Access-Control-Expose-Headers",
         "x-request-id, x-dbrx-seed, x-dbrx-fingerprint, x-dbrx-ignored, retry-after, "
         "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
         "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"});
    return;
  }
  headers.push_back({"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"});
  // Keys travel in a header that "*" does not stand for; what others there are does no harm.
  headers.push_back({"Access-Control-Allow-Headers",
                     std::string(request.header("Access-Control-Request-Headers"))});
  headers.push_back({"Access-Control-Max-Age", "600"});
}

}  // namespace dbrx
