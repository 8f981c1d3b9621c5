// `dbrx serve`: the HTTP server in front of the engine.
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "apps/commands.h"
#include "apps/loaded_model.h"
#include "apps/page_files.h"
#include "apps/serve_check.h"
#include "apps/serve_flags.h"
#include "base/error.h"
#include "base/limits.h"
#include "kernels/roof/roof.h"
#include "server/http_text.h"
#include "server/server.h"
#include "server/service_manager.h"
#include "tensor/background_verify.h"

namespace dbrx {
namespace {

constexpr std::chrono::seconds kLastStepTime{2};

// "models/dbrx-nano/" -> "dbrx-nano"
std::string directory_name(const std::string& model_dir) {
  std::filesystem::path path = std::filesystem::absolute(model_dir).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

// Logs go to stderr; stdout has the lines that a person or a script waits for. The token stands
// behind a #: what does is in no request, and so in no log of a proxy.
void print_welcome(const ServerOptions& options, uint16_t port, bool has_chat_template) {
  const char* key = options.has_keys() ? "-H 'Authorization: Bearer YOUR_KEY' " : "";
  const std::string host = options.host == "0.0.0.0" || options.host == "::" ? "127.0.0.1"
                           : options.host.find(':') != std::string::npos ? "[" + options.host + "]"
                                                                         : options.host;
  const std::string scheme = options.tls.certificate.empty() ? "http://" : "https://";
  const std::string url = scheme + host + ":" + std::to_string(port);
  std::printf("dbrx serves %s at %s\n", options.model_names.front().c_str(), url.c_str());
  const std::string token = options.has_keys() ? "" : "#token=" + options.start_token;
  std::printf("page: %s/%s\n", url.c_str(), token.c_str());
  if (has_chat_template) {
    std::printf(
        "try: curl -N %s/v1/chat/completions %s-H 'Content-Type: application/json' -d "
        "'{\"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}], \"stream\": "
        "true}'\n",
        url.c_str(), key);
  } else {
    std::printf(
        "try: curl -N %s/v1/completions %s-H 'Content-Type: application/json' -d "
        "'{\"prompt\": \"Once upon a time\", \"stream\": true}'\n",
        url.c_str(), key);
  }
  std::fflush(stdout);
}

// Every connection is a file descriptor, and a shell's usual limit is 1024 of them.
void raise_descriptor_limit(int64_t max_connections) {
  constexpr rlim_t kOtherFiles = 192;  // spare connections, weights, logs, libraries
  const rlim_t wanted = static_cast<rlim_t>(max_connections) + kOtherFiles;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    spdlog::warn(
        "the system allows {} open files, too few for --max-connections {}: raise the hard limit "
        "(ulimit -Hn) or lower the option",
        limit.rlim_cur, max_connections);
  }
}

// It is fed once a second.
void warn_of_watchdog(const ServiceManager& service) {
  constexpr std::chrono::seconds kLeast{3};
  if (service.watchdog().count() == 0 || service.watchdog() >= kLeast) return;
  spdlog::warn("WATCHDOG_USEC leaves less than {} s between two signs of life: raise WatchdogSec",
               kLeast.count());
}

void require_checksums(const std::string& model_dir) {
  if (load_config(model_dir).is_packed) return;
  throw Error(Code::invalid_argument,
              model_dir +
                  ": --verify is for packed checkpoints (dbrx quantize): this one has no "
                  "checksums");
}

// Bytes a second; 0 where there is no memory to find out.
double memory_rate(const LoadedModel& loaded) {
  const WeightBytes bytes = loaded.weights.model->weight_bytes();
  const ModelConfig& config = loaded.config;
  const int64_t all = bytes.dense + bytes.head + bytes.expert * config.n_experts * config.n_layers;
  try {
    return measure_read(*loaded.context, static_cast<size_t>(all));
  } catch (const Error& error) {
    spdlog::warn("what the memory gives is not measured: {}", error.what());
    return 0;
  }
}

// Damaged weights give wrong answers: then there are none.
std::unique_ptr<BackgroundVerify> start_verify(const LoadedModel& loaded, Server& server) {
  constexpr int64_t kMemoryRate = 1'000'000'000;  // bytes a second: some percent of memory's
  constexpr int64_t kDiskRate = 50'000'000;       // of a disk that steps wait for
  const int64_t rate = loaded.weights.report->fits_memory ? kMemoryRate : kDiskRate;
  spdlog::info(
      "verify: comparing the weights with their checksums in the background, {} MB a second",
      rate / 1'000'000);
  return std::make_unique<BackgroundVerify>(
      loaded.weights.checkpoint, rate, [&server](const BackgroundVerify::Result& end) {
        if (end.error.empty()) {
          spdlog::info("verify: {} tensors, {:.2f} GB, all as written", end.n_tensors,
                       static_cast<double>(end.n_bytes) / 1e9);
        } else {
          // First, so that whoever reads the log finds it in force.
          server.report_fault("the weights are damaged: " + end.error);
          spdlog::error("verify: {}", end.error);
        }
      });
}

// What of the options depends on the model.
void complete_by_model(ServeFlags& flags, const LoadedModel& loaded) {
  ServerOptions& options = flags.server;
  if (options.model_names.empty()) options.model_names = {directory_name(flags.model.model_dir)};
  options.version = DBRX_VERSION;
  options.trial_program = "/proc/self/exe";  // though another file may have its name by now
  options.tokenizer_config = loaded.tokenizer_config;
  options.system_fingerprint = fingerprint(loaded, flags.model);
  options.telemetry.metrics.kv_format = flags.model.kv_format;
  options.telemetry.metrics.queue_limit = flags.model.max_queue;
  options.telemetry.metrics.prefix_cache = flags.model.prefix_cache;
}

// --check: everything that a start does but to read weights, measure memory and listen.
int check_serve(ServeFlags& flags) {
  complete_options(flags);
  const Log log(LogFormat::text, "warn");
  const BoundPort any_port(flags.server.host, 0);  // an address of this machine
  if (flags.verify) require_checksums(flags.model.model_dir);
  LoadedModel loaded =
      load_for_generation(flags.model, /*needs_chat_template=*/false, Weights::leave);
  complete_by_model(flags, loaded);
  const bool has_chat_template = loaded.chat_template.has_value();
  const Server server(flags.server, *loaded.engine, *loaded.tokenizer,
                      std::move(loaded.chat_template));
  print_check(flags, loaded, has_chat_template);
  return 0;
}

int serve(ServeFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  complete_options(flags);
  ServerOptions& options = flags.server;
  std::optional<Log> log(std::in_place, options.access_log.format, flags.log_level);
  for (const std::string& name : flags.ignored_variables) {
    spdlog::warn("{} is ignored: it is Kubernetes' link to a service, not a setting", name);
  }
  for (const std::string& name : flags.unknown_variables) {
    spdlog::warn("no flag has the variable {}", name);
  }
  std::signal(SIGPIPE, SIG_IGN);  // a reader of ours that has gone is no reason to go as well
  // Some parents leave it ignored; then it could not be told how the trial of a grammar ended.
  std::signal(SIGCHLD, SIG_DFL);
  // Until the server handles it: there is nothing to read again while weights load.
  std::signal(SIGHUP, SIG_IGN);
  raise_descriptor_limit(flags.server.max_connections);
  options.page = page_files();
  warn_of_watchdog(*options.service);
  options.service->tell("STATUS=loading the model");
  BoundPort port(options.host, options.port);  // before the weights, which take their time
  if (flags.verify) require_checksums(flags.model.model_dir);
  LoadedModel loaded = load_for_generation(flags.model, /*needs_chat_template=*/false);
  complete_by_model(flags, loaded);
  options.telemetry.metrics.log_lines_dropped = [&log] { return log->n_dropped(); };
  options.telemetry.metrics.memory_limit = available_memory();
  options.telemetry.metrics.read_bytes_per_second = memory_rate(loaded);
  const bool has_chat_template = loaded.chat_template.has_value();
  Server server(options, *loaded.engine, *loaded.tokenizer, std::move(loaded.chat_template));
  server.listen(port);
  if (flags.no_keys && !is_loopback_name(options.host)) {
    spdlog::warn(
        "listening on {} without keys (--no-keys): everybody who reaches this machine can use the "
        "model",
        options.host);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  spdlog::info("ready after {:.2f} s: {}, {}, {}", seconds, describe(loaded.threads),
               isa_name(loaded.context->isa), options.system_fingerprint);
  spdlog::info("memory: {}", describe(loaded.memory));
  if (!loaded.interleaves) {
    spdlog::warn(
        "this container may not say on which NUMA node memory lies (Docker: --cap-add SYS_NICE): "
        "it lies where it is touched first, which threads of the right nodes do for weights only");
  }
  const std::string weights = describe_load(loaded);
  if (!weights.empty()) spdlog::info("weights: {}", weights);
  print_welcome(options, port.port(), has_chat_template);
  std::promise<void> engine_returned;
  std::future<void> engine_end = engine_returned.get_future();
  std::thread engine_thread([&] {
    pthread_setname_np(pthread_self(), "engine");
    loaded.engine->run();
    engine_returned.set_value();
  });
  std::unique_ptr<BackgroundVerify> verify;
  if (flags.verify) verify = start_verify(loaded, server);
  server.run();
  verify.reset();
  loaded.engine->stop(/*abort=*/true);
  // All calls are answered. A step can't be interrupted, and one of a long prompt takes minutes.
  if (engine_end.wait_for(kLastStepTime) == std::future_status::timeout) {
    spdlog::warn("stopped in the middle of a step, which nobody waits for");
    log.reset();
    std::_Exit(0);
  }
  engine_thread.join();
  spdlog::info("stopped");
  return 0;
}

}  // namespace

CommandMain setup_serve(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  add_serve_flags(app, *flags);
  return [flags] { return flags->check ? check_serve(*flags) : serve(*flags); };
}

}  // namespace dbrx
