// One socket, with TLS or without, as an AsyncStream of Asio's. Included by http*.cc only.
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "server/tls_files.h"

namespace dbrx {

// Reads the files of a server. Throws Error that names the one at fault.
std::shared_ptr<boost::asio::ssl::context> make_tls_context(const TlsFiles& files);

// As check_tls_files says it.
int64_t certificate_expiry(boost::asio::ssl::context& context);

class TlsStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;

  // context: null for a plain socket.
  TlsStream(Socket socket, std::shared_ptr<boost::asio::ssl::context> context)
      : socket_(std::move(socket)), context_(std::move(context)) {
    if (context_) tls_.emplace(socket_, *context_);
    boost::system::error_code ignored;  // of a socket that is gone already, which a read tells
    socket_.non_blocking(true, ignored);
  }

  Socket& socket() { return socket_; }
  executor_type get_executor() { return socket_.get_executor(); }
  bool is_tls() const { return tls_.has_value(); }

  // Only of TLS.
  template <typename Token>
  auto async_handshake(Token&& token) {
    return tls_->async_handshake(boost::asio::ssl::stream_base::server, std::forward<Token>(token));
  }
  template <typename Token>
  auto async_shutdown(Token&& token) {
    return tls_->async_shutdown(std::forward<Token>(token));
  }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Token>(token));
    return socket_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Token>(token));
    return socket_.async_write_some(buffers, std::forward<Token>(token));
  }

  // Writes what goes without waiting, and returns how much that was: nothing with TLS, whose
  // records cannot be begun and left.
  template <typename Buffers>
  size_t write_at_once(const Buffers& buffers, boost::system::error_code& ec) {
    if (tls_) return 0;
    const size_t n = socket_.write_some(buffers, ec);
    if (ec == boost::asio::error::would_block) ec = {};
    return n;
  }

 private:
  Socket socket_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;
};

}  // namespace dbrx
