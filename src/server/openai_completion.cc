#include "server/openai_completion.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "server/anthropic_parse.h"
#include "server/http_text.h"
#include "server/prompt_tokens.h"

namespace dbrx {
namespace {

constexpr int64_t kDefaultCompletionTokens = 16;  // OpenAI's, of /v1/completions
constexpr const char* kPing = ": ping\n\n";
// The connection can write only between tasks of the I/O thread.
constexpr size_t kEventsPerTask = 64;
// Tokens and alternatives of an answer that is not streamed, which is kept until it is complete.
// About 80 bytes each with logprobs; a context of 32K tokens with 20 alternatives each fits.
constexpr int64_t kMaxWholeAnswer = 1 << 20;

int64_t seconds_now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

// Drawn seeds fit the integers that JavaScript can hold, so that a client can send them back.
uint64_t draw_seed() { return std::stoull(random_hex(16), nullptr, 16) & ((1ULL << 53) - 1); }

std::string id_prefix(const CompletionRequest& request) {
  if (request.dialect == Dialect::anthropic) return "msg_";
  const std::string kind = request.endpoint == Endpoint::chat ? "chatcmpl" : "cmpl";
  return kind + (request.dialect == Dialect::databricks ? "_" : "-");
}

ApiError shutting_down() {
  return ApiError(503, "the server is shutting down", "", "shutting_down");
}

}  // namespace

void Completion::start(const CompletionRoute& route, std::string_view body) {
  try {
    if (aborted_) throw shutting_down();
    parse(route, body);
    submit(make_requests());
    reply_->post([self = shared_from_this()] { self->begin(); });
  } catch (...) {
    refuse(current_api_error(head_.id));
  }
}

void Completion::abort() {
  cancel();
  if (!done_ && reply_->is_open()) fail(shutting_down());
  done_ = true;
}

// Any thread.
void Completion::cancel() {
  aborted_ = true;
  std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Request>& weak : submitted_) {
    if (auto request = weak.lock()) request->cancelled = true;
  }
}

void Completion::parse(const CompletionRoute& route, std::string_view body) {
  request_ = route.dialect == Dialect::anthropic
                 ? parse_anthropic_request(body, services_.parse, /*count_only=*/false)
                 : parse_completion_request(route, body, services_.parse);
  std::string model = services_.require_model(request_.model);
  services_.unknown_names.log_new(request_.ignored);
  head_ = {.endpoint = request_.endpoint,
           .id = id_prefix(request_) + random_hex(32),
           .created = seconds_now(),
           .model = std::move(model),
           .system_fingerprint = services_.system_fingerprint};
  format_ = make_answer_format(request_.dialect, head_);
  seed_ = request_.seed ? static_cast<uint64_t>(*request_.seed) : draw_seed();
}

std::vector<std::vector<int32_t>> Completion::tokenize() const {
  std::vector<std::vector<int32_t>> prompts;
  if (request_.endpoint == Endpoint::chat) {
    prompts.push_back(chat_tokens(services_, request_.messages, /*add_generation_prompt=*/true));
  }
  for (const Prompt& prompt : request_.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    if (!text) {
      prompts.push_back(std::get<std::vector<int32_t>>(prompt));
    } else if (request_.wrap_prompts && services_.chat_template) {
      const std::vector<ChatMessage> messages = {{.role = "user", .content = *text}};
      prompts.push_back(chat_tokens(services_, messages, /*add_generation_prompt=*/true));
    } else {
      prompts.push_back(text_tokens(services_, *text));
    }
  }
  for (std::vector<int32_t>& prompt : prompts) truncate(prompt);
  return prompts;
}

// Keeps the end of a prompt, as far as the request asks for that.
void Completion::truncate(std::vector<int32_t>& prompt) const {
  if (!request_.truncate_prompt) return;
  const int64_t room = services_.engine.max_context() - request_.max_tokens.value_or(1);
  const int64_t wanted = *request_.truncate_prompt == 0 ? room : *request_.truncate_prompt;
  const int64_t surplus = static_cast<int64_t>(prompt.size()) - std::max<int64_t>(wanted, 1);
  if (surplus > 0) prompt.erase(prompt.begin(), prompt.begin() + surplus);
}

