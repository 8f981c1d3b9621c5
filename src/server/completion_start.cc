// The way of a call from its body to the engine: Completion's part on the text workers.
#include <chrono>
#include <utility>

#include "server/anthropic_parse.h"
#include "server/completion.h"
#include "server/completion_requests.h"
#include "server/http_text.h"
#include "server/responses_parse.h"
#include "telemetry/telemetry.h"

namespace dbrx {
namespace {

int64_t seconds_now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

// Drawn seeds fit the integers that JavaScript can hold, so that a client can send them back.
uint64_t draw_seed() { return std::stoull(random_hex(16), nullptr, 16) & ((1ULL << 53) - 1); }

std::string id_prefix(const CompletionRequest& request) {
  if (request.dialect == Dialect::anthropic) return "msg_";
  if (request.dialect == Dialect::responses) return "resp_";
  const std::string kind = request.endpoint == Endpoint::chat ? "chatcmpl" : "cmpl";
  return kind + (request.dialect == Dialect::databricks ? "_" : "-");
}

std::string call_id_prefix(const CompletionRequest& request) {
  return request.dialect == Dialect::anthropic ? "toolu_" : "call_";
}

CompletionRequest parse_request(const CompletionRoute& route, std::string_view body,
                                const ParseOptions& options) {
  if (route.dialect == Dialect::responses) return parse_responses_request(body, options);
  if (route.dialect == Dialect::anthropic) {
    return parse_anthropic_request(body, options, /*count_only=*/false);
  }
  return parse_completion_request(route, body, options);
}

}  // namespace

// Makes one step of start(), of which each comes after the one before it on some thread that may
// wait for it. Failures become an answer.
void Completion::go_on(const std::function<void()>& step) {
  try {
    if (aborted_) throw shutting_down();
    step();
  } catch (...) {
    refuse(current_api_error(head_.id));
  }
}

void Completion::start(const CompletionRoute& route, std::string_view body) {
  go_on([&] {
    parse(route, body);
    if (filtered_) input_ = check_input(services_, safety_->policy, request_);
    if (input_.blocked) return answer_blocked();
    if (request_.grammar) grammar_ = kept_grammar(services_, request_);
    request_.grammar && !grammar_ ? compile() : ask();
  });
}

// Aside of the text workers, whose tasks are short. Who has left by its turn takes no time.
void Completion::compile() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point asked = Clock::now();
  services_.grammar_queue->post(client_->id, [self = shared_from_this(), asked] {
    const std::chrono::duration<double> waited = Clock::now() - asked;
    self->services_.telemetry.metrics().grammar_waited(waited.count());
    self->go_on([&] {
      self->grammar_ = compile_grammar(self->services_, self->request_);
      self->services_.workers.post(self->client_->id,
                                   [self] { self->go_on([&] { self->ask(); }); });
    });
  });
}

// Asks the engine, or first the classifier.
void Completion::ask() {
  Requests requests = prepare();
  if (filtered_ && safety_->classifier.asks_of_input()) {
    classify_input(std::move(requests));
  } else {
    submit(requests);
  }
}

void Completion::parse(const CompletionRoute& route, std::string_view body) {
  request_ = parse_request(route, body, services_.parse);
  require_priority();
  std::string model = services_.require_model(request_.model);
  services_.unknown_names.log_new(request_.ignored);
  filtered_ = is_filtered(safety_->policy, request_);
  head_ = {.endpoint = request_.endpoint,
           .id = id_prefix(request_) + random_hex(32),
           .created = seconds_now(),
           .model = std::move(model),
           .system_fingerprint = services_.system_fingerprint,
           .echoed = std::move(request_.echoed)};
  format_ = make_answer_format(request_.dialect, head_);
  seed_ = request_.seed ? static_cast<uint64_t>(*request_.seed) : draw_seed();
  record_request();
}

Completion::Requests Completion::prepare() {
  Requests requests = make_engine_requests(services_, request_, grammar_, seed_);
  prompt_texts_ = echoed_prompts(services_, request_, requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request& request = *requests[i];
    request.id = requests.size() == 1 ? head_.id : head_.id + "-" + std::to_string(i);
    request.client = client_->id;
    request.client_weight = client_->weight;
    request.sink = [self = shared_from_this(), i](Event&& event) {
      self->receive(i, std::move(event));
    };
    request.lost = lose();
    if (filtered_) {
      request.cancelled_choices =
          std::vector<std::atomic<bool>>(static_cast<size_t>(request.n_choices));
    }
    usage_.push_back({.prompt_tokens = static_cast<int64_t>(request.prompt.size())});
    Choice choice;
    if (!request.prompt.empty()) choice.answer.prompt.emplace_back().id = request.prompt.front();
    if (request_.return_token_ids) {  // where they lie stays when the outer vector grows
      choice.answer.prompt_ids = prompt_ids_.emplace_back(request.prompt);
    }
    if (filtered_) choice.safety.emplace(safety_->policy.rules);
    if (filtered_ && safety_->classifier.asks_of_output()) choice.held.emplace();
    if (request_.calls_tools) choice.calls.emplace(call_id_prefix(request_));
    choices_.insert(choices_.end(), static_cast<size_t>(request_.n), choice);
  }
  record_prompts(requests);
  reserve(requests);
  return requests;
}

// All prompts of a call run, or none. The answer begins.
void Completion::submit(const Requests& requests) {
  {
    std::lock_guard lock(mutex_);
    submitted_.assign(requests.begin(), requests.end());
  }
  if (aborted_) throw shutting_down();
  const int64_t room = services_.engine.max_queued_requests(client_->id);
  if (static_cast<int64_t>(requests.size()) > room) {
    throw ApiError(400,
                   "prompt: " + std::to_string(requests.size()) +
                       " prompts; the queue of this server holds " + std::to_string(room) +
                       " (--max-queue): send several requests",
                   "prompt", "invalid_value");
  }
  require_taken(services_.engine.submit_all(requests));
  post_begin();
}

void Completion::post_begin() {
  reply_->post([self = shared_from_this()] { self->begin(); });
}

std::function<void()> Completion::lose() {
  return [self = shared_from_this()] { self->lost_ = true; };
}

}  // namespace dbrx
