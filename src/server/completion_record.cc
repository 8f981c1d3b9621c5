// What is remembered of a call: the one place where its record is made (telemetry/), and what the
// log tells of it.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "server/completion.h"
#include "telemetry/telemetry.h"
#include "telemetry/trace_context.h"

namespace dbrx {
namespace json = boost::json;
namespace {

const char* dialect_name(Dialect dialect) {
  switch (dialect) {
    case Dialect::openai:
      return "openai";
    case Dialect::databricks:
      return "databricks";
    case Dialect::anthropic:
      return "anthropic";
    case Dialect::responses:
      return "responses";
  }
  return "";
}

size_t bytes_of(const CompletionRequest& request) {
  size_t n = 0;
  for (const ChatMessage& message : request.messages) n += message.content.size();
  for (const Prompt& prompt : request.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    n += text ? text->size() : std::get<std::vector<int32_t>>(prompt).size() * sizeof(int32_t);
  }
  return n;
}

// To a list that begins with its bracket.
void add_item(std::string& list, const std::string& item) {
  if (list.size() > 1) list += ',';
  list += item;
}

std::string ids_json(const std::vector<int32_t>& ids) {
  std::string list = "[";
  for (const int32_t id : ids) add_item(list, std::to_string(id));
  return list + "]";
}

// What failed, without what the client wrote.
std::string name_of(const ApiError& error) {
  const std::string code = error.code.empty() ? std::to_string(error.status) : error.code;
  return error.param.empty() ? code : code + ": " + error.param;
}

// As the model gets them: what the filters mask is masked.
std::string input_json(const CompletionRequest& request) {
  std::string input = "[";
  for (const ChatMessage& message : request.messages) {
    add_item(input, json::serialize(json::object{{"role", json::string(message.role)},
                                                 {"content", json::string(message.content)}}));
  }
  for (const Prompt& prompt : request.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    add_item(input, text ? json::serialize(json::string(*text))
                         : ids_json(std::get<std::vector<int32_t>>(prompt)));
  }
  return input + "]";
}

}  // namespace

Completion::Completion(Services& services, std::shared_ptr<Reply> reply, const HttpRequest& request,
                       const CompletionRoute& route)
    : services_(services),
      reply_(std::move(reply)),
      client_(request.client),
      safety_(services.safety) {
  record_.request_id = request.id;
  record_.key = client_->name;
  record_.route = request.route;
  record_.dialect = dialect_name(route.dialect);
  record_.is_chat = route.endpoint != Endpoint::completions;
  record_.parent = parse_traceparent(request.header("traceparent"));
  record_.at = std::chrono::system_clock::now();
  record_.started = std::chrono::steady_clock::now();
}

// On a text worker.
void Completion::record_request() {
  record_.id = head_.id;
  record_.model = head_.model;
  record_.is_chat = request_.endpoint == Endpoint::chat;
  record_.params = {.n = request_.n,
                    .max_tokens = request_.max_tokens,
                    .sampling = request_.sampling,
                    .seed = seed_,
                    .stop = {},
                    .stream = request_.stream};
  record_.params.sampling->logit_bias.clear();  // may be long
  if (services_.telemetry.recent().limits().texts) record_.params.stop = request_.stop.stop;
}

// On a text worker.
void Completion::record_prompts(const Requests& requests) {
  for (const auto& request : requests) {
    ChoiceRecord choice;
    choice.prompt_tokens = static_cast<int64_t>(request->prompt.size());
    record_.choices.insert(record_.choices.end(), static_cast<size_t>(request_.n), choice);
  }
  if (!services_.telemetry.keeps_texts()) return;
  record_.is_cut = bytes_of(request_) > services_.telemetry.recent().limits().max_text;
  if (!record_.is_cut) record_.input = input_json(request_);
}

// What a step gave a choice.
void Completion::record_event(int32_t index, const Event& event) {
  if (record_.choices.empty()) return;  // the filters answer: the engine never had it
  ChoiceRecord& choice = record_.choices[static_cast<size_t>(index)];
  auto n_tokens = std::ssize(event.tokens);
  Telemetry& telemetry = services_.telemetry;
  if (n_tokens > 0 && choice.generated_tokens == 0) {
    telemetry.first_token(seconds_between(record_.started, event.times.first_token));
    choice.times.now = event.times.first_token;
    ++choice.generated_tokens;
    --n_tokens;
  }
  if (n_tokens > 0) {
    telemetry.next_tokens(n_tokens, seconds_between(choice.times.now, event.times.now));
    choice.generated_tokens += n_tokens;
  }
  choice.times = event.times;
  choice.preemptions = event.preemptions;
  if (event.finish) choice.finish = event.finish;
}

// What a client got of a choice.
void Completion::record_shown(int32_t index, const Event& event,
                              const ToolCallParser::Piece& shown) {
  if (record_.choices.empty()) return;
  ChoiceRecord& choice = record_.choices[static_cast<size_t>(index)];
  if (event.finish) {
    const ChoiceEnd& end = choices_[static_cast<size_t>(index)].answer.end;
    choice.finish = end.reason;  // a filter may have ended it
    record_.blocked_output = record_.blocked_output || end.is_blocked();
  }
  if (!services_.telemetry.keeps_texts()) return;
  const size_t room = services_.telemetry.recent().limits().max_text;
  const auto append = [&](std::string& to, const std::string& text) {
    if (to.size() + text.size() > room) {
      record_.is_cut = true;
    } else {
      to += text;
    }
  };
  append(choice.answer, shown.text);
  for (const ToolCallDelta& call : shown.calls) {
    if (!call.id.empty()) choice.calls.push_back({.id = call.id, .name = call.name});
    append(choice.calls.back().arguments, call.arguments);
  }
}

// Once, and before the last of the answer is sent: a client that has it may ask for what is told of
// it. Before begin(), what start() writes may not be read: begin() comes here again.
void Completion::record_end(const std::optional<ApiError>& failure) {
  if (failure && !failure_) failure_.emplace(*failure);
  if (!begun_ || std::exchange(recorded_, true)) return;
  if (record_.id.empty()) record_.id = record_.request_id;
  record_.ended = std::chrono::steady_clock::now();
  record_.status = failure_ ? failure_->status : 200;
  if (failure_) {
    const bool with_texts = services_.telemetry.recent().limits().texts;
    record_.error = with_texts ? failure_->what() : name_of(*failure_);
  }
  if (failure_) record_.error_code = failure_->code;
  record_.blocked_input = input_.blocked;
  record_.usage = total_usage();
  try {
    services_.telemetry.finished(std::move(record_));
  } catch (const std::exception& error) {  // out of memory: the client need not hear of it
    spdlog::error("{} is not recorded: {}", head_.id, error.what());
  }
}

// How long the engine took for the first token of all, and to begin with it.
void Completion::note_first_token(const EventTimes& times) {
  if (times.first_token == EventTimes::Time() || std::exchange(first_token_noted_, true)) return;
  const auto ms = [&](EventTimes::Time at) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(at - times.submitted).count();
  };
  reply_->note("queue_ms", ms(times.scheduled));
  reply_->note("first_token_ms", ms(times.first_token));
}

void Completion::note_usage() {
  Usage usage = total_usage();
  reply_->note("prompt", usage.prompt_tokens);
  reply_->note("completion", usage.completion_tokens);
}

}  // namespace dbrx
