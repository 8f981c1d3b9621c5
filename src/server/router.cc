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

bool needs_no_key(const HttpRequest& request, const Route* route) {
  return request.method == "OPTIONS" || (route && route->scope == Scope::none);
}

}  // namespace

Router::Router(std::vector<Route> routes, ApiKeys keys, std::set<Scope> anonymous,
               RateLimits& limits)
    : routes_(std::move(routes)), keys_(std::move(keys)), limits_(limits) {
  Identity identity;
  identity.scopes = std::move(anonymous);
  anonymous_ = std::make_shared<const Identity>(std::move(identity));
}

Router::Match Router::find(const HttpRequest& request) const {
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::string_view path = request.path();
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  Match found;
  for (const Route& route : routes_) {
    std::optional<std::string> rest = match(route, path);
    if (!rest) continue;
    if (route.method == method) return {.route = &route, .rest = std::move(*rest), .allowed = {}};
    if ((", " + found.allowed).find(", " + route.method + ", ") != std::string::npos) continue;
    found.allowed += route.method + (route.method == "GET" ? ", HEAD, " : ", ");
  }
  return found;
}

bool Router::is_open(const HttpRequest& request) const {
  return needs_no_key(request, find(request).route);
}

void Router::admit(HttpRequest& request) const {
  const Route* route = find(request).route;
  if (route) request.route = route->path;
  request.client = keys_.empty() ? anonymous_ : keys_.identify(request);
  if (needs_no_key(request, route)) return;
  if (!request.client) {
    throw ApiError(
        401,
        "this server wants an API key that it knows, as \"Authorization: Bearer KEY\" or "
        "\"x-api-key: KEY\"",
        "", "invalid_api_key");
  }
  if (!route) return;
  const Identity& client = *request.client;
  if (!client.scopes.contains(route->scope)) {
    const std::string scope(scope_name(route->scope));
    throw ApiError(
        403,
        keys_.empty() ? "on an address that others can reach, the server needs keys for this route "
                        "(--admin-api-key, --api-key-file)"
                      : "the key \"" + client.name + "\" lacks the scope " + scope,
        "", "insufficient_scope");
  }
  if (route->method != "POST" || route->scope != Scope::infer) return;
  try {
    limits_.take_request(client);
  } catch (const ApiError&) {
    const bool anthropic = route->path.starts_with("/v1/messages");
    for (HttpHeader& header : limits_.headers(client, anthropic)) {
      request.answer_headers.push_back(std::move(header));
    }
    throw;
  }
}

void Router::handle(std::shared_ptr<const HttpRequest> request,
                    std::shared_ptr<Reply> reply) const {
  Match found = find(*request);
  if (found.route) return found.route->handler({request, reply, std::move(found.rest)});
  if (found.allowed.empty()) {
    throw ApiError(404,
                   "there is nothing at " + sanitize_token(request->path(), 200) +
                       "; GET /routes lists what there is",
                   "", "unknown_url");
  }
  HttpResponse response;
  if (request->method == "OPTIONS") {
    response.status = 204;
  } else {
    response = error_response(
        ApiError(405, "the method " + sanitize_token(request->method, 20) + " is not allowed here",
                 "", "method_not_allowed"));
  }
  response.headers.push_back({"Allow", found.allowed + "OPTIONS"});
  reply->send(std::move(response));
}

}  // namespace dbrx
