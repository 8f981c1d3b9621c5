#include "telemetry/http_post.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/system/system_error.hpp>
#include <future>
#include <thread>
#include <utility>

#include "base/error.h"

namespace dbrx {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

using Addresses = asio::ip::tcp::resolver::results_type;

// The system's resolver can't be told to stop: a thread is left to wait for a name server that is
// silent.
Addresses resolve(const std::string& host, const std::string& port,
                  std::chrono::steady_clock::time_point end) {
  std::packaged_task<Addresses()> task([host, port] {
    asio::io_context io;
    return asio::ip::tcp::resolver(io).resolve(host, port);
  });
  std::future<Addresses> addresses = task.get_future();
  std::thread(std::move(task)).detach();
  if (addresses.wait_until(end) != std::future_status::ready) {
    throw Error(Code::unavailable, "no name server tells the address of " + host + " in time");
  }
  return addresses.get();
}

asio::awaitable<int> post(Addresses addresses, std::string host, std::string port, std::string path,
                          std::string body, std::chrono::steady_clock::time_point end) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_at(end);
  co_await stream.async_connect(addresses, asio::use_awaitable);
  http::request<http::string_body> request(http::verb::post, path, 11);
  const bool is_v6 = host.find(':') != std::string::npos;
  request.set(http::field::host, (is_v6 ? "[" + host + "]" : host) + ":" + port);
  request.set(http::field::user_agent, "dbrx");
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() = std::move(body);
  request.prepare_payload();
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  co_await http::async_read(stream, buffer, response, asio::use_awaitable);
  co_return response.result_int();
}

}  // namespace

int http_post(const std::string& host, const std::string& port, const std::string& path,
              std::string body, std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  try {
    Addresses addresses = resolve(host, port, end);
    asio::io_context io(1);
    std::future<int> status = asio::co_spawn(
        io, post(std::move(addresses), host, port, path, std::move(body), end), asio::use_future);
    io.run();
    return status.get();
  } catch (const boost::system::system_error& error) {
    throw Error(Code::unavailable, error.code().message());
  }
}

}  // namespace dbrx
