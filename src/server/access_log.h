// The log: one line per request, and what the program says besides, as text or as JSON. No word of
// anybody's prompt or answer, unless asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "server/client_address.h"
#include "server/http.h"

namespace dbrx {

enum class LogFormat { text, json };

// Logs to stderr while it lives, through a LogWriter. level: as spdlog names them. JSON lines have
// time, level and message, or instead of a message the members of log_access(). Begins before other
// threads log, and ends when none does any more.
class Log {
 public:
  Log(LogFormat format, const std::string& level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Lines that were lost since nobody read them.
  int64_t n_dropped() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct AccessLogOptions {
  bool enabled = true;
  LogFormat format = LogFormat::text;
  std::set<std::string> quiet_paths;    // that leave no line
  bool prompts = false;                 // bodies of requests are logged as well
  TrustedProxies trusted_proxies = {};  // whose word on clients' addresses counts
};

// Text: "METHOD path status ms [name=value ...] bytes=N client=ADDRESS [agent=\"NAME\"] [key=NAME]
// id". JSON: method, path, route, status, duration_ms, the answer's numbers, bytes, client, peer
// (where it is another), user_agent, key, request_id, body.
void log_access(const AccessLogOptions& options, const HttpRequest& request,
                const HttpOutcome& outcome);

}  // namespace dbrx
