#include "apps/serve_flags.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "apps/suggestion.h"
#include "base/error.h"
#include "base/limits.h"
#include "server/http_text.h"
#include "server/server_files.h"
#include "server/service_manager.h"

namespace dbrx {
namespace {

void add_limit_flags(CLI::App& app, ServeFlags& flags) {
  ServerOptions& server = flags.server;
  const auto add_bytes = [&](const char* name, size_t& value, size_t least, const char* about) {
    return app.add_option(name, value, about)->check(CLI::Range(least, size_t{1} << 40));
  };
  add_bytes("--header-limit", server.header_limit, 1024, "largest head of a request, in bytes")
      ->check(CLI::Range(1024, 1 << 24))
      ->capture_default_str();
  add_bytes("--body-limit", server.body_limit, 1024, "largest request body, in bytes")
      ->capture_default_str();
  add_bytes("--max-body-memory", server.body_memory, 2048,
            "bytes that all request bodies together may take until they are read, one client's "
            "half of it (default: an eighth of the memory, from 2 to 16 times --body-limit)");
  add_bytes("--stream-buffer", server.stream_buffer_limit, 4096,
            "unsent bytes of a stream from which on its client is given up")
      ->capture_default_str();
  app.add_option("--max-connections", server.max_connections)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-connections-per-peer", server.max_connections_per_peer,
                 "from one address, behind a proxy its own; 0: no bound (default: half of "
                 "--max-connections, but no bound for this machine)")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--text-workers", server.n_text_workers,
                 "threads that read requests: JSON, templates, tokens, filters")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
}

void add_time_flags(CLI::App& app, ServeFlags& flags) {
  const auto add = [&](const char* name, double& seconds, double least, const char* about) {
    app.add_option(name, seconds, about)->check(CLI::Range(least, 86400.0))->capture_default_str();
  };
  add("--timeout-keep-alive", flags.keep_alive_seconds, 0.1,
      "seconds after which a connection without a request is closed");
  add("--request-timeout", flags.request_seconds, 0.1,
      "seconds that a request gets to arrive, its body included");
  add("--write-timeout", flags.write_seconds, 0.1,
      "seconds after which a client that reads nothing is given up");
  add("--ping-interval", flags.ping_seconds, 0.1,
      "seconds between signs of life of silent streams");
  add("--shutdown-delay", flags.shutdown_delay_seconds, 0,
      "seconds after SIGTERM in which requests are still taken while /readyz says no, so that "
      "balancers send them elsewhere first");
  add("--shutdown-timeout", flags.shutdown_seconds, 0,
      "seconds that answers in progress get after SIGTERM (and the delay)");
  add("--stall-timeout", flags.stall_seconds, 0.1,
      "seconds without progress after which the engine counts as stalled (/readyz)");
}

void add_network_flags(CLI::App& app, ServeFlags& flags) {
  ServerOptions& server = flags.server;
  app.add_option("--host", server.host, "address to listen on")->capture_default_str();
  app.add_option("-p,--port", server.port, "0: any free port")->capture_default_str();
  CLI::Option* certificate =
      app.add_option("--ssl-certfile,--ssl-cert-file", server.tls.certificate,
                     "PEM file of the certificate and its chain: speak HTTPS");
  CLI::Option* key = app.add_option("--ssl-keyfile,--ssl-key-file", server.tls.key,
                                    "PEM file of the certificate's private key");
  certificate->needs(key);
  key->needs(certificate);
  app.add_option("--allowed-origins", flags.allowed_origins,
                 "sites whose pages may use the server from a browser: https://chat.example.com, "
                 "or * (may be given again)");
  app.add_option("--trusted-proxy,--forwarded-allow-ips", flags.trusted_proxies,
                 "addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-For says who the "
                 "client is, for the log; * for all (may be given again)")
      ->delimiter(',');
  add_limit_flags(app, flags);
  add_time_flags(app, flags);
}

