#include "server/service_manager.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace dbrx {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int64_t number(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

ServiceManager::ServiceManager(const std::string& socket, std::chrono::microseconds watchdog)
    : watchdog_(watchdog) {
  if (socket.empty()) return;
  const bool valid = socket.size() > 1 && (socket[0] == '/' || socket[0] == '@') &&
                     socket.size() < sizeof(address_.sun_path);
  if (!valid) {
    throw Error(Code::invalid_argument,
                "NOTIFY_SOCKET is " + socket + ": expected the path of a socket, or @ and a name");
  }
  address_.sun_family = AF_UNIX;
  std::copy(socket.begin(), socket.end(), address_.sun_path);
  if (socket[0] == '@') address_.sun_path[0] = '\0';  // abstract
  address_size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

std::shared_ptr<const ServiceManager> ServiceManager::from_environment() {
  const std::string_view pid = variable("WATCHDOG_PID");  // of another process: not meant for us
  const bool watched = pid.empty() || number(pid) == getpid();
  return std::make_shared<ServiceManager>(
      std::string(variable("NOTIFY_SOCKET")),
      std::chrono::microseconds(watched ? number(variable("WATCHDOG_USEC")) : 0));
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::tell(const std::string& lines) const {
  if (fd_ < 0) return;
  sendto(fd_, lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
         reinterpret_cast<const sockaddr*>(&address_), address_size_);
}

}  // namespace dbrx
