// What the filters add: whole texts in bytes per second, streams in time per token.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "safety/keywords.h"
#include "safety/pii.h"
#include "safety/safety_stream.h"

namespace dbrx {
namespace {

// Prose with some numbers; with an address and a phone number in each part if asked for.
std::string text_of(bool has_matches) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "The committee met on 12 May 2024 and looked at 1,250 applications from 37 towns; ";
    text += has_matches ? "write to jane.doe@example.com or call (415) 555-2671 for the rest. "
                        : "its members found that most of them were complete and well written. ";
  }
  return text;
}

std::vector<SafetyRule> rules_of(int64_t n_keywords) {
  if (n_keywords == 0) return {{make_pii_filter(), SafetyAction::mask}};
  std::vector<std::string> phrases;
  for (int64_t i = 0; i < n_keywords; ++i) phrases.push_back("secret" + std::to_string(i));
  return {{make_keyword_filter(phrases), SafetyAction::mask}};
}

// Arguments: keywords (0: personal data instead), whether the text has matches.
void bm_whole(benchmark::State& state) {
  const std::vector<SafetyRule> rules = rules_of(state.range(0));
  const std::string text = text_of(state.range(1) != 0);
  for (auto _ : state) {
    SafetyStream stream(rules);
    std::string out;
    stream.push(text, out);
    stream.finish(out);
    benchmark::DoNotOptimize(out);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(bm_whole)->Args({0, 0})->Args({0, 1})->Args({100, 0})->Args({10'000, 0});

// Tokens of 4 bytes; one item is a token.
void bm_stream(benchmark::State& state) {
  const std::vector<SafetyRule> rules = rules_of(state.range(0));
  const std::string text = text_of(state.range(1) != 0);
  for (auto _ : state) {
    SafetyStream stream(rules);
    std::string out;
    for (size_t at = 0; at < text.size(); at += 4) {
      stream.push(std::string_view(text).substr(at, 4), out);
    }
    stream.finish(out);
    benchmark::DoNotOptimize(out);
  }
  const auto n_tokens = static_cast<int64_t>((text.size() + 3) / 4);
  state.SetItemsProcessed(state.iterations() * n_tokens);
  state.counters["s_per_token"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_tokens),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(bm_stream)->Args({0, 0})->Args({0, 1})->Args({100, 0})->Args({10'000, 0});

}  // namespace
}  // namespace dbrx
