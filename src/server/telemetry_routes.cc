#include "server/telemetry_routes.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "server/api_error.h"
#include "server/http_text.h"
#include "server/openai.h"
#include "telemetry/telemetry.h"

namespace dbrx {
namespace json = boost::json;
namespace {

using Query = std::map<std::string, std::string>;

int64_t number_of(const Query& query, const std::string& name, int64_t least, int64_t most,
                  int64_t otherwise) {
  const auto found = query.find(name);
  if (found == query.end()) return otherwise;
  const std::string& text = found->second;
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw ApiError(
        400,
        name + " must be an integer from " + std::to_string(least) + " to " + std::to_string(most),
        name, "invalid_value");
  }
  return value;
}

std::string text_of(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? "" : found->second;
}

// Others' usage is for admins. Without keys there is only one client.
std::optional<std::string> visible_key(const Identity& client) {
  if (client.scopes.contains(Scope::admin)) return std::nullopt;
  return client.name;
}

HttpResponse json_text(const json::value& value) {
  HttpResponse response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = json::serialize(value);
  return response;
}

// Writing hundreds of series or requests takes milliseconds: aside of the I/O thread.
void send_from_worker(Services& services, const Call& call, std::function<HttpResponse()> make) {
  services.workers.post(call.request->client->id,
                        [reply = call.reply, id = call.request->id, make = std::move(make)] {
                          HttpResponse response;
                          try {
                            response = make();
                          } catch (...) {
                            response = error_response(current_api_error(id));
                          }
                          reply->post([reply, response = std::move(response)]() mutable {
                            reply->send(std::move(response));
                          });
                        });
}

void send_metrics(Services& services, const Call& call) {
  parse_query(call.request->target, {});
  send_from_worker(services, call, [&services] {
    HttpResponse response;
    response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
    response.body = services.telemetry.metrics().text();
    return response;
  });
}

constexpr int64_t kMaxStreams = 64;                // of stats, at a time
constexpr std::chrono::hours kStreamTime{1};       // then the client asks again
constexpr std::chrono::milliseconds kMaxNap{500};  // so soon a stream sees the end of the server

// Numbers again and again, until the client or the server has had enough.
class StatsStream : public std::enable_shared_from_this<StatsStream> {
 public:
  // place: held as long as this lives.
  StatsStream(Services& services, const Call& call, std::chrono::milliseconds interval,
              std::function<bool()> is_draining, std::shared_ptr<void> place)
      : services_(services),
        reply_(call.reply),
        client_(call.request->client->id),
        only_key_(visible_key(*call.request->client)),
        interval_(interval),
        is_draining_(std::move(is_draining)),
        place_(std::move(place)) {}

  void begin(bool head_only) {
    HttpResponse head;
    head.headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                    {"Cache-Control", "no-cache"},
                    {"X-Accel-Buffering", "no"}};
    reply_->begin_stream(std::move(head), ": ping\n\n");
    head_only ? reply_->end(false) : next();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void next() {
    if (!reply_->is_open()) return;
    if (is_draining_()) return reply_->end(true);
    const Clock::time_point now = Clock::now();
    if (now > end_) return reply_->end(false);
    if (now < due_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_ - now);
      return reply_->post_after(std::min(left, kMaxNap),
                                [self = shared_from_this()] { self->next(); });
    }
    due_ = now + interval_;
    services_.workers.post(client_, [self = shared_from_this()] { self->write(); });
  }

  // On a text worker: with many experts and keys it takes a while.
  void write() {
    std::string event;
    try {
      event = "data: " + json::serialize(services_.telemetry.stats_json(only_key_)) + "\n\n";
    } catch (const std::exception& error) {  // out of memory
      spdlog::error("a stream of stats ends: {}", error.what());
    }
    reply_->post([self = shared_from_this(), event = std::move(event)] {
      if (event.empty()) return self->reply_->end(true);
      self->reply_->write(event);
      self->next();
    });
  }

  Services& services_;
  std::shared_ptr<Reply> reply_;
  uint64_t client_;
  std::optional<std::string> only_key_;
  std::chrono::milliseconds interval_;
  std::function<bool()> is_draining_;
  std::shared_ptr<void> place_;
  Clock::time_point due_ = Clock::now();
  Clock::time_point end_ = due_ + kStreamTime;
};

// How many streams there are: who holds a place counts.
class StreamPlaces {
 public:
  // Throws ApiError(429).
  std::shared_ptr<void> take() {
    if (used_.use_count() > kMaxStreams) {
      throw ApiError(429,
                     "the server has " + std::to_string(kMaxStreams) +
                         " streams of stats, as many as it gives: try again later, or without "
                         "stream=true",
                     "stream", "rate_limit_exceeded");
    }
    return used_;
  }

 private:
  std::shared_ptr<void> used_ = std::make_shared<char>();
};

void send_stats(Services& services, const Call& call, const std::function<bool()>& is_draining,
                StreamPlaces& places) {
  const Query query = parse_query(call.request->target, {"stream", "interval_ms"});
  const std::string stream = text_of(query, "stream");
  if (!stream.empty() && stream != "true" && stream != "false") {
    throw ApiError(400, "stream must be true or false", "stream", "invalid_value");
  }
  const std::chrono::milliseconds interval(number_of(query, "interval_ms", 100, 10'000, 1000));
  if (stream == "true") {
    return std::make_shared<StatsStream>(services, call, interval, is_draining, places.take())
        ->begin(call.request->method == "HEAD");
  }
  send_from_worker(services, call, [&services, only_key = visible_key(*call.request->client)] {
    return json_text(services.telemetry.stats_json(only_key));
  });
}

void send_requests(Services& services, const Call& call) {
  const RecentRequests& recent = services.telemetry.recent();
  if (recent.limits().max_requests == 0) {
    throw ApiError(404, "this server does not keep requests (--no-record-requests)", "",
                   "not_recorded");
  }
  const Query query = parse_query(call.request->target, {"limit", "after", "search"});
  constexpr int64_t kNewest = std::numeric_limits<int64_t>::max();
  const RecentQuery wanted = {.limit = static_cast<size_t>(number_of(query, "limit", 1, 1000, 50)),
                              .after = number_of(query, "after", 1, kNewest, kNewest),
                              .search = text_of(query, "search")};
  send_from_worker(services, call, [&recent, wanted] {
    const RecentRequests::Page page = recent.find(wanted);
    json::array data;
    for (const auto& request : page.requests) data.push_back(request_json(*request));
    return json_text(
        json::object{{"object", "list"}, {"data", std::move(data)}, {"has_more", page.has_more}});
  });
}

}  // namespace

std::vector<Route> telemetry_routes(Services& services, std::function<bool()> is_draining) {
  return {
      {"GET", "/metrics", "numbers for Prometheus",
       [&services](const Call& call) { send_metrics(services, call); }, Scope::metrics,
       /*is_probe=*/true},
      {"GET", "/dbrx/v1/stats", "numbers for people and pages, once or as a stream",
       [&services, is_draining = std::move(is_draining), places = std::make_shared<StreamPlaces>()](
           const Call& call) { send_stats(services, call, is_draining, *places); },
       Scope::metrics},
      {"GET", "/dbrx/v1/requests", "recent requests, newest first",
       [&services](const Call& call) { send_requests(services, call); }, Scope::admin},
  };
}

}  // namespace dbrx