void add_key_flags(CLI::App& app, ServeFlags& flags) {
  app.add_option("--api-key", flags.api_keys,
                 "key that requests must have (may be given again); every user of the machine can "
                 "see a command's arguments, not its environment");
  app.add_option("--admin-api-key", flags.admin_api_keys,
                 "key that may also see what other clients do (may be given again)");
  app.add_option("--api-key-file", flags.server.key_file,
                 "JSON file of keys with names, scopes and limits; read again when it changes");
  app.add_flag("--no-keys", flags.no_keys,
               "let everybody who reaches an address of --host other than this machine's own use "
               "the model");
}

void add_behavior_flags(CLI::App& app, ServeFlags& flags) {
  ServerOptions& server = flags.server;
  app.add_option("--served-model-name,--alias", server.model_names,
                 "names that requests may use (default: the directory's)");
  app.add_flag("--strict-params", server.strict_params,
               "answer 400 to unknown parameters instead of ignoring them");
  app.add_flag("--verify", flags.verify,
               "compare packed weights with their checksums in the background, once ready");
  app.add_flag("--check", flags.check,
               "only say what would be served, or what is wrong with flags, files or the model, "
               "without reading weights or listening")
      ->configurable(false);
}

void add_safety_flags(CLI::App& app, SafetyFlags& safety) {
  app.add_option("--safety", safety.mode,
                 "which requests the safety filters watch: none, those that ask for it, or all")
      ->check(CLI::IsMember({"off", "on-request", "always"}))
      ->capture_default_str();
  app.add_option("--safety-pii", safety.pii, "what the filters do about personal data")
      ->check(CLI::IsMember({"block", "mask", "off"}))
      ->capture_default_str();
  app.add_option("--safety-keywords", safety.keywords,
                 "file of words and phrases that are blocked, one a line");
  app.add_option("--safety-classifier", safety.classifier,
                 "JSON file of a prompt by which the model itself classifies texts");
}

void add_log_flags(CLI::App& app, ServeFlags& flags) {
  app.add_option("--log-level", flags.log_level)
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_flag("--disable-log-requests", flags.no_access_log, "no line for each request");
  app.add_option("--disable-access-log-for-endpoints", flags.quiet_paths,
                 "paths whose requests leave no line in the log")
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--log-prompts", flags.server.access_log.prompts,
               "log the bodies of requests, prompts included");
}

void add_telemetry_flags(CLI::App& app, ServeFlags& flags) {
  app.add_flag("--no-record-requests", flags.no_records,
               "keep no recent requests in memory (GET /dbrx/v1/requests)");
  app.add_flag("--no-record-texts", flags.no_record_texts,
               "keep them without their prompts and answers");
  app.add_option("--record-bytes", flags.server.telemetry.recent.max_bytes,
                 "memory that recent requests may take")
      ->check(CLI::Range(size_t{1} << 16, size_t{1} << 36))
      ->capture_default_str();
  app.add_option("--otlp-traces-endpoint", flags.traces_endpoint,
                 "where spans of requests are sent, as OTLP over HTTP: "
                 "http://localhost:4318/v1/traces (default: nowhere)");
}

// A flag of another server that this one can't honour in general: the values that ask for nothing
// are accepted.
struct ForeignFlag {
  const char* names;
  bool takes_value;
  std::vector<std::string> accepted;  // values; of a flag without: {""} when it has no effect
  const char* instead;
};

const std::vector<ForeignFlag>& foreign_flags() {
  static const std::vector<ForeignFlag> flags = {
      {"--trust-remote-code", false, {""}, "without effect: no code of a checkpoint is ever run"},
      {"--enable-chunked-prefill", false, {""}, "without effect: it is always on"},
      {"--enable-request-id-headers", false, {""}, "without effect: they are always sent"},
      {"--cpu-moe", false, {""}, "without effect: all experts are computed on the CPU"},
      {"--tensor-parallel-size,--tp", true, {"1"}, "this program runs in one process"},
      {"--pipeline-parallel-size,--pp", true, {"1"}, "this program runs in one process"},
      {"--enable-expert-parallel", false, {}, "this program runs in one process"},
      {"--quantization", true, {"none", "auto"}, "pack the weights first: dbrx quantize"},
      {"--dtype", true, {"auto"}, "the checkpoint's format decides: dbrx quantize makes others"},
      {"--tokenizer", true, {}, "the tokenizer is the checkpoint's own"},
      {"--gpu-memory-utilization", true, {}, "weights lie in memory: see --kv-cache-tokens"},
      {"--n-gpu-layers,--ngl", true, {"0"}, "all layers are computed on the CPU"},
  };
  return flags;
}

