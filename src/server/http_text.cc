#include "server/http_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>
#include <random>

#include "server/api_error.h"
#include "text/utf8.h"

namespace dbrx {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) out.push_back(c);
  }
  out.append("\r\n");
}

std::string http_date() {
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 40> text;
  size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text.data(), size);
}

bool is_token_char(char c) { return c > 0x20 && c < 0x7f && c != ',' && c != '"' && c != '\\'; }

}  // namespace

std::string_view HttpRequest::path() const {
  std::string_view text = target;
  return text.substr(0, text.find('?'));
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (equals_ignoring_case(header.name, name)) return header.value;
  }
  return {};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

std::string render_head(const HttpResponse& response, const HeadStyle& style) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason_phrase(response.status)).append("\r\n");
  append_field(out, "Date", http_date());
  for (const HttpHeader& header : response.headers) append_field(out, header.name, header.value);
  if (!style.request_id.empty()) append_field(out, "x-request-id", style.request_id);
  if (style.body == BodyKind::sized) {
    append_field(out, "Content-Length", std::to_string(response.body.size()));
  } else if (style.body == BodyKind::chunked) {
    append_field(out, "Transfer-Encoding", "chunked");
  }
  if (style.close) append_field(out, "Connection", "close");
  out.append("\r\n");
  return out;
}

void append_chunk(std::string& out, std::string_view data) {
  if (data.empty()) return;  // an empty chunk would end the body
  std::array<char, 16> digits;
  auto [end, ec] = std::to_chars(digits.data(), digits.data() + digits.size(), data.size(), 16);
  out.reserve(out.size() + data.size() + 32);  // where memory ends, no half chunk must stay
  out.append(digits.data(), end).append("\r\n").append(data).append("\r\n");
}

std::string sanitize_token(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  for (char& c : out) {
    if (!is_token_char(c)) c = '?';
  }
  return out;
}

std::string choose_request_id(std::string_view from_client) {
  bool usable = !from_client.empty() && from_client.size() <= 128 &&
                std::all_of(from_client.begin(), from_client.end(), is_token_char);
  return usable ? std::string(from_client) : "req_" + random_hex(24);
}

std::string random_hex(int n) {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  std::string out;
  while (n > 0) {
    uint64_t bits = random();
    for (int i = 0; i < 16 && n > 0; ++i, --n, bits >>= 4)
      out.push_back("0123456789abcdef"[bits & 15]);
  }
  return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

bool is_loopback_name(std::string_view host) {
  if (equals_ignoring_case(host, "localhost") || host == "::1" || host == "[::1]") return true;
  constexpr std::string_view kDigitsAndDots = "0123456789.";
  return host.starts_with("127.") &&
         host.find_first_not_of(kDigitsAndDots) == std::string_view::npos;
}

std::map<std::string, std::string> parse_query(std::string_view target,
                                               std::initializer_list<std::string_view> known) {
  std::map<std::string, std::string> values;
  const size_t mark = target.find('?');
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    std::string part(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty()) continue;
    std::replace(part.begin(), part.end(), '+', ' ');  // as forms write spaces
    const size_t equals = std::min(part.find('='), part.size());
    const std::string name = part.substr(0, equals);
    const auto value = percent_decode(part.substr(std::min(equals + 1, part.size())));
    if (!value || std::find(known.begin(), known.end(), name) == known.end()) {
      throw ApiError(400,
                     "the query has " + sanitize_token(part, 64) + ", which is not understood here",
                     sanitize_token(name, 64), "unknown_parameter");
    }
    values[name] = *value;
  }
  return values;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    unsigned byte = 0;  // unsigned: no sign is accepted
    auto [end, ec] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (ec != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    i += 2;
  }
  if (!is_utf8(out)) return std::nullopt;  // answers and records that repeat it are JSON
  return out;
}

}  // namespace dbrx
