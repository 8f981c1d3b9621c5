// How fast texts become tokens. DBRX_BENCH_MODEL names a directory with a tokenizer.json
// (models/dbrx-nano).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "text/tokenizer.h"

namespace dbrx {
namespace {

// Words that differ, so that no memory of words helps more than it does in a real text.
std::string some_text(size_t n_bytes) {
  constexpr const char* kSyllables[] = {"ba",  "ten", "lo",  "mir", "ka",   "sun", "der", "ly",
                                        "ing", "pro", "con", "ver", "tion", "al",  "er",  "est"};
  std::string text;
  for (uint32_t x = 1; text.size() < n_bytes;) {
    for (uint32_t n = 1 + x % 4; n > 0; --n) {
      x = x * 1664525u + 1013904223u;
      text += kSyllables[x >> 28];
    }
    text += x % 11 == 0 ? ". " : x % 7 == 0 ? ", " : " ";
  }
  return text;
}

void bm_tokenize(benchmark::State& state) {
  const char* dir = std::getenv("DBRX_BENCH_MODEL");
  const Tokenizer tokenizer = Tokenizer::load(dir == nullptr ? "models/dbrx-nano" : dir);
  const std::string text = some_text(static_cast<size_t>(state.range(0)));
  size_t n_tokens = 0;
  for (auto _ : state) {
    const std::vector<int32_t> ids = tokenizer.encode(text, Specials::as_text);
    benchmark::DoNotOptimize(ids.data());
    n_tokens += ids.size();
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(n_tokens), benchmark::Counter::kIsRate);
}

BENCHMARK(bm_tokenize)->Arg(4 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace dbrx
