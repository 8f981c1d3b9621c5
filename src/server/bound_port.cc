#include "server/bound_port.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>

#include "base/error.h"

namespace dbrx {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

tcp::endpoint resolve(asio::io_context& io, const std::string& host, uint16_t port) {
  error_code ec;
  auto address = asio::ip::make_address(host, ec);
  if (!ec) return {address, port};
  auto found = tcp::resolver(io).resolve(host, "", ec);
  if (ec || found.empty()) {
    throw Error(Code::invalid_argument, "--host " + host +
                                            " is neither an IP address nor a name that this "
                                            "machine can resolve");
  }
  return {found.begin()->endpoint().address(), port};
}

std::string place(const std::string& host, uint16_t port) {
  return "port " + std::to_string(port) + " on " + host;
}

}  // namespace

void fail_port_in_use(const std::string& host, uint16_t port) {
  throw Error(Code::unavailable, place(host, port) +
                                     " is in use by another program: stop that one, or choose "
                                     "another port with --port (0 takes any free one)");
}

BoundPort::BoundPort(const std::string& host, uint16_t port) {
  asio::io_context io;
  const tcp::endpoint endpoint = resolve(io, host, port);
  tcp::acceptor acceptor(io);
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (ec == asio::error::address_in_use) fail_port_in_use(host, port);
  if (ec == asio::error::access_denied) {
    throw Error(Code::invalid_argument, place(host, port) +
                                            " may not be opened by this user: choose a port "
                                            "above 1023 with --port");
  }
  if (ec) {
    throw Error(Code::invalid_argument, "can't listen on " + place(host, port) + ": " +
                                            ec.message() +
                                            "; --host must be an address of this machine");
  }
  port_ = acceptor.local_endpoint().port();
  is_v6_ = endpoint.protocol() == tcp::v6();
  fd_ = acceptor.release();
}

BoundPort::~BoundPort() {
  if (fd_ >= 0) ::close(fd_);
}

int BoundPort::release() { return std::exchange(fd_, -1); }

}  // namespace dbrx