void add_foreign_flags(CLI::App& app) {
  for (const ForeignFlag& flag : foreign_flags()) {
    const auto check = [&flag](const std::string& value) {
      const bool accepted = flag.takes_value ? std::find(flag.accepted.begin(), flag.accepted.end(),
                                                         value) != flag.accepted.end()
                                             : !flag.accepted.empty();
      return accepted ? std::string() : "not supported here: " + std::string(flag.instead);
    };
    CLI::Option* option = nullptr;
    if (flag.takes_value) {
      option =
          app.add_option_function<std::string>(flag.names, [](const std::string&) {}, flag.instead);
    } else {
      option = app.add_flag_function(flag.names, [](int64_t) {}, flag.instead);
    }
    option->check(CLI::Validator(check, ""))->group("Of other servers");
  }
}

// The flags that were added since `first` and have no group of their own.
void group_since(CLI::App& app, size_t first, const std::string& name) {
  const std::vector<CLI::Option*> options = app.get_options();
  for (size_t i = first; i < options.size(); ++i) {
    if (options[i]->get_group() == "Options") options[i]->group(name);
  }
}

// Kubernetes tells each pod where services are, of one called dbrx by DBRX_PORT=tcp://10.1.2.3:80.
bool is_service_link(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  return value && std::string_view(value).starts_with("tcp://");
}

// --max-model-len: DBRX_MAX_MODEL_LEN
void name_variables(CLI::App& app, ServeFlags& flags) {
  for (CLI::Option* option : app.get_options()) {
    // Without a variable that would keep a server from starting: --check.
    if (option->get_lnames().empty() || !option->get_configurable()) continue;
    std::string name = "DBRX_" + option->get_lnames().front();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return c == '-' ? '_' : static_cast<char>(std::toupper(c));
    });
    flags.variables.push_back(name);
    if (name == "DBRX_PORT" && is_service_link(name)) {
      flags.ignored_variables.push_back(name);
    } else {
      option->envname(name);
    }
  }
}

// Each key is a client of its own.
void add_keys(const std::vector<std::string>& texts, const std::string& prefix,
              const std::set<Scope>& scopes, ApiKeys& keys) {
  int n_keys = 0;
  for (const std::string& text : texts) {
    Identity client;
    client.name = prefix + std::to_string(++n_keys);
    client.scopes = scopes;
    keys.add(text, std::move(client));
  }
}

const std::vector<std::string> kSecrets = {"DBRX_API_KEY", "DBRX_ADMIN_API_KEY",
                                           "DBRX_API_KEY_FILE"};

// A secret that was not set where it should have been, or under a misspelt name, must not leave the
// server open. Other names that no flag has may be somebody else's.
void check_variables(ServeFlags& flags) {
  for (const std::string& name : kSecrets) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value != '\0') continue;
    throw Error(Code::invalid_argument,
                "the variable " + name +
                    " is empty: give it a value, or unset it to serve without what it names");
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    // What Kubernetes adds for a service called dbrx has these names.
    const bool is_link = name.starts_with("DBRX_SERVICE_") || name.starts_with("DBRX_PORT_");
    if (!name.starts_with("DBRX_") || name == "DBRX_ISA" || is_link) continue;
    if (std::find(flags.variables.begin(), flags.variables.end(), name) != flags.variables.end()) {
      continue;
    }
    const std::string nearest = nearest_name(name, flags.variables);
    if (std::find(kSecrets.begin(), kSecrets.end(), nearest) != kSecrets.end()) {
      throw Error(Code::invalid_argument, "the variable " + name + " names no flag: rename it to " +
                                              nearest + ", or unset it");
    }
    flags.unknown_variables.push_back(name + suggestion(name, flags.variables));
  }
}

