#include "server/server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/completion_requests.h"
#include "server/databricks.h"
#include "server/health.h"
#include "server/http.h"
#include "server/http_text.h"
#include "server/openai.h"
#include "server/page.h"
#include "server/router.h"
#include "server/server_files.h"
#include "server/service_manager.h"
#include "server/telemetry_routes.h"
#include "server/tokenize_routes.h"

namespace dbrx {
namespace json = boost::json;
namespace {

HttpOptions http_options(const ServerOptions& options) {
  return {.host = options.host,
          .port = options.port,
          .header_limit = options.header_limit,
          .body_limit = options.body_limit,
          .stream_buffer_limit = options.stream_buffer_limit,
          .max_connections = options.max_connections,
          .max_connections_per_peer = options.max_connections_per_peer,
          .body_memory = options.body_memory,
          .keep_bodies = options.access_log.prompts,  // which tells at the end
          .idle_timeout = options.idle_timeout,
          .request_timeout = options.request_timeout,
          .write_timeout = options.write_timeout,
          .ping_interval = options.ping_interval,
          .shutdown_delay = options.shutdown_delay,
          .shutdown_timeout = options.shutdown_timeout,
          .tls = options.tls,
          .handle_signals = options.handle_signals};
}

int64_t seconds_since_1970() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

size_t longest_token(const Tokenizer& tokenizer) {
  size_t n_bytes = 1;
  for (int32_t id = 0; id < tokenizer.n_ids(); ++id) {
    n_bytes = std::max(n_bytes, tokenizer.token_bytes(id).size());
  }
  return n_bytes;
}

std::optional<GrammarCompiler> make_grammars(const Engine& engine, const Tokenizer& tokenizer,
                                             const std::string& trial_program) {
  CHECK(!trial_program.empty());
  for (const int32_t id : engine.eos_token_ids()) {
    if (id >= tokenizer.n_ids()) continue;
    return std::make_optional<GrammarCompiler>(tokenizer, id, trial_program);
  }
  return std::nullopt;
}

TelemetryOptions telemetry_options(const ServerOptions& options, const Engine& engine,
                                   std::function<ServerSample()> sample, SampleHttp http) {
  TelemetryOptions telemetry = options.telemetry;
  telemetry.metrics.model_name = options.model_names.front();
  telemetry.metrics.max_context = engine.max_context();
  telemetry.metrics.server = std::move(sample);
  telemetry.metrics.http = std::move(http);
  telemetry.metrics.version = options.version;
  telemetry.metrics.fingerprint = options.system_fingerprint;
  telemetry.resource = {.service = "dbrx", .version = options.version};
  return telemetry;
}

// Methods that no route has are counted as one, whatever clients make up.
std::string_view counted_method(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}) {
    if (method == known) return method;
  }
  return "other";
}

}  // namespace

struct Server::State {
  State(ServerOptions options_in, Engine& engine, const Tokenizer& tokenizer,
        std::optional<ChatTemplate> chat_template)
      : options(std::move(options_in)),
        grammars(make_grammars(engine, tokenizer, options.trial_program)),
        telemetry(
            telemetry_options(
                options, engine, [this] { return sample(); }, [this] { return http.sample(); }),
            [&engine] {
              return EngineSample{.stats = engine.stats(),
                                  .expert_tokens = engine.expert_tokens(),
                                  .n_experts = engine.model_config().n_experts};
            }),
        services{.engine = engine,
                 .tokenizer = tokenizer,
                 .chat_template = std::move(chat_template),
                 .grammars = grammars ? &*grammars : nullptr,
                 .grammar_queue = grammars ? &grammar_queue : nullptr,
                 .workers = workers,
                 .telemetry = telemetry,
                 .model_names = options.model_names,
                 .system_fingerprint = options.system_fingerprint,
                 .created = seconds_since_1970(),
                 .parse = {.strict_params = options.strict_params,
                           .max_choices = options.max_choices,
                           .n_ids = tokenizer.n_ids(),
                           .max_context = engine.max_context()},
                 .max_token_bytes = longest_token(tokenizer),
                 .unknown_names = {}},
        health(engine, options.stall_timeout),
        files(
            files_to_watch(options, services, router, http),
            [this](auto task) { workers.post(/*client=*/0, std::move(task)); },
            [this](auto task) { http.post(std::move(task)); }),
        router(make_routes(), read_keys(options), options.start_token, services.rate_limits),
        http(http_options(options),
             {.answer = [this](auto request,
                               auto reply) { router.handle(std::move(request), std::move(reply)); },
              .admit =
                  [this](HttpRequest& request) {
                    options.origins.add_headers(request);
                    router.admit(request);
                  },
              .is_open = [this](const HttpRequest& request) { return router.is_open(request); },
              .is_probe = [this](const HttpRequest& request) { return router.is_probe(request); },
              .on_end =
                  [this](const HttpRequest& request, const HttpOutcome& outcome) {
                    log_access(options.access_log, request, outcome);
                    count_answer(request, outcome);
                  }}),
        // One client leaves one of them to others: a long text of his holds up none.
        workers("text", static_cast<size_t>(options.n_text_workers),
                static_cast<size_t>(std::max(options.n_text_workers - 1, 1))) {
    services.safety = std::make_shared<ReadySafety>(
        ReadySafety{options.safety, make_ready(services, options.safety.classifier)});
    http.each_second([this] {
      look_at_health();
      services.open_calls.look(health.state() == Health::State::stalled);
      telemetry.look();
      files.look();
    });
    http.on_hangup([this] { files.read_all(); });
    http.on_leaving([this] {
      is_ready = false;
      tell_service("STOPPING=1\nSTATUS=finishing requests");
    });
  }

