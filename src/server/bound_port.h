// A port of this machine, taken before anything slow happens: a second program that wants it learns
// so at once. Clients are refused until a server listens on it.
#pragma once

#include <cstdint>
#include <string>

namespace dbrx {

class BoundPort {
 public:
  // host: an address or name of this machine; port 0: any free one. Throws Error that says what to
  // do.
  BoundPort(const std::string& host, uint16_t port);
  ~BoundPort();
  BoundPort(const BoundPort&) = delete;
  BoundPort& operator=(const BoundPort&) = delete;

  uint16_t port() const { return port_; }
  bool is_v6() const { return is_v6_; }

  // The socket, which is the caller's from here on.
  int release();

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
  bool is_v6_ = false;
};

// What the user is told when the port is somebody else's.
[[noreturn]] void fail_port_in_use(const std::string& host, uint16_t port);

}  // namespace dbrx
