#include "server/page.h"

#include <gtest/gtest.h>

#include <string>

#include "server/fake_server.h"

namespace dbrx {
namespace {

constexpr PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", "0a1b", "<!doctype html>", "packed index"},
    {"/assets/main-5f.js", "text/javascript", "5f00", "let x", "packed script"},
};

FakeServer::Setup with_page() {
  FakeServer::Setup setup;
  setup.server.page = kFiles;
  return setup;
}

TestAnswer get(FakeServer& server, const std::string& path, const std::string& headers = "") {
  TestClient client(server.port);
  client.send_request("GET", path, "", headers);
  return client.read_answer();
}

TEST(Page, ComesAsItIsOrPackedAsTheClientReadsIt) {
  FakeServer server(with_page());
  const TestAnswer plain = get(server, "/");
  EXPECT_EQ(plain.status, 200);
  EXPECT_EQ(plain.body, "<!doctype html>");
  EXPECT_EQ(plain.header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(plain.header("content-encoding"), "");
  EXPECT_EQ(plain.header("vary"), "accept-encoding");
  const auto encoding_of = [&](const std::string& accepted) {
    const TestAnswer answer = get(server, "/", "Accept-Encoding: " + accepted + "\r\n");
    EXPECT_EQ(answer.body,
              answer.header("content-encoding") == "gzip" ? "packed index" : "<!doctype html>");
    return answer.header("content-encoding");
  };
  EXPECT_EQ(encoding_of("gzip, deflate, br"), "gzip");
  EXPECT_EQ(encoding_of("br;q=1.0, GZIP;q=0.5"), "gzip");
  EXPECT_EQ(encoding_of("gzip;q=0.05"), "gzip");
  EXPECT_EQ(encoding_of("gzip;q=0"), "");
  EXPECT_EQ(encoding_of("gzip; q=0.000, br"), "");
  EXPECT_EQ(encoding_of("br"), "");
}

TEST(Page, IsAskedForAgainOnlyWhereItCanChange) {
  FakeServer server(with_page());
  const TestAnswer index = get(server, "/");
  EXPECT_EQ(index.header("cache-control"), "no-cache");
  const TestAnswer script = get(server, "/assets/main-5f.js");
  EXPECT_EQ(script.header("cache-control"), "public, max-age=31536000, immutable");
  const std::string known = "If-None-Match: " + index.header("etag") + "\r\n";
  const TestAnswer again = get(server, "/", known);
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(again.header("etag"), index.header("etag"));
  EXPECT_EQ(get(server, "/", known + "Accept-Encoding: gzip\r\n").status, 200);
  EXPECT_EQ(get(server, "/assets/main-5f.js", known).status, 200);
}

TEST(Page, TellsTheBrowserToTrustNothingElse) {
  FakeServer server(with_page());
  for (const std::string path : {"/", "/assets/main-5f.js"}) {
    const TestAnswer answer = get(server, path);
    EXPECT_TRUE(answer.header("content-security-policy").starts_with("default-src 'self'; "));
    EXPECT_EQ(answer.header("content-security-policy").find("unsafe"), std::string::npos);
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("referrer-policy"), "no-referrer");
  }
}

TEST(Page, NeedsNoKeyAndIsNotThereWithoutFiles) {
  FakeServer::Setup setup = with_page();
  setup.server.keys.add("right-key", Identity());
  FakeServer locked(setup);
  EXPECT_EQ(get(locked, "/").status, 200);
  EXPECT_EQ(get(locked, "/assets/main-5f.js").status, 200);
  EXPECT_EQ(get(locked, "/assets/other.js").status, 404);
  EXPECT_EQ(get(locked, "/version").status, 401);
  FakeServer bare;
  EXPECT_EQ(get(bare, "/").status, 404);
  EXPECT_EQ(get(bare, "/assets/main-5f.js").status, 404);
}

}  // namespace
}  // namespace dbrx
