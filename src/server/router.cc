#include "server/router.h"

#include <optional>
#include <utility>

#include "server/api_error.h"
#include "server/http_text.h"

namespace dbrx {
namespace {

// The text in the place of {...} (empty for exact routes), or nothing if the path is another one.
std::optional<std::string> match(const Route& route, std::string_view path) {
  size_t brace = route.path.find('{');
  if (brace == std::string::npos) {
    return route.path == path ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view prefix = std::string_view(route.path).substr(0, brace);
  const std::string_view suffix = std::string_view(route.path).substr(route.path.find('}') + 1);
  if (path.size() <= prefix.size() + suffix.size()) return std::nullopt;
  if (!path.starts_with(prefix) || !path.ends_with(suffix)) return std::nullopt;
  return percent_decode(path.substr(brace, path.size() - prefix.size() - suffix.size()));
}

}  // namespace

void Router::handle(std::shared_ptr<const HttpRequest> request,
                    std::shared_ptr<Reply> reply) const {
  std::string_view method = request->method == "HEAD" ? "GET" : std::string_view(request->method);
  std::string_view path = request->path();
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  std::string allowed;
  for (const Route& route : routes_) {
    std::optional<std::string> rest = match(route, path);
    if (!rest) continue;
    if (route.method == method) {
      if (!route.is_public) keys_.require(*request);
      return route.handler({request, reply, std::move(*rest)});
    }
    if ((", " + allowed).find(", " + route.method + ", ") != std::string::npos) continue;
    allowed += route.method + (route.method == "GET" ? ", HEAD, " : ", ");
  }
  if (method != "OPTIONS") keys_.require(*request);
  if (allowed.empty()) {
    throw ApiError(404,
                   "there is nothing at " + sanitize_token(request->path(), 200) +
                       "; GET / lists what there is",
                   "", "unknown_url");
  }
  HttpResponse response;
  if (method == "OPTIONS") {
    response.status = 204;
  } else {
    response = error_response(
        ApiError(405, "the method " + sanitize_token(request->method, 20) + " is not allowed here",
                 "", "method_not_allowed"));
  }
  response.headers.push_back({"Allow", allowed + "OPTIONS"});
  reply->send(std::move(response));
}

}  // namespace dbrx
