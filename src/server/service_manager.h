// Tells systemd, or another who speaks its protocol (sd_notify(3)), how the server is: one datagram
// each to the socket that NOTIFY_SOCKET names.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <memory>
#include <string>

namespace dbrx {

class ServiceManager {
 public:
  // socket: a path, or @ and an abstract name; empty: nobody listens. watchdog: so long the manager
  // waits for the next WATCHDOG=1 before it restarts the server; 0: it does not. Throws Error for
  // a name that no socket can have.
  ServiceManager(const std::string& socket, std::chrono::microseconds watchdog);
  // As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say.
  static std::shared_ptr<const ServiceManager> from_environment();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  std::chrono::microseconds watchdog() const { return watchdog_; }

  // "READY=1", "STATUS=...", several in lines. Never waits; who does not listen misses it.
  void tell(const std::string& lines) const;
  // The server is well. To be called about once a second.
  void feed_watchdog() const {
    if (watchdog_.count() > 0) tell("WATCHDOG=1");
  }

 private:
  sockaddr_un address_ = {};
  socklen_t address_size_ = 0;
  int fd_ = -1;  // opened at the start, so that it is there when there are no more descriptors
  std::chrono::microseconds watchdog_;
};

}  // namespace dbrx
