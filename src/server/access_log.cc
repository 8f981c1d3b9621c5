#include "server/access_log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <memory>
#include <mutex>
#include <utility>

#include "server/http_text.h"
#include "server/identity.h"
#include "server/log_writer.h"
#include "text/utf8.h"

namespace dbrx {
namespace json = boost::json;
namespace {

// The logger whose messages are members of a JSON object already.
constexpr const char* kAccessLogger = "access";

json::string json_text(spdlog::string_view_t text) {
  return json::string(json::string_view(text.data(), text.size()));
}

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto append = [&](std::string_view text) {
      out.append(text.data(), text.data() + text.size());
    };
    append("{\"time\":\"");
    time_.format(message, out);
    append("\",\"level\":");
    append(json::serialize(json_text(spdlog::level::to_string_view(message.level))));
    append(",");
    if (std::string_view(message.logger_name.data(), message.logger_name.size()) == kAccessLogger) {
      append({message.payload.data(), message.payload.size()});
    } else {
      append("\"message\":");
      append(json::serialize(json_text(message.payload)));
    }
    append("}\n");
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

// Formats at once, and leaves the rest to a LogWriter.
class WriterSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  int64_t n_dropped() const { return writer_.n_dropped(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (writer_.push(line_of(message))) tell_of_dropped();
  }
  void flush_() override {}

 private:
  std::string line_of(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t buffer;
    formatter_->format(message, buffer);
    std::string line(buffer.data(), buffer.size());
    if (!is_terminal_ || message.color_range_end <= message.color_range_start) return line;
    line.insert(message.color_range_end, "\033[0m");
    line.insert(message.color_range_start, message.level >= spdlog::level::err    ? "\033[31m"
                                           : message.level == spdlog::level::warn ? "\033[33m"
                                                                                  : "\033[32m");
    return line;
  }

  // Called once there is room again.
  void tell_of_dropped() {
    const int64_t n = writer_.n_dropped();
    if (n == n_told_) return;
    const std::string text =
        std::to_string(n - n_told_) + " lines of the log were dropped: nobody read them in time";
    const spdlog::details::log_msg message("dbrx", spdlog::level::warn, text);
    if (writer_.push(line_of(message))) n_told_ = n;
  }

  int64_t n_told_ = 0;
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  LogWriter writer_{STDERR_FILENO};
};

std::string path_of(const HttpRequest& request) {
  return request.path().empty() ? "-" : sanitize_token(request.path(), 200);
}

std::string method_of(const HttpRequest& request) {
  return request.method.empty() ? "-" : sanitize_token(request.method, 20);
}

// The name of the client's key; empty when the server has no keys.
std::string key_of(const HttpRequest& request) {
  return request.client ? request.client->name : "";
}

// Printable ASCII, spaces among it; empty when the client sent none.
std::string agent_of(const HttpRequest& request) {
  constexpr size_t kMaxAgent = 200;
  std::string agent(request.header("user-agent").substr(0, kMaxAgent));
  for (char& c : agent) {
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') c = '?';
  }
  return agent;
}

// What is no UTF-8 would make a line that is no JSON.
json::string body_of(const HttpRequest& request) {
  std::string body;
  Utf8Repair repair;
  repair.push(request.body, body);
  repair.finish(body);
  return json::string(json::string_view(body));
}

std::string text_line(const AccessLogOptions& options, const HttpRequest& request,
                      const HttpOutcome& outcome) {
  std::string line = fmt::format("{} {} {} {:.1f} ms ", method_of(request), path_of(request),
                                 outcome.status, outcome.seconds * 1000);
  for (const auto& [name, value] : outcome.notes) line += fmt::format("{}={} ", name, value);
  line += fmt::format("bytes={} client={} ", outcome.bytes,
                      client_address(request, options.trusted_proxies));
  if (!agent_of(request).empty()) line += "agent=\"" + agent_of(request) + "\" ";
  if (!key_of(request).empty()) line += "key=" + sanitize_token(key_of(request), 100) + " ";
  line += request.id;
  if (options.prompts) line += " body=" + json::serialize(body_of(request));
  return line;
}

std::string json_members(const AccessLogOptions& options, const HttpRequest& request,
                         const HttpOutcome& outcome) {
  json::object line;
  line["method"] = method_of(request);
  line["path"] = path_of(request);
  if (!request.route.empty()) line["route"] = request.route;
  line["status"] = outcome.status;
  line["duration_ms"] = outcome.seconds * 1000;
  for (const auto& [name, value] : outcome.notes) line[name] = value;
  line["bytes"] = outcome.bytes;
  line["client"] = client_address(request, options.trusted_proxies);
  if (line["client"] != json::string(request.peer)) line["peer"] = request.peer;
  if (!agent_of(request).empty()) line["user_agent"] = agent_of(request);
  if (!key_of(request).empty()) line["key"] = key_of(request);
  line["request_id"] = request.id;
  if (options.prompts) line["body"] = body_of(request);
  const std::string text = json::serialize(line);
  return text.substr(1, text.size() - 2);
}

}  // namespace

struct Log::State {
  std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  std::shared_ptr<WriterSink> sink = std::make_shared<WriterSink>();
};

Log::Log(LogFormat format, const std::string& level) : state_(std::make_unique<State>()) {
  const auto logger = std::make_shared<spdlog::logger>("dbrx", state_->sink);
  const auto access = std::make_shared<spdlog::logger>(kAccessLogger, state_->sink);
  if (format == LogFormat::json) {
    state_->sink->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    state_->sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc));
  }
  logger->set_level(spdlog::level::from_str(level));
  access->set_level(spdlog::level::from_str(level));
  spdlog::register_logger(access);
  spdlog::set_default_logger(logger);
}

Log::~Log() {
  spdlog::drop(kAccessLogger);
  spdlog::set_default_logger(state_->before);
}

int64_t Log::n_dropped() const { return state_->sink->n_dropped(); }

void log_access(const AccessLogOptions& options, const HttpRequest& request,
                const HttpOutcome& outcome) {
  if (!options.enabled || options.quiet_paths.contains(std::string(request.path()))) return;
  std::shared_ptr<spdlog::logger> logger = spdlog::get(kAccessLogger);
  if (!logger) logger = spdlog::default_logger();  // of a server inside a test
  if (!logger->should_log(spdlog::level::info)) return;
  logger->info("{}", options.format == LogFormat::json ? json_members(options, request, outcome)
                                                       : text_line(options, request, outcome));
}

}  // namespace dbrx
