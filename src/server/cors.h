// Which pages of other sites may use the server from a browser (CORS).
#pragma once

#include <set>
#include <string>

#include "server/http.h"

namespace dbrx {

class AllowedOrigins {
 public:
  // "https://chat.example.com", or "*" for all. Throws Error for what is neither.
  void add(const std::string& origin);

  // Adds to request.answer_headers what a browser wants to see before it lets a page of an allowed
  // origin read the answer, and, of OPTIONS, before it sends the request at all.
  void add_headers(HttpRequest& request) const;

 private:
  std::set<std::string> origins_;
};

}  // namespace dbrx
