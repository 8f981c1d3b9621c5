// The server: sockets in front of an engine, in three dialects. Says nothing on stdout; logs
// through spdlog, never a word of anybody's prompt or answer. docs/api.md is its contract.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/access_log.h"
#include "server/api_keys.h"
#include "server/bound_port.h"
#include "server/cors.h"
#include "server/page.h"
#include "server/safety.h"
#include "telemetry/telemetry.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace dbrx {

class ServiceManager;

struct ServerOptions {
  std::string host = "127.0.0.1";        // address or name of this machine
  uint16_t port = 8000;                  // 0: any free one
  std::vector<std::string> model_names;  // at least one; the first is the default
  std::string version;                   // of the program, for /version
  std::string system_fingerprint;        // empty: null in answers
  std::string tokenizer_config;          // JSON, for /tokenizer_info; empty: 404
  std::string trial_program;             // tries clients' grammars (text/grammar_trial.h); required

  std::span<const PageFile> page = {};  // none: / is a 404

  ApiKeys keys = {};          // none, and no file: everybody may use it
  std::string key_file = {};  // with more of them (key_file.h); empty: none
  bool has_keys() const { return !keys.empty() || !key_file.empty(); }
  // Without keys everybody may use the models and see numbers. What others asked is shown to who
  // has this token, sent as a key is; empty: to nobody.
  std::string start_token = {};
  SafetyPolicy safety = {};  // none
  AllowedOrigins origins = {};
  TlsFiles tls = {};
  AccessLogOptions access_log = {};
  std::shared_ptr<const ServiceManager> service = {};  // is told how the server is; may be null
  TelemetryOptions telemetry = {};  // model, version and context are filled in by the server

  bool strict_params = false;  // refuse unknown parameters instead of naming them in a header
  int32_t max_choices = 128;   // n of one request
  int32_t n_text_workers = 2;
  size_t header_limit = 32 << 10;  // bytes
  size_t body_limit = 16 << 20;
  size_t body_memory = 0;                // of all bodies that wait to be read; 0: 16 largest ones
  size_t stream_buffer_limit = 2 << 20;  // unsent bytes of a stream that may still be written to
  int64_t max_connections = 1024;
  // From one address. None: half of all, but any number from this machine; 0: any number.
  std::optional<int64_t> max_connections_per_peer = {};

  std::chrono::milliseconds idle_timeout{120'000};     // of a connection, between requests
  std::chrono::milliseconds request_timeout{60'000};   // for a request to arrive
  std::chrono::milliseconds write_timeout{30'000};     // for a client to read anything at all
  std::chrono::milliseconds ping_interval{15'000};     // of silent streams
  std::chrono::milliseconds shutdown_delay{0};         // from SIGTERM, unready, to the drain
  std::chrono::milliseconds shutdown_timeout{30'000};  // for answers in progress
  std::chrono::milliseconds stall_timeout{300'000};    // engine without a step: not ready
  // SIGTERM and SIGINT: end the delay, then drain, then end now. SIGHUP: read all files again.
  bool handle_signals = true;
};

class Server {
 public:
  // engine and tokenizer outlive the server. Another thread runs engine.run(), and goes on until
  // run() has returned: draining needs it. Throws Error when the options make no sense.
  Server(ServerOptions options, Engine& engine, const Tokenizer& tokenizer,
         std::optional<ChatTemplate> chat_template);
  ~Server();

  // Listens; clients may connect from here on. Returns the port. Throws Error that says what to do
  // when the port is in use.
  uint16_t bind();

  // The same on a port that was taken before (options' host and port are not looked at).
  uint16_t listen(BoundPort& port);

  // Serves on this thread until stop() or a signal, and until all connections are closed.
  void run();

  // From any thread. With drain, answers in progress get up to shutdown_timeout and new requests
  // 503; without, everything ends now.
  void stop(bool drain);

  // From any thread: answers can't be trusted any more. From here on the readiness routes and new
  // requests get 503, the latter with the reason; answers in progress go on.
  void report_fault(const std::string& reason);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dbrx