StopRules Completion::stop_rules(int64_t n_prompt) const {
  StopRules rules = request_.stop;
  const int64_t context = services_.engine.max_context();
  const int64_t room = context - n_prompt;
  bool chat = request_.endpoint == Endpoint::chat;
  if (room < 1 || request_.max_tokens.value_or(1) > room) {
    std::string message = "the context of this model is " + std::to_string(context) +
                          " tokens; the prompt has " + std::to_string(n_prompt);
    message += room < 1 ? ", which leaves no room for an answer: shorten it"
                        : " and max_tokens asks for " + std::to_string(*request_.max_tokens) +
                              ": shorten the prompt or lower max_tokens to " + std::to_string(room);
    throw ApiError(400, message, chat ? "messages" : "prompt", "context_length_exceeded");
  }
  int64_t fallback = chat ? room : std::min(room, kDefaultCompletionTokens);
  rules.max_tokens = request_.max_tokens.value_or(fallback);
  if (rules.min_tokens > rules.max_tokens) {
    throw ApiError(400,
                   "min_tokens: " + std::to_string(rules.min_tokens) + " is more than the " +
                       std::to_string(rules.max_tokens) + " tokens that may be generated",
                   "min_tokens", "invalid_value");
  }
  return rules;
}

std::shared_ptr<const Grammar> Completion::compile_grammar() const {
  if (!request_.grammar) return nullptr;
  const GrammarSource& source = *request_.grammar;
  if (services_.grammars == nullptr) {
    throw ApiError(400, source.param + ": this model has no end-of-text token, so no grammar",
                   source.param, "unsupported_parameter");
  }
  try {
    return services_.grammars->compile(source.kind, source.text);
  } catch (const Error& error) {
    throw to_api_error(Error(error.code(), source.param + ": " + error.what()), source.param);
  }
}

Completion::Requests Completion::make_requests() {
  const std::shared_ptr<const Grammar> grammar = compile_grammar();
  std::vector<std::vector<int32_t>> prompts = tokenize();
  Requests requests;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (request_.echo) prompt_texts_.push_back(prompt_text(i, prompts[i]));
    ChoiceAnswer answer;
    if (!prompts[i].empty()) answer.prompt.emplace_back().id = prompts[i].front();
    answers_.insert(answers_.end(), static_cast<size_t>(request_.n), answer);
    auto request = std::make_shared<Request>();
    request->id = prompts.size() == 1 ? head_.id : head_.id + "-" + std::to_string(i);
    request->stop = stop_rules(static_cast<int64_t>(prompts[i].size()));
    request->prompt = std::move(prompts[i]);
    request->n_choices = request_.n;
    request->sampling = request_.sampling;
    request->grammar = grammar;
    request->seed = seed_;
    request->top_logprobs = request_.top_logprobs;
    request->prompt_logprobs = scored_alternatives();
    request->skip_special_tokens = request_.skip_special_tokens;
    request->priority = request_.priority;
    request->sink = [self = shared_from_this(), i](Event&& event) {
      self->receive(i, std::move(event));
    };
    requests.push_back(std::move(request));
  }
  size_t n_choices = requests.size() * static_cast<size_t>(request_.n);
  usage_.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    usage_[i].prompt_tokens = static_cast<int64_t>(requests[i]->prompt.size());
  }
  text_offsets_.resize(n_choices);
  check_answer_size(requests);
  return requests;
}

// Alternatives to the prompt's tokens, if their logprobs are wanted in one form or the other.
std::optional<int32_t> Completion::scored_alternatives() const {
  std::optional<int32_t> n = request_.prompt_logprobs;
  if (request_.echo && request_.top_logprobs) n = std::max(n.value_or(0), *request_.top_logprobs);
  if (!n && request_.max_tokens == 0) return 0;  // the engine's way to compute only a prompt
  return n;
}

std::string Completion::prompt_text(size_t i, const std::vector<int32_t>& tokens) const {
  const auto* text = std::get_if<std::string>(&request_.prompts[i]);
  return text ? *text : services_.tokenizer.decode(tokens, /*skip_special=*/false);
}

void Completion::check_answer_size(const Requests& requests) const {
  if (request_.stream) return;
  int64_t n_tokens = 0;
  for (const auto& request : requests) {
    n_tokens += request->stop.max_tokens * request_.n;
    if (request->prompt_logprobs) {
      n_tokens += static_cast<int64_t>(request->prompt.size()) * request_.n;
    }
  }
  const int32_t n_top =
      std::max(request_.top_logprobs.value_or(0), scored_alternatives().value_or(0));
  const int64_t size = n_tokens * (1 + n_top);
  if (size <= kMaxWholeAnswer) return;
  throw ApiError(400,
                 "stream: the answer may have " + std::to_string(size) +
                     " tokens and alternatives, more than the " + std::to_string(kMaxWholeAnswer) +
                     " of one that is sent as a whole: set stream to true, or lower max_tokens, n "
                     "or the number of logprobs",
                 "stream", "invalid_value");
}

