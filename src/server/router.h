// Which handler answers which method and path; 404, 405, HEAD and OPTIONS follow from the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

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
};

class Router {
 public:
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  // One slash at the end of a path makes no difference (MLflow asks for lists so). Throws ApiError
  // for unknown paths and what handlers throw.
  void handle(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace dbrx
