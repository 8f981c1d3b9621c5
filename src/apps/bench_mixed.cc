#include "apps/bench_mixed.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/engine.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr int64_t kAnswerTokens = 8192;  // then a sequence is replaced by a new one
constexpr int kStepsAlone = 40;          // before the first prompt

double seconds_between(Time a, Time b) { return std::chrono::duration<double>(b - a).count(); }

int64_t cache_tokens(const MixedLoad& load) {
  constexpr int64_t kPrompts = 4;  // beside each other, when they come faster than they are done
  return load.sequences * (kAnswerTokens + kKvBlockTokens) + kPrompts * (load.prompt_tokens + 128);
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

class Mixed {
 public:
  Mixed(Context& context, Model& model, Format kv_format, const MixedLoad& load)
      : load_(load),
        vocab_(static_cast<uint32_t>(model.config().vocab_size)),
        engine_(context, model, nullptr,
                {.max_sequences = std::min<int64_t>(load.sequences + 16, load.max_rows),
                 .max_batched_tokens = load.max_rows,
                 .max_context = std::max(kAnswerTokens + kKvBlockTokens, load.prompt_tokens + 128),
                 .kv_blocks = cache_tokens(load) / kKvBlockTokens,
                 .kv_format = kv_format,
                 .prefill_slowdown = load.prefill_slowdown}) {}

  // Tokens per second of a prompt that has the engine for itself.
  double idle_rate() {
    add_prompt(Clock::now());  // the first one warms everything up
    while (engine_.step()) {
    }
    done_.clear();
    add_prompt(Clock::now());
    while (engine_.step()) {
    }
    return rate();
  }

  // Seconds between tokens without prompts.
  std::vector<double> alone() {
    for (int64_t i = 0; i < load_.sequences; ++i) add_generating();
    engine_.step();
    gaps_.clear();
    for (int i = 0; i < kStepsAlone; ++i) engine_.step();
    return std::exchange(gaps_, {});
  }

  void run() {
    done_.clear();
    const Time begin = Clock::now();
    for (int64_t n_prompts = 0; seconds_between(begin, Clock::now()) < load_.seconds;) {
      const Time due =
          begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                      static_cast<double>(n_prompts) * load_.prompt_every));
      if (Clock::now() >= due) {
        add_prompt(due);
        ++n_prompts;
      }
      engine_.step();
      show_progress(seconds_between(begin, Clock::now()));
    }
    engine_.stop(/*abort=*/true);
    while (engine_.step()) {
    }
    if (!failure_.empty()) throw Error(Code::internal, failure_);
    if (done_.empty()) {
      throw Error(Code::invalid_argument,
                  "--test mixed: no prompt was done in time: give a longer --duration or a shorter "
                  "--prompt-tokens");
    }
  }

  const std::vector<double>& gaps() const { return gaps_; }

  // Of the prompts that are done, while they were computed.
  double rate() const {
    double seconds = 0;
    for (const Done& prompt : done_) seconds += seconds_between(prompt.scheduled, prompt.first);
    return static_cast<double>(std::ssize(done_) * load_.prompt_tokens) / seconds;
  }

  std::vector<double> waits() const {
    std::vector<double> seconds;
    for (const Done& prompt : done_) seconds.push_back(seconds_between(prompt.due, prompt.first));
    return seconds;
  }

 private:
  struct Done {
    Time due, scheduled, first;
  };

  std::shared_ptr<Request> make_request(int64_t n_prompt, int64_t max_tokens) {
    auto request = std::make_shared<Request>();
    for (int64_t i = 0; i < n_prompt; ++i) {
      request->prompt.push_back(static_cast<int32_t>(random_() % vocab_));
    }
    request->stop.max_tokens = max_tokens;
    request->stop.ignore_eos = true;
    return request;
  }

  void add_generating() {
    auto request = make_request(16, kAnswerTokens);
    request->sink = [this, last = Time()](Event&& event) mutable {
      if (last != Time()) gaps_.push_back(seconds_between(last, event.times.now));
      last = event.times.now;
      if (event.finish == FinishReason::error) failure_ = event.error;
      if (event.finish == FinishReason::length) add_generating();
    };
    CHECK(engine_.submit(std::move(request)) == SubmitResult::ok);
  }

  void add_prompt(Time due) {
    auto request = make_request(load_.prompt_tokens, 1);
    request->sink = [this, due](Event&& event) {
      if (event.finish == FinishReason::error) failure_ = event.error;
      if (event.finish != FinishReason::length) return;
      done_.push_back({due, event.times.scheduled, event.times.first_token});
    };
    CHECK(engine_.submit(std::move(request)) == SubmitResult::ok);
  }

  void show_progress(double seconds) const {
    if (isatty(STDERR_FILENO) == 0) return;
    std::fprintf(stderr, "\r\033[Kmixed, %.0f of %.0f s, %zu prompts done", seconds, load_.seconds,
                 done_.size());
  }

  MixedLoad load_;
  uint32_t vocab_;
  std::mt19937 random_{1};
  std::vector<double> gaps_;  // seconds between two tokens of a sequence
  std::vector<Done> done_;    // prompts
  std::string failure_;
  Engine engine_;
};

}  // namespace

int64_t mixed_cache_bytes(const ModelConfig& config, Format kv_format, const MixedLoad& load) {
  return cache_tokens(load) * KvCache::bytes_per_token(config, kv_format);
}

void bench_mixed(Context& context, Model& model, Format kv_format, const MixedLoad& load,
                 const RowName& name, std::vector<BenchRow>& rows) {
  Mixed mixed(context, model, kv_format, load);
  const double idle = mixed.idle_rate();
  const std::vector<double> alone = mixed.alone();
  mixed.run();
  const auto add = [&](const char* shape, const char* unit, double value, RoofShare share) {
    BenchRow row{.name = name, .unit = unit, .samples = {{.value = value, .share = share}}};
    row.name.shape = shape;
    row.name.sequences = load.sequences;
    row.name.tokens = load.prompt_tokens;
    rows.push_back(std::move(row));
  };
  const double p50 = quantile(mixed.gaps(), 0.5);
  const double p99 = quantile(mixed.gaps(), 0.99);
  add("token alone, p50", "ms", quantile(alone, 0.5) * 1e3, {});
  add("token, p50", "ms", p50 * 1e3, {});
  add("token, p99", "ms", p99 * 1e3, {});
  add("token, p99/p50", "", p99 / p50, {});
  add("prompt alone", "tokens/s", idle, {});
  add("prompt", "tokens/s", mixed.rate(), {.share = mixed.rate() / idle, .roof = "idle"});
  add("first token, p50", "s", quantile(mixed.waits(), 0.5), {});
  add("first token, max", "s", quantile(mixed.waits(), 1), {});
}

}  // namespace dbrx
