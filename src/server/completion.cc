#include "server/completion.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <new>
#include <utility>

#include "server/completion_requests.h"
#include "server/http_text.h"
#include "server/npy.h"
#include "server/openai.h"

namespace dbrx {
namespace {

constexpr const char* kPing = ": ping\n\n";
// The connection can write only between tasks of the I/O thread.
constexpr size_t kEventsPerTask = 64;
constexpr int kClientLeft = 499;  // nginx's; no client ever sees it

void append_ids(std::vector<int32_t>& ids, const Event& event) {
  for (const TokenInfo& token : event.tokens) ids.push_back(token.id);
}

// As ChoiceAnswer has them; ids: [tokens, layers, k].
std::string routed_experts_text(const ModelConfig& config, std::span<const uint16_t> ids) {
  const auto n_layers = static_cast<size_t>(config.n_layers);
  const auto k = static_cast<size_t>(config.top_k);
  return base64(npy_file(ids, {ids.size() / (n_layers * k), n_layers, k},
                         static_cast<uint16_t>(config.n_experts - 1)));
}

}  // namespace

void Completion::abort() {
  cancel();
  if (begun_) settle();
  if (!done_ && reply_->is_open()) fail(shutting_down());
  if (!done_) record_end(ApiError(kClientLeft, "the client left", "", "client_left"));
  done_ = true;
}

bool Completion::end_if_hopeless(bool engine_stalled) {
  if (done_ || !(lost_ || engine_stalled)) return done_;
  try {
    fail(engine_stalled ? engine_stall()
                        : ApiError(500, "the answer is lost: out of memory", "", "internal_error"));
  } catch (const std::bad_alloc&) {
    done_ = false;  // the next look tries again
  }
  return done_;
}

// Any thread.
void Completion::cancel() {
  aborted_ = true;
  std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Request>& weak : submitted_) {
    if (auto request = weak.lock()) request->cancelled = true;
  }
  for (const std::weak_ptr<Classification>& weak : classifications_) {
    if (auto classification = weak.lock()) classification->cancel();
  }
}

void Completion::refuse(const ApiError& error) {
  cancel();
  if (reservation_) reservation_->settle(0, 0);
  HttpResponse response = error_response(error);
  add_headers(response);
  reply_->post([self = shared_from_this(), error, response = std::move(response)]() mutable {
    self->begun_ = self->done_ = true;
    self->record_end(error);
    self->reply_->send(std::move(response));
  });
}

void Completion::receive(size_t request, Event&& event) {
  {
    std::lock_guard lock(mutex_);
    arrivals_.push_back({request, std::move(event)});
    if (std::exchange(drain_posted_, true)) return;
  }
  try {
    reply_->post([self = shared_from_this()] { self->drain(); });
  } catch (...) {  // no memory: the next event, the engine's report of this, tries again
    const std::lock_guard lock(mutex_);
    drain_posted_ = false;
    throw;
  }
}

void Completion::begin() {
  begun_ = true;
  if (done_) record_end({});
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
  for (size_t i = 0; i < choices_.size(); ++i) {
    const std::string head =
        format_->begin(static_cast<int32_t>(i), choices_[i].answer.prompt_ids, chunk_usage(usage));
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
  note_first_token(event.times);
  const int32_t index = static_cast<int32_t>(arrival.request) * request_.n + event.choice;
  // What a filter has ended is over, whatever becomes of its sequence.
  if (!choices_[static_cast<size_t>(index)].ended) {
    record_event(index, event);
    if (event.finish == FinishReason::error) {  // an answer that lacks a choice is none
      spdlog::error("{}: {}", head_.id, event.error);
      return fail(ApiError(500, event.error, "", "internal_error"));
    }
    if (event.finish == FinishReason::cancelled) return fail(shutting_down());
    answer(arrival.request, index, event);
  }
  if (event.last) ++n_finished_;
  complete_if_over();
}

void Completion::complete_if_over() {
  if (!done_ && n_finished_ == usage_.size() && n_held_ == 0) complete();
}

void Completion::answer(size_t request, int32_t index, Event& event) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  std::move(event.prompt.begin(), event.prompt.end(), std::back_inserter(choice.answer.prompt));
  const bool goes_on = !event.finish;
  if (choice.safety) filter(*choice.safety, event);
  choice.ended = event.finish.has_value();
  if (choice.ended && goes_on) cancel_choice(request, event.choice);
  choice.held ? hold(index, event) : publish(index, event);
}

