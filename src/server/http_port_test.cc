// Two servers that want one port.
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "server/http.h"

namespace dbrx {
namespace {

TEST(Http, SaysWhichPortIsInUseAndWhatToDo) {
  HttpOptions options;
  options.port = 0;
  options.handle_signals = false;
  HttpServer first(options, {});
  options.port = first.bind();
  HttpServer second(options, {});
  try {
    second.bind();
    FAIL() << "bound twice";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(std::to_string(options.port)), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("--port"), std::string::npos);
  }
  options.host = "192.0.2.1";  // an address that no machine has
  EXPECT_THROW(HttpServer(options, {}).bind(), Error);
}

}  // namespace
}  // namespace dbrx
