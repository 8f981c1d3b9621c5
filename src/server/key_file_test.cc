#include "server/key_file.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/temporary_folder.h"

namespace dbrx {
namespace {

ApiKeys read(const std::string& text) {
  TemporaryFolder dir;
  dir.write("keys.json", text);
  ApiKeys keys;
  add_key_file((dir.path() / "keys.json").string(), keys);
  return keys;
}

// What is wrong with a file, without its folder.
std::string complaint(const std::string& text) {
  try {
    read(text);
  } catch (const Error& error) {
    const std::string what = error.what();
    return what.substr(what.find("keys.json") + 9);
  }
  return "accepted";
}

std::shared_ptr<const Identity> owner(const ApiKeys& keys, const std::string& key) {
  HttpRequest request;
  request.headers = {{"x-api-key", key}};
  return keys.identify(request);
}

TEST(KeyFile, HasNamesScopesAndLimits) {
  const ApiKeys keys = read(R"({"keys": [
      {"name": "alice", "key": ["old", "new"], "requests_per_minute": 60,
       "input_tokens_per_minute": 1000, "output_tokens_per_minute": 200, "weight": 2.5},
      {"name": "bob", "scopes": ["metrics", "admin"],
       "sha256": "2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE"}]})");
  const auto alice = owner(keys, "new");
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->id, owner(keys, "old")->id);
  EXPECT_EQ(alice->scopes, std::set<Scope>{Scope::infer});
  EXPECT_EQ(alice->limits,
            (ClientLimits{.requests = 60, .input_tokens = 1000, .output_tokens = 200}));
  EXPECT_EQ(alice->weight, 2.5F);
  const auto bob = owner(keys, "foo");  // whose SHA-256 is in the file
  ASSERT_TRUE(bob);
  EXPECT_EQ(bob->scopes, (std::set<Scope>{Scope::metrics, Scope::admin}));
  EXPECT_EQ(bob->limits, ClientLimits());
  EXPECT_NE(bob->id, alice->id);
  EXPECT_FALSE(owner(keys, "bar"));
}

TEST(KeyFile, SaysWhatIsWrongWithWhichEntryAndRepeatsNoKey) {
  const auto entry = [](const std::string& fields) {
    return complaint(R"({"keys": [{"name": "a", "key": "secret-1"}, {)" + fields + "}]}");
  };
  EXPECT_TRUE(complaint("{").starts_with(": not valid JSON"));
  EXPECT_TRUE(complaint("[]").starts_with(": expected a JSON object"));
  EXPECT_TRUE(complaint(R"({"key": []})").starts_with(": must be an object {\"keys\""));
  EXPECT_TRUE(complaint(R"({"keys": []})").starts_with(": has no key"));
  EXPECT_TRUE(entry("").starts_with(": keys[1]: needs a name"));
  EXPECT_TRUE(entry(R"("name": "b")").starts_with(": keys[1]: needs a key"));
  EXPECT_TRUE(
      entry(R"("name": "a", "key": "k")").starts_with(": keys[1]: the name \"a\" is taken"));
  EXPECT_TRUE(entry(R"("name": "b", "key": "k", "scope": "infer")")
                  .starts_with(": keys[1].scope: is no field"));
  EXPECT_TRUE(entry(R"("name": "b", "key": "k", "scopes": ["all"])")
                  .starts_with(": keys[1].scopes: must be of infer"));
  EXPECT_TRUE(entry(R"("name": "b", "key": "k", "requests_per_minute": 0)")
                  .starts_with(": keys[1].requests_per_minute: must be an integer"));
  EXPECT_TRUE(
      entry(R"("name": "b", "key": "k", "weight": -1)").starts_with(": keys[1].weight: must be"));
  EXPECT_TRUE(entry(R"("name": "b", "sha256": "12")").starts_with(": keys[1].sha256: must be"));
  const std::string unset = entry(  // what `printf %s "$UNSET" | sha256sum` gives
      R"("name": "b", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")");
  EXPECT_TRUE(unset.starts_with(": keys[1]: the SHA-256 of \"b\" is that of an empty key"))
      << unset;
  const std::string twice = entry(R"("name": "b", "key": "secret-1")");
  EXPECT_TRUE(twice.starts_with(": keys[1]: the API key of \"b\" is there twice")) << twice;
  EXPECT_EQ(twice.find("secret"), std::string::npos);
  EXPECT_TRUE(entry(R"("name": "b", "key": "two words")").starts_with(": keys[1]: an API key"));
}

}  // namespace
}  // namespace dbrx
