// The log: one line per request, and what the program says besides, as text or as JSON. No word of
// anybody's prompt or answer, unless asked for.
#pragma once

#include <set>
#include <string>

#include "server/http.h"

namespace dbrx {

enum class LogFormat { text, json };

// Logs to stderr from here on. level: as spdlog names them. JSON lines have time, level and
// message, or instead of a message the members of log_access().
void start_logging(LogFormat format, const std::string& level);

struct AccessLogOptions {
  bool enabled = true;
  LogFormat format = LogFormat::text;
  std::set<std::string> quiet_paths;  // that leave no line
  bool prompts = false;               // bodies of requests are logged as well
};

// Text: "METHOD path status ms [name=value ...] [key=NAME] id". JSON: method, path, route, status,
// duration_ms, key, request_id, client's numbers, body.
void log_access(const AccessLogOptions& options, const HttpRequest& request,
                const HttpOutcome& outcome);

}  // namespace dbrx
