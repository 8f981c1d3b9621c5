// What grammars cost: compiling a schema, the first copy of it, and the masks along a JSON text.
// DBRX_BENCH_MODEL names a directory with a tokenizer.json (models/dbrx-nano).
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "text/grammar.h"

namespace dbrx {
namespace {

constexpr const char* kSchema = R"({
  "type": "object", "additionalProperties": false, "required": ["name", "age", "tags", "address"],
  "properties": {
    "name": {"type": "string"}, "age": {"type": "integer"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "address": {"type": "object", "properties": {"city": {"type": "string"},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["city", "zip"]}}})";
constexpr const char* kText =
    R"({"name": "Maria da Silva Lopez", "age": 41, "tags": ["early riser", "runs marathons"], )"
    R"("address": {"city": "Lisbon", "zip": "12345"}})";

struct Fixture {
  Fixture() {
    const char* dir = std::getenv("DBRX_BENCH_MODEL");
    tokenizer.emplace(Tokenizer::load(dir == nullptr ? "models/dbrx-nano" : dir));
    compiler.emplace(*tokenizer, tokenizer->special_id("<|endoftext|>").value(), "");
  }
  std::optional<Tokenizer> tokenizer;
  std::optional<GrammarCompiler> compiler;
};

Fixture& fixture() {
  static Fixture instance;
  return instance;
}

void bm_compile(benchmark::State& state) {
  fixture().compiler->compile(GrammarKind::regex, "a");  // makes the tree of the vocabulary
  int64_t n = 0;
  for (auto _ : state) {
    // A schema that is not in the compiler's memory yet.
    const std::string title = R"({"title": ")" + std::to_string(n++) + "\",";
    benchmark::DoNotOptimize(fixture().compiler->compile(GrammarKind::json_schema,
                                                         title + std::string(kSchema).substr(1)));
  }
}

void bm_start(benchmark::State& state) {
  const auto grammar = fixture().compiler->compile(GrammarKind::json_schema, kSchema);
  for (auto _ : state) benchmark::DoNotOptimize(grammar->start());
}

// Time per token, mask and acceptance.
void bm_token(benchmark::State& state) {
  const Tokenizer& tokenizer = *fixture().tokenizer;
  const auto grammar = fixture().compiler->compile(GrammarKind::json_schema, kSchema);
  const std::vector<int32_t> ids = tokenizer.encode(kText, Specials::as_text);
  std::vector<uint32_t> mask((static_cast<size_t>(tokenizer.n_ids()) + 31) / 32);
  int64_t n_tokens = 0;
  for (auto _ : state) {
    GrammarMatcher matcher = grammar->start();
    for (const int32_t id : ids) {
      matcher.mask(mask);
      matcher.accept(id);
    }
    n_tokens += static_cast<int64_t>(ids.size());
  }
  state.counters["time per token"] = benchmark::Counter(
      static_cast<double>(n_tokens), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK(bm_compile)->Unit(benchmark::kMicrosecond);
BENCHMARK(bm_start)->Unit(benchmark::kMicrosecond);
BENCHMARK(bm_token)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dbrx
