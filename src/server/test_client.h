// A deliberately simple HTTP client for tests: blocking sockets, no policy, so that a test can also
// misbehave. Failures show as short answers, not as exceptions.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

namespace dbrx {

// So long a test waits for what must come, however busy the machine is: less than the server's own
// timeouts, since what comes by them alone would be a fault.
constexpr std::chrono::seconds kPatience{20};
constexpr int kPatienceMs = static_cast<int>(kPatience / std::chrono::milliseconds(1));

template <typename Condition>
bool becomes_true(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

struct TestAnswer {
  int status = 0;    // 0: the connection ended without one
  std::string head;  // in small letters
  std::string body;  // without chunk headers

  std::string header(const std::string& name) const {
    size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    at += name.size() + 4;
    return head.substr(at, head.find("\r\n", at) - at);
  }
};

class TestClient {
 public:
  // from: another address of this machine, "127.0.0.2", to be another peer.
  explicit TestClient(uint16_t port, int receive_buffer = 0, const char* from = "127.0.0.1") {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &own.sin_addr);
    ::bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof(own));
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  bool send(std::string_view data) {
    while (!data.empty()) {
      ssize_t n = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      data.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  void send_request(const std::string& method, const std::string& target,
                    const std::string& body = "", const std::string& headers = "") {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + headers;
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n";
    }
    send(text + "\r\n" + body);
  }

  // Reads one whole answer. head_only: to a HEAD request.
  TestAnswer read_answer(bool head_only = false) {
    TestAnswer answer;
    answer.head = read_until("\r\n\r\n");
    if (answer.head.size() < 12) return answer;
    answer.status = std::atoi(answer.head.c_str() + 9);
    for (char& c : answer.head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (head_only || answer.status == 204 || answer.status == 304 || answer.status == 100)
      return answer;
    if (answer.header("transfer-encoding") == "chunked") {
      while (true) {
        size_t size = std::strtoul(read_until("\r\n").c_str(), nullptr, 16);
        std::string chunk = read_bytes(size + 2);
        if (size == 0 || chunk.size() < size + 2) break;
        answer.body += chunk.substr(0, size);
      }
    } else if (!answer.header("content-length").empty()) {
      answer.body = read_bytes(std::stoul(answer.header("content-length")));
    } else {
      answer.body = read_until("");
    }
    return answer;
  }

  // Up to and with the marker; to the end of the connection when the marker is empty.
  std::string read_until(const std::string& marker) {
    while (true) {
      size_t at = marker.empty() ? std::string::npos : buffer_.find(marker);
      if (at != std::string::npos) return take(at + marker.size());
      if (!fill()) return take(buffer_.size());
    }
  }

  std::string read_bytes(size_t n) {
    while (buffer_.size() < n && fill()) {
    }
    return take(std::min(n, buffer_.size()));
  }

  // True when the server closes its side before anything else comes.
  bool is_closed() {
    pollfd poller{fd_, POLLIN, 0};
    while (buffer_.empty()) {
      if (::poll(&poller, 1, kPatienceMs) <= 0) return false;
      if (!fill()) return true;
    }
    return false;
  }

  // Whether some of an answer has come.
  bool has_answer() {
    pollfd poller{fd_, POLLIN, 0};
    return !buffer_.empty() || ::poll(&poller, 1, 0) > 0;
  }

 private:
  bool fill() {
    char bytes[16384];
    pollfd poller{fd_, POLLIN, 0};
    if (::poll(&poller, 1, kPatienceMs) <= 0) return false;  // a test must not hang
    ssize_t n = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(n));
    return true;
  }

  std::string take(size_t n) {
    std::string out = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return out;
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace dbrx
