// Which handler answers which method and path, and to whom; 401, 404, 405, HEAD and OPTIONS follow
// from the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/api_keys.h"
#include "server/http.h"

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
  bool is_public = false;  // needs no key: says nothing but whether the server is well
};

class Router {
 public:
  Router(std::vector<Route> routes, ApiKeys keys)
      : routes_(std::move(routes)), keys_(std::move(keys)) {}

  // What needs a key is refused without one, whatever else there is to say, paths that do not exist
  // as well.
  // OPTIONS needs none: browsers ask so before they send one.
  // One slash at the end of a path makes no difference (MLflow asks for lists so). Throws ApiError
  // for unknown paths and what handlers throw.
  void handle(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  ApiKeys keys_;
};

}  // namespace dbrx
