// What is remembered of a request to the model once it is over: the one source of metrics, of the
// list of recent requests and of traces.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"

namespace dbrx {

// Where a request belongs among those of other programs (W3C Trace Context).
struct TraceParent {
  std::string trace_id;  // 32 hexadecimal digits; empty: the request begins a trace
  std::string span_id;   // 16, of the caller's span
  bool sampled = true;   // the caller records this trace
};

struct CallRecord {
  std::string id = {};
  std::string name = {};
  std::string arguments = {};  // JSON
};

struct ChoiceRecord {
  EventTimes times;  // `now`: of its last event
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  std::optional<FinishReason> finish;  // none: it was still going on when the request ended
  std::string answer;  // its text and calls as the client got them, where texts are recorded
  std::vector<CallRecord> calls;
};

// What the request asked for, as far as it is known: what could not be read is missing.
struct RequestParams {
  int32_t n = 1;
  std::optional<int64_t> max_tokens;
  std::optional<SamplingParams> sampling;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool stream = false;
};

struct RequestRecord {
  using Time = std::chrono::steady_clock::time_point;

  int64_t serial = 0;      // later ones have larger ones; given by RecentRequests
  std::string id;          // of the answer, "chatcmpl-..."; else the request_id
  std::string request_id;  // x-request-id, the client's or ours
  std::string key;         // name of the client's key; empty: the server has none
  std::string model;       // as it was served; empty: refused before that was known
  std::string route;       // "/v1/chat/completions": the pattern, so there are few of them
  std::string dialect;     // "openai", "databricks", "anthropic", "responses"
  bool is_chat = true;     // else the continuation of a text
  RequestParams params;
  TraceParent parent;

  std::chrono::system_clock::time_point at;  // when it had arrived
  Time started;                              // the same, by the clock of all other times
  Time ended;
  int status = 0;              // of HTTP; 499: the client left
  std::string error;           // what the client was told; empty: an answer
  std::string error_code;      // "context_length_exceeded"; may be empty with an error
  bool blocked_input = false;  // by the safety filters
  bool blocked_output = false;
  Usage usage;
  std::vector<ChoiceRecord> choices;  // [prompts * n]; empty: the engine never had it

  // Where texts are recorded: the messages (a list of objects) or prompts as JSON, as the model got
  // them; empty when they are too long to keep.
  std::string input;
  bool is_cut = false;  // the input is missing for that, or an answer ends early
};

// Seconds between two times; 0 where one of them never came.
inline double seconds_between(RequestRecord::Time from, RequestRecord::Time to) {
  if (from == RequestRecord::Time{} || to == RequestRecord::Time{} || to < from) return 0;
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace dbrx
