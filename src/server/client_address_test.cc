#include "server/client_address.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace dbrx {
namespace {

TrustedProxies trusted(const std::vector<std::string>& networks) {
  TrustedProxies proxies;
  for (const std::string& network : networks) proxies.add(network);
  return proxies;
}

std::string client_of(const TrustedProxies& proxies, const std::string& peer,
                      const std::vector<std::string>& forwarded) {
  HttpRequest request;
  request.peer = peer;
  request.headers.push_back({"Host", "x"});
  for (const std::string& value : forwarded) request.headers.push_back({"x-forwarded-for", value});
  return client_address(request, proxies);
}

TEST(ClientAddress, OnlyTrustedProxiesAreBelieved) {
  EXPECT_EQ(client_of({}, "10.0.0.1", {"1.2.3.4"}), "10.0.0.1");
  const TrustedProxies proxies = trusted({"10.0.0.0/9", "fd00::/8"});
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"1.2.3.4"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "10.127.255.255", {"1.2.3.4"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "10.128.0.0", {"1.2.3.4"}), "10.128.0.0");
  EXPECT_EQ(client_of(proxies, "::ffff:10.0.0.1", {"1.2.3.4"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "fd12::1", {"2001:db8::7"}), "2001:db8::7");
  EXPECT_EQ(client_of(proxies, "fe00::1", {"2001:db8::7"}), "fe00::1");
  EXPECT_EQ(client_of(proxies, "unknown", {"1.2.3.4"}), "unknown");
}

TEST(ClientAddress, TheClientIsTheLastThatIsNoTrustedProxy) {
  const TrustedProxies proxies = trusted({"10.0.0.1", "10.0.0.2"});
  // What stands left of an address that nobody vouches for may be forged.
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"6.6.6.6, 1.2.3.4, 10.0.0.2"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"6.6.6.6", "1.2.3.4", "10.0.0.2"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"10.0.0.2"}), "10.0.0.2");
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {}), "10.0.0.1");
  for (const char* no_address :
       {"", "unknown", "1.2.3.4, _hidden", "1.2.3.4,", "\x1b[31m", "1.2.3"})
    EXPECT_EQ(client_of(proxies, "10.0.0.1", {no_address}), "10.0.0.1") << no_address;
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"1.2.3.4:5678"}), "1.2.3.4");
  EXPECT_EQ(client_of(proxies, "10.0.0.1", {"[2001:DB8::7]:5678"}), "2001:db8::7");
  EXPECT_EQ(client_of(trusted({"*"}), "8.8.8.8", {"1.2.3.4, 5.6.7.8"}), "1.2.3.4");
}

TEST(ClientAddress, WhatIsNoNetworkIsRefused) {
  for (const char* text : {"", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129",
                           "10.0.0.0/8x", "10.0.0.1:80", "[::1]", "**"}) {
    EXPECT_THROW(trusted({text}), Error) << text;
  }
}

}  // namespace
}  // namespace dbrx
