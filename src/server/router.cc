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

// The field by which a proxy says that it passes somebody else's request on; empty: there is none.
std::string field_of_proxy(const HttpRequest& request) {
  constexpr std::string_view kFamily = "x-forwarded-";
  for (const HttpHeader& header : request.headers) {
    const std::string_view name = header.name;
    if (equals_ignoring_case(name, "forwarded") || equals_ignoring_case(name, "via") ||
        equals_ignoring_case(name, "x-real-ip") ||
        equals_ignoring_case(name.substr(0, kFamily.size()), kFamily)) {
      return header.name;
    }
  }
  return "";
}

ApiError lacks_scope(const std::string& message) {
  return ApiError(403, message, "", "insufficient_scope");
}

}  // namespace

Router::Router(std::vector<Route> routes, ApiKeys keys, const std::string& start_token,
               RateLimits& limits)
    : routes_(std::move(routes)), keys_(std::move(keys)), limits_(limits) {
  Identity identity;
  identity.scopes = {Scope::infer, Scope::metrics};
  anonymous_ = std::make_shared<const Identity>(identity);
  identity.scopes.insert(Scope::admin);
  if (!start_token.empty()) start_token_.add(start_token, std::move(identity));
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

std::shared_ptr<const Identity> Router::identify(const HttpRequest& request) const {
  if (!keys_.empty()) return keys_.identify(request);
  const std::shared_ptr<const Identity> owner = start_token_.identify(request);
  return owner ? owner : anonymous_;
}

// An address says nothing of who asks: behind a proxy on this machine, all come from here.
void Router::require_scope(const HttpRequest& request, Scope scope) const {
  const Identity& client = *request.client;
  const bool has_scope = client.scopes.contains(scope);
  if (!keys_.empty()) {
    if (has_scope) return;
    throw lacks_scope("the key \"" + client.name + "\" lacks the scope " +
                      std::string(scope_name(scope)));
  }
  const std::string field = scope == Scope::admin ? field_of_proxy(request) : "";
  if (!field.empty()) {
    throw lacks_scope("this came through a proxy (" + sanitize_token(field, 40) +
                      "): for that, the server needs keys (--admin-api-key, --api-key-file)");
  }
  if (has_scope) return;
  throw lacks_scope(
      "this is shown to who started the server: open the page by the address that the server "
      "printed then, which ends with #token=..., or send that token as the key");
}

bool Router::is_probe(const HttpRequest& request) const {
  const Route* route = find(request).route;
  return route && route->is_probe;
}

void Router::admit(HttpRequest& request) const {
  const Route* route = find(request).route;
  if (route) request.route = route->path;
  request.client = identify(request);
  if (needs_no_key(request, route)) return;
  if (!request.client) {
    throw ApiError(
        401,
        "this server wants an API key that it knows, as \"Authorization: Bearer KEY\" or "
        "\"x-api-key: KEY\"",
        "", "invalid_api_key");
  }
  if (!route) return;
  require_scope(request, route->scope);
  const Identity& client = *request.client;
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
  if (request->method == "OPTIONS" && request->target == "*") {
    HttpResponse response;
    response.status = 204;
    response.headers = {{"Allow", "GET, HEAD, POST, DELETE, OPTIONS"}};
    return reply->send(std::move(response));
  }
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
