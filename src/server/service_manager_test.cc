#include "server/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "server/fake_server.h"

namespace dbrx {
namespace {

// Listens as systemd does.
class Manager {
 public:
  explicit Manager(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    const timeval patience = {.tv_sec = kPatience.count(), .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~Manager() { close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next message; empty when none comes.
  std::string next() {
    std::array<char, 4096> text;
    const ssize_t n = recv(fd_, text.data(), text.size(), 0);
    return {text.data(), static_cast<size_t>(std::max<ssize_t>(n, 0))};
  }
  // All up to the wanted one, without that; the last is empty when it does not come.
  std::vector<std::string> until(const std::string& wanted) {
    std::vector<std::string> before;
    for (std::string message = next(); message != wanted; message = next()) {
      before.push_back(message);
      if (message.empty()) break;
    }
    return before;
  }

 private:
  int fd_ = socket(AF_UNIX, SOCK_DGRAM, 0);
};

TEST(ServiceManager, AStalledEngineDoesNotFeedTheWatchdog) {
  using Messages = std::vector<std::string>;
  TemporaryFolder dir;
  const std::string path = (dir.path() / "notify").string();
  Manager manager(path);
  FakeServer::Setup setup;
  setup.server.service = std::make_shared<ServiceManager>(path, std::chrono::seconds(60));
  setup.server.stall_timeout = std::chrono::milliseconds(50);
  FakeServer server(std::move(setup));
  EXPECT_EQ(manager.next(), "READY=1\nSTATUS=serving");
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  server.hang = true;
  TestClient client(server.port);
  client.send_request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 1})");
  const Messages before = manager.until("STATUS=the engine is stalled");
  EXPECT_EQ(std::count(before.begin(), before.end(), ""), 0);
  EXPECT_TRUE(becomes_true([&] { return server.get("/livez").status == 503; }));
  server.hang = false;
  EXPECT_EQ(manager.until("STATUS=serving"), Messages());
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  server.stop(true);
  const Messages at_end = manager.until("STOPPING=1\nSTATUS=finishing requests");
  EXPECT_EQ(std::count(at_end.begin(), at_end.end(), ""), 0);
}

TEST(ServiceManager, RefusesWhatIsNoSocketsName) {
  for (const std::string& name :
       {std::string("relative"), std::string("@"), std::string(200, '/')}) {
    EXPECT_THROW(ServiceManager(name, {}), Error) << name;
  }
  ServiceManager("/nobody/listens", {}).tell("READY=1");
  ServiceManager("", {}).tell("READY=1");
}

}  // namespace
}  // namespace dbrx