  ~State() {
    grammar_queue.end();
    workers.end();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::vector<Route> make_routes();
  void count_answer(const HttpRequest& request, const HttpOutcome& outcome);
  HttpResponse index() const;
  ServerSample sample();
  void tell_service(const std::string& lines) const;
  void look_at_health();
  void require_ready();
  void refuse_if_unfit();
  void require_live();
  HttpResponse tokenizer_info() const;

  ServerOptions options;
  std::optional<GrammarCompiler> grammars;
  Telemetry telemetry;
  Services services;
  Health health;
  Health::State told = Health::State::ok;  // to the service manager
  std::atomic<bool> is_ready{true};        // at the last look
  WatchedFiles files;                      // before those that read them first: no change is missed
  Router router;
  HttpServer http;
  // Last: their tasks use all of the above and each other, and ~State() waits for them.
  FairWorkers workers;
  GrammarQueue grammar_queue;
};

std::vector<Route> Server::State::make_routes() {
  auto completion = [this](Endpoint endpoint, Dialect dialect = Dialect::openai) {
    return [this, endpoint, dialect](const Call& call) {
      refuse_if_unfit();
      handle_completion(services, {.endpoint = endpoint, .dialect = dialect}, call.request,
                        call.reply);
    };
  };
  const auto count_tokens = [this](Dialect dialect) {
    return [this, dialect](const Call& call) {
      handle_count_tokens(services, dialect, call.request, call.reply);
    };
  };
  // Checks throw what is wrong.
  const auto probe = [this](const char* path, const char* about, void (State::*check)(),
                            const json::object& answer) {
    return Route{"GET",
                 path,
                 about,
                 [this, check, answer](const Call& call) {
                   (this->*check)();
                   call.reply->send(json_response(answer));
                 },
                 Scope::none,
                 /*is_probe=*/true};
  };
  const json::object well = {{"status", "ok"}};
  const auto nim = [](const char* status, const char* message) {
    return json::object({{"object", "health.response"}, {"message", message}, {"status", status}});
  };
  const auto not_stored = [](const Call& call) {
    throw ApiError(404,
                   "there is no response " + sanitize_token(call.rest, 100) +
                       ": this server does not store responses (their store is false)",
                   "id", "response_not_found");
  };
  std::vector<Route> routes = {
      {"GET", "/routes", "this list", [this](const Call& call) { call.reply->send(index()); },
       Scope::none},
      probe("/health", "200 while the server can answer, else 503", &State::require_ready, well),
      probe("/ping", "the same, as SageMaker asks", &State::require_ready, well),
      probe("/readyz", "the same, as Kubernetes asks before it sends requests",
            &State::require_ready, well),
      probe("/livez", "503 when only a restart helps", &State::require_live, well),
      probe("/v1/health/ready", "/readyz in NIM's form", &State::require_ready,
            nim("ready", "Service is ready.")),
      probe("/v1/health/live", "/livez in NIM's form", &State::require_live,
            nim("live", "Service is live.")),
      {"GET", "/version", "the program's version",
       [this](const Call& call) {
         call.reply->send(json_response({{"version", json::string(options.version)}}));
       }},
      {"POST", "/tokenize", "the tokens of a prompt or a conversation",
       [this](const Call& call) { handle_tokenize(services, call.request, call.reply); }},
      {"POST", "/detokenize", "the text of tokens",
       [this](const Call& call) { handle_detokenize(services, call.request, call.reply); }},
      {"GET", "/tokenizer_info", "the model's tokenizer_config.json",
       [this](const Call& call) { call.reply->send(tokenizer_info()); }},
      {"GET", "/v1/models", "the models served",
       [this](const Call& call) { call.reply->send(list_models(services)); }},
      {"GET", "/v1/models/{name}", "one of them",
       [this](const Call& call) { call.reply->send(describe_model(services, call.rest)); }},
      {"POST", "/v1/chat/completions", "the next turn of a conversation, whole or streamed",
       completion(Endpoint::chat)},
      {"POST", "/v1/completions", "the continuation of a text, whole or streamed",
       completion(Endpoint::completions)},
      {"POST", "/v1/responses", "the same in the form of OpenAI's Responses",
       completion(Endpoint::chat, Dialect::responses)},
      {"POST", "/v1/responses/input_tokens", "the tokens of such a conversation",
       count_tokens(Dialect::responses)},
      {"GET", "/v1/responses/{id}", "404: responses are not stored", not_stored},
      {"DELETE", "/v1/responses/{id}", "the same", not_stored},
      {"POST", "/v1/responses/{id}", "the same", not_stored},
      {"POST", "/v1/messages", "the next turn of a conversation, as Anthropic's clients ask",
       completion(Endpoint::chat, Dialect::anthropic)},
      {"POST", "/v1/messages/count_tokens", "the tokens of such a conversation",
       count_tokens(Dialect::anthropic)},
  };
  for (Route& route : page_routes(options.page)) routes.push_back(std::move(route));
  for (Route& route : databricks_routes(services, [this] { refuse_if_unfit(); })) {
    routes.push_back(std::move(route));
  }
  for (Route& route : telemetry_routes(services, [this] { return http.is_draining(); })) {
    routes.push_back(std::move(route));
  }
  return routes;
}

void Server::State::count_answer(const HttpRequest& request, const HttpOutcome& outcome) {
  telemetry.metrics().answered(
      request.route.empty() ? "none" : request.route, counted_method(request.method),
      request.client ? request.client->name : "", outcome.status, outcome.seconds);
}

// Nothing of it depends on the model or on clients, as it needs no key.
HttpResponse Server::State::index() const {
  HttpResponse response;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
  response.body = "dbrx.cpp\n\n";
  for (const Route& route : router.routes()) {
    std::string name = route.method + " " + route.path;
    name.resize(std::max<size_t>(name.size() + 2, 44), ' ');
    response.body += name + route.about + "\n";
  }
  return response;
}

// On a text worker.
ServerSample Server::State::sample() {
  return {.is_ready = is_ready,
          .texts_waiting = workers.n_waiting(),
          .grammars_waiting = grammar_queue.n_waiting(),
          .files = files.sample(),
          .certificate_expiry = http.certificate_expiry()};
}

void Server::State::tell_service(const std::string& lines) const {
  if (options.service) options.service->tell(lines);
}

// A stalled server does not feed the watchdog: only a restart helps, and that is what it is for.
void Server::State::look_at_health() {
  health.look();
  const Health::State state = health.state();
  is_ready = state == Health::State::ok && !http.is_leaving();
  if (!options.service) return;
  if (state != told && !http.is_leaving()) {
    told = state;
    tell_service(state == Health::State::ok        ? "STATUS=serving"
                 : state == Health::State::stalled ? "STATUS=the engine is stalled"
                                                   : "STATUS=answers can't be trusted");
  }
  if (state != Health::State::stalled) options.service->feed_watchdog();
}

// What probes are told without a key: no more than the state. The log has the reasons.
void Server::State::require_ready() {
  if (http.is_leaving()) throw shutting_down();
  switch (health.state()) {
    case Health::State::fault:
      throw ApiError(503, "answers can't be trusted; the server's log says why", "", "fault");
    case Health::State::stalled:
      throw engine_stall();
    case Health::State::ok:
      break;
  }
}

void Server::State::refuse_if_unfit() {
  health.refuse_if_at_fault();
  if (health.state() == Health::State::stalled) throw engine_stall();
}

// A server that drains or has damaged weights would not get better by a restart now.
void Server::State::require_live() {
  if (health.state() == Health::State::stalled) {
    throw engine_stall();
  }
}

HttpResponse Server::State::tokenizer_info() const {
  if (options.tokenizer_config.empty()) {
    throw ApiError(404, "the model's directory has no tokenizer_config.json");
  }
  HttpResponse response;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = options.tokenizer_config;
  return response;
}

Server::Server(ServerOptions options, Engine& engine, const Tokenizer& tokenizer,
               std::optional<ChatTemplate> chat_template) {
  auto require = [](bool valid, const char* message) {
    if (!valid) throw Error(Code::invalid_argument, message);
  };
  require(!options.model_names.empty(), "the server needs a name for its model");
  require(options.max_choices >= 1, "the limit of n must be at least 1");
  require(options.n_text_workers >= 1, "the server needs at least one text worker");
  require(options.max_connections >= 1, "the server needs at least one connection");
  state_ = std::make_unique<State>(std::move(options), engine, tokenizer, std::move(chat_template));
}

Server::~Server() = default;

uint16_t Server::bind() { return state_->http.bind(); }

uint16_t Server::listen(BoundPort& port) { return state_->http.listen(port); }

void Server::report_fault(const std::string& reason) { state_->health.report_fault(reason); }

void Server::run() {
  state_->tell_service("READY=1\nSTATUS=serving");
  state_->http.run();
}

void Server::stop(bool drain) { state_->http.stop(drain); }

}  // namespace dbrx
