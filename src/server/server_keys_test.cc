// With keys, every route wants one, except those that only say whether the server is well.
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "base/error.h"
#include "server/api_error.h"
#include "server/fake_server.h"
#include "server/http_text.h"
#include "server/router.h"

namespace dbrx {
namespace {

constexpr const char* kRight = "Authorization: Bearer right-key\r\n";

const std::set<Scope> kAllScopes = {Scope::infer, Scope::metrics, Scope::admin};

Identity client(const std::string& name, std::set<Scope> scopes) {
  Identity identity;
  identity.name = name;
  identity.scopes = std::move(scopes);
  return identity;
}

FakeServer::Setup with_keys() {
  FakeServer::Setup setup;
  setup.server.keys.add("other-key", client("other", {Scope::infer}));
  setup.server.keys.add("right-key", client("right", kAllScopes));
  return setup;
}

TestAnswer ask(FakeServer& server, const std::string& method, const std::string& path,
               const std::string& headers) {
  TestClient client(server.port);
  client.send_request(method, path, method == "POST" ? "{}" : "", headers);
  return client.read_answer(method == "HEAD");
}

TEST(ApiKeys, EveryRouteWantsOneButHealthAndTheIndex) {
  FakeServer server(with_keys());
  std::istringstream index(ask(server, "GET", "/routes", kRight).body);
  std::string line;
  std::getline(index, line);
  std::getline(index, line);
  std::set<std::string> open;
  int n_routes = 0;
  while (std::getline(index, line)) {
    std::istringstream words(line);
    std::string method;
    std::string path;
    words >> method >> path;
    const int status = ask(server, method, path, "").status;
    EXPECT_NE(status, 0) << line;
    if (status != 401) open.insert(path);
    EXPECT_NE(ask(server, method, path, kRight).status, 401) << line;
    ++n_routes;
  }
  EXPECT_GT(n_routes, 12);
  EXPECT_EQ(open, (std::set<std::string>{"/health", "/livez", "/ping", "/readyz", "/routes",
                                         "/v1/health/live", "/v1/health/ready"}));
  EXPECT_EQ(ask(server, "GET", "/nothing-here", "").status, 401);
  EXPECT_EQ(ask(server, "DELETE", "/v1/models", "").status, 401);
  EXPECT_EQ(ask(server, "HEAD", "/v1/models", "").status, 401);
  EXPECT_EQ(ask(server, "OPTIONS", "/v1/models", "").status, 204);
}

TEST(ApiKeys, BearerAndXApiKeyAreTheSame) {
  FakeServer server(with_keys());
  const auto status = [&](const std::string& headers) {
    return ask(server, "GET", "/v1/models", headers).status;
  };
  EXPECT_EQ(status(kRight), 200);
  EXPECT_EQ(status("authorization: bearer  other-key\r\n"), 200);
  EXPECT_EQ(status("X-Api-Key: right-key\r\n"), 200);
  EXPECT_EQ(status("x-api-key: other-key\r\nAuthorization: Bearer wrong\r\n"), 200);
  EXPECT_EQ(status("Authorization: right-key\r\n"), 401);
  EXPECT_EQ(status("Authorization: Basic right-key\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer right-ke\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer right-keys\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer\r\n"), 401);
  EXPECT_EQ(status("x-api-key: \r\n"), 401);
}

TEST(ApiKeys, ARequestIsRefusedBeforeItsBodyIsRead) {
  FakeServer server(with_keys());
  TestClient client(server.port);
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n");
  const TestAnswer refused = client.read_answer();
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.header("connection"), "close");
}

TEST(ApiKeys, WhatNeedsNoKeyReadsNoBody) {
  FakeServer server(with_keys());
  for (const char* what : {"GET /health", "HEAD /livez", "GET /routes", "OPTIONS /v1/models"}) {
    for (const char* body : {"Content-Length: 5000", "Transfer-Encoding: chunked"}) {
      TestClient client(server.port);
      client.send(std::string(what) + " HTTP/1.1\r\nHost: t\r\n" + body + "\r\n\r\n");
      const TestAnswer refused = client.read_answer(/*head_only=*/true);
      EXPECT_EQ(refused.status, 413) << what;
      EXPECT_EQ(refused.header("connection"), "close") << what;
    }
  }
  TestClient client(server.port);
  client.send("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST(ApiKeys, WithoutABodyTheConnectionLivesOn) {
  FakeServer server(with_keys());
  TestClient client(server.port);
  client.send_request("GET", "/v1/models");
  EXPECT_EQ(client.read_answer().status, 401);
  client.send_request("GET", "/v1/models", "", kRight);
  EXPECT_EQ(client.read_answer().status, 200);
}

Router three_routes(ApiKeys keys) {
  static RateLimits no_limits;
  const auto handler = [](const Call&) {};
  return Router({{"GET", "/numbers", "", handler, Scope::metrics},
                 {"GET", "/requests", "", handler, Scope::admin},
                 {"POST", "/ask", "", handler}},
                std::move(keys), "start-token", no_limits);
}

// 0: admitted, and as whom.
std::pair<int, std::string> admit(const Router& router, const std::string& method,
                                  const std::string& path, const std::string& key,
                                  const HttpHeader& more = {"Accept", "*/*"}) {
  HttpRequest request;
  request.method = method;
  request.target = path;
  request.headers = {{"x-api-key", key}, more};
  try {
    router.admit(request);
  } catch (const ApiError& error) {
    return {error.status, error.code};
  }
  return {0, request.client->name};
}

TEST(ApiKeys, AKeyMayOnlyWhatItsScopesSay) {
  ApiKeys keys;
  keys.add("a-key", client("asker", {Scope::infer}));
  keys.add("w-key", client("watcher", {Scope::metrics}));
  keys.add("o-key", client("owner", kAllScopes));
  const Router router = three_routes(keys);
  using Result = std::pair<int, std::string>;
  const Result lacks = {403, "insufficient_scope"};
  EXPECT_EQ(admit(router, "POST", "/ask", "a-key"), Result(0, "asker"));
  EXPECT_EQ(admit(router, "GET", "/numbers", "a-key"), lacks);
  EXPECT_EQ(admit(router, "HEAD", "/numbers/", "a-key"), lacks);
  EXPECT_EQ(admit(router, "GET", "/numbers", "w-key"), Result(0, "watcher"));
  EXPECT_EQ(admit(router, "POST", "/ask", "w-key"), lacks);
  EXPECT_EQ(admit(router, "GET", "/requests", "w-key"), lacks);
  EXPECT_EQ(admit(router, "GET", "/requests", "o-key"), Result(0, "owner"));
  EXPECT_EQ(admit(router, "GET", "/requests", "x-key"), Result(401, "invalid_api_key"));
  EXPECT_EQ(admit(router, "GET", "/requests", "start-token"), Result(401, "invalid_api_key"));
  EXPECT_EQ(admit(router, "GET", "/requests", "o-key", {"Via", "1.1 proxy"}), Result(0, "owner"));
}

TEST(ApiKeys, OnlyNamesThatNoNameServerDecidesAreThisMachine) {
  for (const char* own : {"localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"}) {
    EXPECT_TRUE(is_loopback_name(own)) << own;
  }
  for (const char* other : {"127.evil.example", "127.0.0.1.evil.example", "localhost.example", "",
                            "0.0.0.0", "10.127.0.1", "::"}) {
    EXPECT_FALSE(is_loopback_name(other)) << other;
  }
}

TEST(ApiKeys, WithoutKeysWhatOthersAskedIsForWhoHasTheStartToken) {
  const Router open = three_routes({});
  using Result = std::pair<int, std::string>;
  const Result lacks = {403, "insufficient_scope"};
  EXPECT_EQ(admit(open, "POST", "/ask", ""), Result(0, ""));
  EXPECT_EQ(admit(open, "GET", "/numbers", "any"), Result(0, ""));
  EXPECT_EQ(admit(open, "GET", "/requests", ""), lacks);
  EXPECT_EQ(admit(open, "GET", "/requests", "any"), lacks);
  EXPECT_EQ(admit(open, "GET", "/requests", "start-token"), Result(0, ""));
}

TEST(ApiKeys, WithoutKeysWhatOthersAskedIsNotForWhoComesThroughAProxy) {
  const Router open = three_routes({});
  using Result = std::pair<int, std::string>;
  for (const char* field : {"Forwarded", "VIA", "X-Real-IP", "x-forwarded-for", "X-Forwarded-Proto",
                            "X-Forwarded-Host", "X-Forwarded-Client-Cert"}) {
    EXPECT_EQ(admit(open, "GET", "/requests", "start-token", {field, "203.0.113.9"}),
              Result(403, "insufficient_scope"))
        << field;
    EXPECT_EQ(admit(open, "POST", "/ask", "", {field, "203.0.113.9"}), Result(0, "")) << field;
  }
}

TEST(ApiKeys, MadeKeysAreLongAndNeverTheSame) {
  const std::string key = make_key();
  EXPECT_EQ(key.size(), 48u);
  EXPECT_EQ(key.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(key, make_key());
}

TEST(ApiKeys, TheRefusalHasEveryDialectsForm) {
  FakeServer server(with_keys());
  const TestAnswer refused = server.chat("{}");
  EXPECT_EQ(refused.status, 401);
  const auto body = boost::json::parse(refused.body).as_object();
  EXPECT_EQ(body.at("error_code"), "UNAUTHENTICATED");
  EXPECT_EQ(body.at("error").at("type"), "authentication_error");
  EXPECT_EQ(body.at("error").at("code"), "invalid_api_key");
  EXPECT_EQ(refused.header("www-authenticate"), "bearer");
}

TEST(ApiKeys, AKeyThatNoHeaderCarriesIsRefused) {
  ApiKeys keys;
  EXPECT_THROW(keys.add("", client("name", {Scope::infer})), Error);
  EXPECT_THROW(keys.add("two words", client("name", {Scope::infer})), Error);
  EXPECT_THROW(keys.add("line\n", client("name", {Scope::infer})), Error);
  EXPECT_TRUE(keys.empty());
}

}  // namespace
}  // namespace dbrx