// What the filters let the client have.
void Completion::publish(int32_t index, Event& event) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  ToolCallParser::Piece shown = show(choice, event);
  if (event.finish) {
    choice.answer.end = {.reason = *event.finish,
                         .stop_reason = event.stop_reason,
                         .has_calls = choice.calls && choice.calls->n_calls() > 0,
                         .seed = seed_,
                         .safety = report(choice)};
  }
  record_shown(index, event, shown);
  if (request_.stream) {
    stream_event(index, event, shown);
  } else {
    collect_event(index, event, std::move(shown));
  }
}

// A filter has ended it: the engine need not go on with it.
void Completion::cancel_choice(size_t request, int32_t choice) {
  std::lock_guard lock(mutex_);
  const auto alive = submitted_[request].lock();
  if (alive) alive->cancelled_choices[static_cast<size_t>(choice)] = true;
}

// What the client may see of an event's text, and of what earlier ones kept back.
ToolCallParser::Piece Completion::show(Choice& choice, const Event& event) {
  if (!choice.calls) return {.text = event.text, .calls = {}};
  ToolCallParser::Piece shown = choice.calls->push(event.text);
  if (event.finish) shown.text += choice.calls->finish().text;
  return shown;
}

// The tokens that logprobs are given of. One that ends the choice is no part of its text;
// completions list it, as their clients count tokens from the end.
std::span<const TokenInfo> Completion::listed_tokens(const Event& event) const {
  const std::span<const TokenInfo> tokens = event.tokens;
  const bool skip_last = event.stop_token && head_.endpoint == Endpoint::chat;
  return skip_last ? tokens.first(tokens.size() - 1) : tokens;
}

LogprobsFormat Completion::logprobs_format() const {
  return LogprobsFormat(services_.tokenizer, request_.by_id);
}

// The prompt as the first piece of a stream: at once, since a cut of it might not be UTF-8.
void Completion::stream_prompt(int32_t index) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  AnswerPiece piece = {.choice = index,
                       .text = prompt_texts_[static_cast<size_t>(index / request_.n)],
                       .prompt_ids = std::exchange(choice.answer.prompt_ids, {})};
  std::string logprobs;
  if (request_.top_logprobs) {
    logprobs = logprobs_format().completions(choice.answer.prompt, *request_.top_logprobs, {},
                                             choice.text_offset);
    piece.logprobs = logprobs;
  }
  Usage usage;
  reply_->write(format_->piece(piece, chunk_usage(usage)));
  choice.answer.prompt.clear();
}

void Completion::stream_event(int32_t index, const Event& event,
                              const ToolCallParser::Piece& shown) {
  Usage usage;
  Choice& choice = choices_[static_cast<size_t>(index)];
  const bool prompt_is_whole = !event.tokens.empty() || event.finish;
  if (request_.echo && prompt_is_whole && !choice.answer.prompt.empty()) stream_prompt(index);
  AnswerPiece piece = {.choice = index, .text = shown.text, .calls = shown.calls};
  const std::span<const TokenInfo> tokens = listed_tokens(event);
  std::string logprobs, experts;
  if (request_.top_logprobs && !tokens.empty()) {
    const LogprobsFormat format = logprobs_format();
    if (head_.endpoint == Endpoint::completions) {
      logprobs = format.completions({}, 0, tokens, choice.text_offset);
    } else if (request_.dialect == Dialect::responses) {
      logprobs = format.list(tokens);
    } else {
      logprobs = format.chat(tokens);
    }
    piece.logprobs = logprobs;
  }
  std::vector<int32_t> ids;
  if (request_.return_token_ids) append_ids(ids, event);
  piece.token_ids = ids;
  if (!event.routed_experts.empty()) {
    experts = routed_experts_text(services_.engine.model_config(), event.routed_experts);
    piece.routed_experts = experts;
  }
  if (!shown.text.empty() || !shown.calls.empty() || !logprobs.empty() || !ids.empty() ||
      !experts.empty()) {
    piece.prompt_ids = std::exchange(choice.answer.prompt_ids, {});
    reply_->write(format_->piece(piece, chunk_usage(usage)));
  }
  if (event.finish) reply_->write(format_->finish(index, choice.answer.end, chunk_usage(usage)));
}

