// One call for a chat or text completion, in any dialect, from the body to the last byte:
// start() on a text worker, receive() on the engine thread, the rest on the I/O thread. The way to
// the engine is in completion_start.cc, what the safety filters add in completion_safety.cc, what
// it takes of its client's limits in completion_limits.cc, what is remembered of it in
// completion_record.cc.
//
// Who keeps whom alive: the engine its requests, their sinks this object, this object the reply.
// Nobody points back with more than a weak pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "safety/safety_stream.h"
#include "server/answer_format.h"
#include "server/api_error.h"
#include "server/http.h"
#include "server/identity.h"
#include "server/openai_parse.h"
#include "server/rate_limits.h"
#include "server/services.h"
#include "telemetry/request_record.h"

namespace dbrx {

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  Completion(Services& services, std::shared_ptr<Reply> reply, const HttpRequest& request,
             const CompletionRoute& route);

  // Parses, checks, tokenizes, submits; goes on elsewhere when a grammar has to be compiled, or the
  // classifier asked. Failures become an answer.
  void start(const CompletionRoute& route, std::string_view body);

  // The answer is no longer wanted: cancels it and, when somebody still listens, says so at once,
  // however long the engine's step takes. On the I/O thread.
  void abort();

  // Answers with an error when the engine is stalled or could not hand on the last event. True when
  // the call is over. On the I/O thread.
  bool end_if_hopeless(bool engine_stalled);

 private:
  using Requests = std::vector<std::shared_ptr<Request>>;
  struct Choice {
    ChoiceAnswer answer;                      // a stream uses only its prompt and its end
    std::optional<SafetyStream> safety;       // when filters watch it
    std::optional<ToolCallParser> calls;      // when functions may be called
    std::optional<Event> held;                // the answer so far, when the classifier shall see it
    std::vector<ClassifierVerdict> verdicts;  // of the answer
    std::vector<uint16_t> experts;            // as Event::routed_experts, of a whole answer
    bool ended = false;
    int64_t text_offset = 0;  // of completions with logprobs: characters
  };
  struct Arrival {
    size_t request;  // index of the prompt
    Event event;
  };

  void go_on(const std::function<void()>& step);
  void parse(const CompletionRoute& route, std::string_view body);
  void compile();
  void ask();
  void require_priority() const;
  Requests prepare();
  std::function<void()> lose();  // for Request::lost
  void reserve(const Requests& requests);
  void settle();
  void submit(const Requests& requests);
  void post_begin();
  void classify(const std::shared_ptr<Classification>& texts, bool beyond_bound);
  void classify_input(Requests&& requests);
  void answer_classified(const Requests& requests, Classification::Result&& result);
  void remember(const std::vector<std::vector<std::string>>& keys,
                const std::vector<ClassifierVerdict>& verdicts);
  void answer_blocked();
  void refuse(const ApiError& error);
  void cancel();

  void receive(size_t request, Event&& event);

  void begin();
  void begin_stream();
  void drain();
  void handle(Arrival& arrival);
  void complete_if_over();
  void answer(size_t request, int32_t index, Event& event);
  void publish(int32_t index, Event& event);
  void hold(int32_t index, const Event& event);
  void classify_output(int32_t index, const std::string& text);
  void answer_held(int32_t index, Classification::Result&& result);
  static void filter(SafetyStream& safety, Event& event);
  static ToolCallParser::Piece show(Choice& choice, const Event& event);
  std::optional<SafetyReport> report(const Choice& choice) const;
  std::span<const TokenInfo> listed_tokens(const Event& event) const;
  LogprobsFormat logprobs_format() const;
  void cancel_choice(size_t request, int32_t choice);
  void stream_prompt(int32_t index);
  void stream_event(int32_t index, const Event& event, const ToolCallParser::Piece& shown);
  void collect_event(int32_t index, Event& event, ToolCallParser::Piece&& shown);
  void fail(const ApiError& error);
  void complete();
  void send_whole();
  Usage total_usage() const;
  ChunkUsage chunk_usage(Usage& storage) const;
  void add_headers(HttpResponse& response) const;
  void note_first_token(const EventTimes& times);
  void note_usage();
  void record_request();
  void record_prompts(const Requests& requests);
  void record_event(int32_t index, const Event& event);
  void record_shown(int32_t index, const Event& event, const ToolCallParser::Piece& shown);
  void record_end(const std::optional<ApiError>& failure);

  Services& services_;
  std::shared_ptr<Reply> reply_;
  std::shared_ptr<const Identity> client_;
  std::shared_ptr<const ReadySafety> safety_;  // as it was when the call began

  // Written by start(), constant afterwards.
  CompletionRequest request_;
  std::shared_ptr<const Grammar> grammar_;  // that the answer follows, if any
  AnswerHead head_;
  std::unique_ptr<AnswerFormat> format_;
  uint64_t seed_ = 0;
  bool filtered_ = false;                                 // safety filters watch the call
  InputCheck input_;                                      // what they found in its texts
  std::vector<std::string> prompt_texts_;                 // [prompts], when they are echoed
  std::vector<std::vector<int32_t>> prompt_ids_;          // [prompts], when they are returned
  std::unique_ptr<RateLimits::Reservation> reservation_;  // null: of a client without limits
  RequestRecord record_;                                  // the I/O thread goes on with it

  // The I/O thread's.
  bool begun_ = false;  // what start() wrote may be read
  bool done_ = false;   // the answer is complete, or on its way, or nobody wants it
  bool first_token_noted_ = false;
  bool recorded_ = false;            // record_ has been handed on
  std::optional<ApiError> failure_;  // the first, if it failed
  size_t n_finished_ = 0;            // requests
  size_t n_held_ = 0;                // complete answers that the classifier has not seen
  std::vector<Usage> usage_;         // [prompts]
  std::vector<Choice> choices_;      // [prompts * n]

  std::atomic<bool> aborted_{false};
  std::atomic<bool> lost_{false};  // an event that was the last
  std::mutex mutex_;               // guards what is below
  std::vector<std::weak_ptr<Request>> submitted_;
  std::vector<std::weak_ptr<Classification>> classifications_;
  std::deque<Arrival> arrivals_;
  bool drain_posted_ = true;  // drain() will be called; first by begin()
};

}  // namespace dbrx
