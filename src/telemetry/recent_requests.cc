#include "telemetry/recent_requests.h"

#include <algorithm>
#include <utility>

namespace dbrx {
namespace json = boost::json;
namespace {

size_t bytes_of(const RequestRecord& record) {
  size_t n = sizeof record + record.id.size() + record.request_id.size() + record.key.size() +
             record.model.size() + record.error.size() + record.error_code.size() +
             record.input.size();
  for (const std::string& stop : record.params.stop) n += sizeof(std::string) + stop.size();
  for (const ChoiceRecord& choice : record.choices) {
    n += sizeof choice + choice.answer.size();
    for (const CallRecord& call : choice.calls) {
      n += sizeof call + call.id.size() + call.name.size() + call.arguments.size();
    }
  }
  return n;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool contains(const std::string& text, const std::string& lower_part) {
  return std::search(text.begin(), text.end(), lower_part.begin(), lower_part.end(),
                     [](char a, char b) { return lower(a) == b; }) != text.end();
}

bool matches(const RequestRecord& record, const std::string& part) {
  const auto found = [&](const std::string& text) { return contains(text, part); };
  return found(record.id) || found(record.request_id) || found(record.key) || found(record.model) ||
         found(record.route) || found(record.error) || found(record.input) ||
         std::any_of(record.choices.begin(), record.choices.end(), [&](const ChoiceRecord& choice) {
           return found(choice.answer) || std::any_of(choice.calls.begin(), choice.calls.end(),
                                                      [&](const CallRecord& call) {
                                                        return found(call.name) ||
                                                               found(call.arguments);
                                                      });
         });
}

const char* finish_name(std::optional<FinishReason> finish) {
  if (finish == FinishReason::stop) return "stop";
  if (finish == FinishReason::length) return "length";
  return finish == FinishReason::error ? "error" : "cancelled";
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(json::string(text));
}

json::value seconds_or_null(RequestRecord::Time from, RequestRecord::Time to) {
  const RequestRecord::Time never{};
  if (from == never || to == never) return nullptr;
  return seconds_between(from, to);
}

json::object params_json(const RequestParams& params) {
  json::object out = {{"n", params.n}, {"stream", params.stream}};
  if (params.max_tokens) out["max_tokens"] = *params.max_tokens;
  if (params.sampling) {
    out["temperature"] = params.sampling->temperature;
    out["top_p"] = params.sampling->top_p;
    out["top_k"] = params.sampling->top_k;
  }
  if (params.seed) out["seed"] = static_cast<int64_t>(*params.seed);
  if (!params.stop.empty()) out["stop"] = json::value_from(params.stop);
  return out;
}

json::array calls_json(const ChoiceRecord& choice) {
  json::array out;
  for (const CallRecord& call : choice.calls) {
    out.push_back(json::object{{"id", json::string(call.id)},
                               {"name", json::string(call.name)},
                               {"arguments", json::string(call.arguments)}});
  }
  return out;
}

json::array choices_json(const RequestRecord& record) {
  json::array out;
  for (const ChoiceRecord& choice : record.choices) {
    const EventTimes& times = choice.times;
    out.push_back(json::object{
        {"finish_reason", finish_name(choice.finish)},
        {"completion_tokens", choice.generated_tokens},
        {"preemptions", choice.preemptions},
        {"queue_seconds", seconds_or_null(times.submitted, times.scheduled)},
        {"prefill_seconds", seconds_or_null(times.scheduled, times.first_token)},
        {"decode_seconds", seconds_or_null(times.first_token, times.now)},
        {"time_to_first_token_seconds", seconds_or_null(record.started, times.first_token)},
        {"answer", text_or_null(choice.answer)},
        {"tool_calls", calls_json(choice)}});
  }
  return out;
}

}  // namespace

void RecentRequests::add(RequestRecord record) {
  if (limits_.max_requests == 0) return;
  const size_t bytes = bytes_of(record);
  const auto shared = std::make_shared<RequestRecord>(std::move(record));
  const std::lock_guard lock(mutex_);
  shared->serial = ++n_added_;
  entries_.push_front({shared, bytes});
  bytes_ += bytes;
  while (entries_.size() > limits_.max_requests || bytes_ > limits_.max_bytes) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

RecentRequests::Page RecentRequests::find(const RecentQuery& query) const {
  std::vector<std::shared_ptr<const RequestRecord>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_) all.push_back(entry.record);
  }
  auto at = std::find_if(all.begin(), all.end(),
                         [&](const auto& record) { return record->serial < query.after; });
  std::string part = query.search;
  std::transform(part.begin(), part.end(), part.begin(), lower);
  Page page;
  for (; at != all.end(); ++at) {
    if (!part.empty() && !matches(**at, part)) continue;
    if (page.requests.size() == query.limit) {
      page.has_more = true;
      break;
    }
    page.requests.push_back(*at);
  }
  return page;
}

json::object request_json(const RequestRecord& record) {
  using std::chrono::duration;
  return {{"cursor", record.serial},
          {"id", record.id},
          {"request_id", record.request_id},
          {"at", duration<double>(record.at.time_since_epoch()).count()},
          {"key", text_or_null(record.key)},
          {"model", text_or_null(record.model)},
          {"route", record.route},
          {"dialect", record.dialect},
          {"status", record.status},
          {"error", text_or_null(record.error)},
          {"error_code", text_or_null(record.error_code)},
          {"blocked", record.blocked_input || record.blocked_output},
          {"seconds", seconds_between(record.started, record.ended)},
          {"params", params_json(record.params)},
          {"usage", json::object{{"prompt_tokens", record.usage.prompt_tokens},
                                 {"cached_tokens", record.usage.cached_tokens},
                                 {"completion_tokens", record.usage.completion_tokens}}},
          {"choices", choices_json(record)},
          {"input", record.input.empty() ? json::value(nullptr) : json::parse(record.input)},
          {"is_cut", record.is_cut}};
}

}  // namespace dbrx