void Completion::collect_event(int32_t index, Event& event, ToolCallParser::Piece&& shown) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  ChoiceAnswer& answer = choice.answer;
  answer.text += shown.text;
  for (ToolCallDelta& call : shown.calls) {
    if (!call.id.empty()) answer.calls.push_back({.id = call.id, .name = call.name});
    answer.calls.back().arguments += call.arguments;
  }
  if (request_.return_token_ids) append_ids(answer.token_ids, event);
  if (request_.top_logprobs) {
    const auto n_listed = static_cast<int64_t>(listed_tokens(event).size());
    std::move(event.tokens.begin(), event.tokens.begin() + n_listed,
              std::back_inserter(answer.tokens));
  }
  choice.experts.insert(choice.experts.end(), event.routed_experts.begin(),
                        event.routed_experts.end());
  if (event.finish && request_.echo) {
    answer.text.insert(0, prompt_texts_[static_cast<size_t>(index / request_.n)]);
  }
}

void Completion::fail(const ApiError& error) {
  done_ = true;
  cancel();
  HttpResponse response = error_response(error);
  if (begun_) {  // before, what start() writes may not be read, and there is no stream yet
    settle();
    note_usage();
    add_headers(response);
  }
  record_end(error);
  if (begun_) {
    // Of the two forms of an answer, the one that it does not have by now ignores this.
    reply_->write(format_->error(error));
    reply_->end(true);
  }
  reply_->send(std::move(response));
}

void Completion::complete() {
  done_ = true;
  settle();
  note_usage();
  if (!request_.stream) return send_whole();
  record_end({});
  reply_->write(format_->end(total_usage(), request_.include_usage));
  reply_->end(false);
}

// An answer with many logprobs is large: it is written where it holds up nobody.
void Completion::send_whole() {
  services_.workers.post(client_->id, [self = shared_from_this()] {
    HttpResponse response;
    response.headers = {{"Content-Type", "application/json"}};
    self->add_headers(response);
    try {
      std::vector<ChoiceAnswer> answers;
      for (Choice& choice : self->choices_) {
        answers.push_back(std::move(choice.answer));
        if (choice.experts.empty()) continue;
        answers.back().routed_experts =
            routed_experts_text(self->services_.engine.model_config(), choice.experts);
      }
      response.body = self->format_->whole(answers,
                                           {.logprobs = self->request_.top_logprobs,
                                            .echo = self->request_.echo,
                                            .prompt_logprobs = self->request_.prompt_logprobs,
                                            .ids = self->request_.return_token_ids},
                                           self->total_usage(), self->logprobs_format());
    } catch (...) {
      return self->refuse(current_api_error(self->head_.id));
    }
    self->reply_->post([self, response = std::move(response)]() mutable {
      self->record_end({});
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
  const bool anthropic = request_.dialect == Dialect::anthropic;
  for (HttpHeader& header : services_.rate_limits.headers(*client_, anthropic)) {
    response.headers.push_back(std::move(header));
  }
  name_ignored(response, request_.ignored);
  if (response.status == 200) {
    response.headers.push_back({"x-dbrx-seed", std::to_string(static_cast<int64_t>(seed_))});
    response.headers.push_back({"x-dbrx-fingerprint", services_.system_fingerprint});
    if (request_.dialect == Dialect::databricks) {
      response.headers.push_back({"served-model-name", head_.model});
    }
  }
}

}  // namespace dbrx
