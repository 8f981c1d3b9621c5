// With keys, every route wants one, except those that only say whether the server is well.
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

#include "base/error.h"
#include "server/fake_server.h"

namespace dbrx {
namespace {

constexpr const char* kRight = "Authorization: Bearer right-key\r\n";

FakeServer::Setup with_keys() {
  FakeServer::Setup setup;
  setup.server.keys.add("other-key");
  setup.server.keys.add("right-key");
  return setup;
}

TestAnswer ask(FakeServer& server, const std::string& method, const std::string& path,
               const std::string& headers) {
  TestClient client(server.port);
  client.send_request(method, path, method == "POST" ? "{}" : "", headers);
  return client.read_answer(method == "HEAD");
}

TEST(ApiKeys, EveryRouteWantsOneButHealthAndPing) {
  FakeServer server(with_keys());
  std::istringstream index(ask(server, "GET", "/", kRight).body);
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
  EXPECT_EQ(open, (std::set<std::string>{"/health", "/ping"}));
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
  EXPECT_THROW(keys.add(""), Error);
  EXPECT_THROW(keys.add("two words"), Error);
  EXPECT_THROW(keys.add("line\n"), Error);
  EXPECT_TRUE(keys.empty());
}

}  // namespace
}  // namespace dbrx