// Whoever reaches an address of the network could use a server without keys.
void check_keys(const ServeFlags& flags) {
  const ServerOptions& options = flags.server;
  if (flags.no_keys && options.has_keys()) {
    throw Error(Code::invalid_argument, "--no-keys contradicts the keys that are given");
  }
  if (flags.no_keys || options.has_keys() || is_loopback_name(options.host)) return;
  throw Error(Code::invalid_argument,
              "--host " + options.host +
                  " lets everybody who reaches this machine use the model: give keys (--api-key, "
                  "--api-key-file, or their variables), or say --no-keys");
}

// Before the weights, which take their time. The server reads them once more.
void check_files(const ServerOptions& options) {
  read_keys(options);
  if (!options.tls.certificate.empty()) check_tls_files(options.tls);
}

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace

void add_serve_flags(CLI::App& app, ServeFlags& flags) {
  size_t first = app.get_options().size();
  const auto end_group = [&](const char* name) {
    group_since(app, first, name);
    first = app.get_options().size();
  };
  add_model_flags(app, flags.model);
  add_behavior_flags(app, flags);
  end_group("Model and engine");
  add_network_flags(app, flags);
  end_group("Network");
  add_key_flags(app, flags);
  end_group("Keys");
  add_safety_flags(app, flags.safety);
  end_group("Safety");
  add_log_flags(app, flags);
  end_group("Log");
  add_telemetry_flags(app, flags);
  end_group("Recent requests and traces");
  add_foreign_flags(app);
  name_variables(app, flags);
  app.footer(
      "Each flag may come from the environment, or from a file of lines NAME = VALUE:\n"
      "dbrx serve --config FILE. The command line goes first, then the file.");
}

void complete_options(ServeFlags& flags) {
  ServerOptions& options = flags.server;
  add_keys(flags.api_keys, "key-", {Scope::infer, Scope::metrics}, options.keys);
  add_keys(flags.admin_api_keys, "admin-", {Scope::infer, Scope::metrics, Scope::admin},
           options.keys);
  check_variables(flags);
  check_keys(flags);
  if (!options.has_keys()) options.start_token = make_key();
  for (const std::string& origin : flags.allowed_origins) options.origins.add(origin);
  for (const std::string& proxy : flags.trusted_proxies) {
    options.access_log.trusted_proxies.add(proxy);
  }
  check_files(options);
  options.safety = make_safety_policy(flags.safety);
  if (options.body_memory == 0) {
    const auto share = static_cast<size_t>(available_memory() / 8);
    options.body_memory = std::clamp(share, 2 * options.body_limit, 16 * options.body_limit);
  }
  if (options.body_memory < 2 * options.body_limit) {
    throw Error(Code::invalid_argument, "--max-body-memory must be at least twice --body-limit (" +
                                            std::to_string(options.body_limit) +
                                            "): one client may have half of it");
  }
  options.idle_timeout = milliseconds(flags.keep_alive_seconds);
  options.request_timeout = milliseconds(flags.request_seconds);
  options.write_timeout = milliseconds(flags.write_seconds);
  options.ping_interval = milliseconds(flags.ping_seconds);
  options.service = ServiceManager::from_environment();
  options.shutdown_delay = milliseconds(flags.shutdown_delay_seconds);
  options.shutdown_timeout = milliseconds(flags.shutdown_seconds);
  options.stall_timeout = milliseconds(flags.stall_seconds);
  TelemetryOptions& telemetry = options.telemetry;
  if (flags.no_records) telemetry.recent.max_requests = 0;
  telemetry.recent.texts = !flags.no_record_texts;
  flags.model.request_bytes =
      static_cast<int64_t>(telemetry.recent.max_bytes + options.body_memory);
  if (!flags.traces_endpoint.empty()) {
    telemetry.traces = parse_trace_endpoint(flags.traces_endpoint);
  }
  options.access_log.enabled = !flags.no_access_log;
  options.access_log.format = flags.log_format == "json" ? LogFormat::json : LogFormat::text;
  options.access_log.quiet_paths = {flags.quiet_paths.begin(), flags.quiet_paths.end()};
}

}  // namespace dbrx
