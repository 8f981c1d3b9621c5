// Which handler answers which method and path, and to whom; 401, 404, 405, HEAD and OPTIONS follow
// from the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/api_keys.h"
#include "server/http.h"
#include "server/identity.h"
#include "server/rate_limits.h"

namespace dbrx {

struct Call {
  std::shared_ptr<const HttpRequest> request;
  std::shared_ptr<Reply> reply;
  std::string rest;  // what stands in the place of the path's {...}, decoded; may hold slashes
};

struct Route {
  std::string method;  // GET routes answer HEAD as well
  std::string path;    // exact, or with one {...}
  std::string about;   // one line for people
  std::function<void(const Call&)> handler;
  Scope scope = Scope::infer;  // what its callers' keys must have
  bool is_probe = false;       // it tells how the server is, even where all connections are taken
};

class Router {
 public:
  // Without keys everybody has the scopes infer and metrics, and admin who sends start_token as a
  // key; empty: nobody. limits outlives this.
  Router(std::vector<Route> routes, ApiKeys keys, const std::string& start_token,
         RateLimits& limits);

  // Looks at a request whose body has not been read, and sets its client and route. Throws
  // ApiError(401) without a key, whatever else there is to say, for paths that do not exist as
  // well; 403 when the key's scopes lack what the route wants; 429 when its client has asked the
  // models too often. OPTIONS needs no key: browsers ask so before they send one.
  void admit(HttpRequest& request) const;

  // Whether it needs no key: OPTIONS, and routes that say so.
  bool is_open(const HttpRequest& request) const;

  bool is_probe(const HttpRequest& request) const;

  // For requests that come from now on.
  void set_keys(ApiKeys keys) { keys_ = std::move(keys); }

  // Answers a request that was admitted. One slash at the end of a path makes no difference (MLflow
  // asks for lists so). Throws ApiError for unknown paths and what handlers throw.
  void handle(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Match {
    const Route* route = nullptr;  // null: none of that method
    std::string rest;              // as in Call
    std::string allowed;           // without a route: the path's methods, "GET, HEAD, "
  };
  Match find(const HttpRequest& request) const;
  std::shared_ptr<const Identity> identify(const HttpRequest& request) const;
  void require_scope(const HttpRequest& request, Scope scope) const;

  std::vector<Route> routes_;
  ApiKeys keys_;
  std::shared_ptr<const Identity> anonymous_;  // who comes to a server without keys
  ApiKeys start_token_;                        // of who started it
  RateLimits& limits_;
};

}  // namespace dbrx