// All prompts of a call run, or none.
void Completion::submit(const Requests& requests) {
  {
    std::lock_guard lock(mutex_);
    submitted_.assign(requests.begin(), requests.end());
  }
  if (aborted_) throw shutting_down();
  const int64_t room = services_.engine.max_queued_requests();
  if (static_cast<int64_t>(requests.size()) > room) {
    throw ApiError(400,
                   "prompt: " + std::to_string(requests.size()) +
                       " prompts; the queue of this server holds " + std::to_string(room) +
                       " (--max-queue): send several requests",
                   "prompt", "invalid_value");
  }
  switch (services_.engine.submit_all(requests)) {
    case SubmitResult::ok:
      return;
    case SubmitResult::queue_full:
      throw ApiError(429,
                     "the queue has no room: it holds " + std::to_string(room) +
                         " waiting requests (--max-queue): try again later",
                     "", "rate_limit_exceeded");
    case SubmitResult::stopping:
      throw shutting_down();
  }
}

void Completion::refuse(const ApiError& error) {
  cancel();
  HttpResponse response = error_response(error);
  add_headers(response);
  reply_->post([self = shared_from_this(), response = std::move(response)]() mutable {
    self->done_ = true;
    self->reply_->send(std::move(response));
  });
}

void Completion::receive(size_t request, Event&& event) {
  {
    std::lock_guard lock(mutex_);
    arrivals_.push_back({request, std::move(event)});
    if (std::exchange(drain_posted_, true)) return;
  }
  reply_->post([self = shared_from_this()] { self->drain(); });
}

void Completion::begin() {
  begun_ = true;
  try {
    if (request_.stream && !done_) begin_stream();
  } catch (...) {
    fail(current_api_error(head_.id));
  }
  drain();
}

void Completion::begin_stream() {
  HttpResponse response;
  response.headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                      {"Cache-Control", "no-cache"},
                      {"X-Accel-Buffering", "no"}};
  add_headers(response);
  reply_->begin_stream(std::move(response), kPing);
  Usage usage;
  for (size_t i = 0; i < answers_.size(); ++i) {
    const std::string head = format_->begin(static_cast<int32_t>(i), chunk_usage(usage));
    if (!head.empty()) reply_->write(head);
  }
}

void Completion::drain() {
  try {
    std::vector<Arrival> some;
    bool more = false;
    {
      std::lock_guard lock(mutex_);
      const auto begin = arrivals_.begin();
      const auto end = begin + static_cast<int64_t>(std::min(arrivals_.size(), kEventsPerTask));
      some.assign(std::make_move_iterator(begin), std::make_move_iterator(end));
      arrivals_.erase(begin, end);
      more = drain_posted_ = !arrivals_.empty();
    }
    for (Arrival& arrival : some) {
      if (!done_) handle(arrival);
    }
    if (more) reply_->post([self = shared_from_this()] { self->drain(); });
  } catch (...) {
    fail(current_api_error(head_.id));  // an event is lost, and with it the answer
  }
}

void Completion::handle(Arrival& arrival) {
  Event& event = arrival.event;
  usage_[arrival.request] = event.usage;
  if (event.finish == FinishReason::cancelled) return fail(shutting_down());
  if (event.finish == FinishReason::error) {
    spdlog::error("{}: {}", head_.id, event.error);
    return fail(ApiError(500, event.error, "", "internal_error"));
  }
  // A token that ends the choice is no part of its text.
  if (event.stop_token) event.tokens.clear();
  auto choice = static_cast<int32_t>(arrival.request) * request_.n + event.choice;
  std::vector<TokenInfo>& prompt = answers_[static_cast<size_t>(choice)].prompt;
  std::move(event.prompt.begin(), event.prompt.end(), std::back_inserter(prompt));
  if (request_.stream) {
    stream_event(choice, event);
  } else {
    collect_event(choice, event);
  }
  if (event.last && ++n_finished_ == usage_.size()) complete();
}

// The prompt as the first piece of a stream: at once, since a cut of it might not be UTF-8.
void Completion::stream_prompt(int32_t choice) {
  ChoiceAnswer& answer = answers_[static_cast<size_t>(choice)];
  const std::string& text = prompt_texts_[static_cast<size_t>(choice / request_.n)];
  std::string logprobs = "null";
  if (request_.top_logprobs) {
    logprobs = LogprobsFormat(services_.tokenizer)
                   .completions(answer.prompt, *request_.top_logprobs, {},
                                text_offsets_[static_cast<size_t>(choice)]);
  }
  Usage usage;
  reply_->write(format_->text(choice, text, logprobs, chunk_usage(usage)));
  answer.prompt.clear();
}

void Completion::stream_event(int32_t choice, Event& event) {
  Usage usage;
  const bool prompt_is_whole = !event.tokens.empty() || event.finish;
  if (request_.echo && prompt_is_whole && !answers_[static_cast<size_t>(choice)].prompt.empty()) {
    stream_prompt(choice);
  }
  bool has_logprobs = request_.top_logprobs.has_value() && !event.tokens.empty();
  if (!event.text.empty() || has_logprobs) {
    std::string logprobs = "null";
    LogprobsFormat format(services_.tokenizer);
    if (has_logprobs && head_.endpoint == Endpoint::chat) logprobs = format.chat(event.tokens);
    if (has_logprobs && head_.endpoint == Endpoint::completions) {
      logprobs =
          format.completions({}, 0, event.tokens, text_offsets_[static_cast<size_t>(choice)]);
    }
    reply_->write(format_->text(choice, event.text, logprobs, chunk_usage(usage)));
  }
  if (event.finish) {
    const ChoiceEnd end = {
        .reason = *event.finish, .stop_reason = event.stop_reason, .seed = seed_};
    reply_->write(format_->finish(choice, end, chunk_usage(usage)));
  }
}

void Completion::collect_event(int32_t choice, Event& event) {
  ChoiceAnswer& answer = answers_[static_cast<size_t>(choice)];
  answer.text += event.text;
  if (request_.top_logprobs) {
    std::move(event.tokens.begin(), event.tokens.end(), std::back_inserter(answer.tokens));
  }
  if (event.finish) {
    if (request_.echo) {
      answer.text.insert(0, prompt_texts_[static_cast<size_t>(choice / request_.n)]);
    }
    answer.finish = *event.finish;
    answer.stop_reason = event.stop_reason;
  }
}

void Completion::fail(const ApiError& error) {
  done_ = true;
  cancel();
  HttpResponse response = error_response(error);
  if (begun_) {  // before, what start() writes may not be read, and there is no stream yet
    note_usage();
    add_headers(response);
    // Of the two forms of an answer, the one that it does not have by now ignores this.
    reply_->write(format_->error(error));
    reply_->end(true);
  }
  reply_->send(std::move(response));
}

void Completion::complete() {
  done_ = true;
  note_usage();
  if (!request_.stream) return send_whole();
  reply_->write(format_->end(total_usage(), request_.include_usage));
  reply_->end(false);
}

// An answer with many logprobs is large: it is written where it holds up nobody.
void Completion::send_whole() {
  services_.workers.post([self = shared_from_this()] {
    HttpResponse response;
    response.headers = {{"Content-Type", "application/json"}};
    self->add_headers(response);
    try {
      response.body =
          self->format_->whole(self->answers_,
                               {.tokens = self->request_.top_logprobs,
                                .echo = self->request_.echo,
                                .prompt = self->request_.prompt_logprobs},
                               self->total_usage(), LogprobsFormat(self->services_.tokenizer));
    } catch (...) {
      return self->refuse(current_api_error(self->head_.id));
    }
    self->reply_->post([self, response = std::move(response)]() mutable {
      self->reply_->send(std::move(response));
    });
  });
}

Usage Completion::total_usage() const {
  Usage total;
  for (const Usage& usage : usage_) {
    total.prompt_tokens += usage.prompt_tokens;
    total.completion_tokens += usage.completion_tokens;
    total.cached_tokens += usage.cached_tokens;
  }
  return total;
}

ChunkUsage Completion::chunk_usage(Usage& storage) const {
  if (!request_.continuous_usage) return {.mention = request_.include_usage};
  storage = total_usage();
  return {.mention = true, .usage = &storage};
}

void Completion::add_headers(HttpResponse& response) const {
  if (!request_.ignored.empty()) {
    std::string names;
    size_t n = std::min<size_t>(request_.ignored.size(), 16);
    for (size_t i = 0; i < n; ++i) {
      names += (i > 0 ? ", " : "") + sanitize_token(request_.ignored[i], 64);
    }
    response.headers.push_back({"x-dbrx-ignored", names});
  }
  if (response.status == 200) {
    response.headers.push_back({"x-dbrx-seed", std::to_string(static_cast<int64_t>(seed_))});
    response.headers.push_back({"x-dbrx-fingerprint", services_.system_fingerprint});
    if (request_.dialect == Dialect::databricks) {
      response.headers.push_back({"served-model-name", head_.model});
    }
  }
}

void Completion::note_usage() {
  Usage usage = total_usage();
  reply_->note("prompt=" + std::to_string(usage.prompt_tokens) +
               " completion=" + std::to_string(usage.completion_tokens));
}

}  // namespace dbrx
