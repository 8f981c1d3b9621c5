// Any text as a grammar's source is either refused by its trial, or compiles, and then its texts
// can be followed: masks allow something or the text may end, until it ends or an Error says that
// it costs too much. The first line is the kind, the rest the source. (Lists of functions are no
// client's: their schemas are.)
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/grammar.h"
#include "text/grammar_trial.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

constexpr std::array<std::pair<std::string_view, GrammarKind>, 4> kKinds = {{
    {"json_schema", GrammarKind::json_schema},
    {"regex", GrammarKind::regex},
    {"choice", GrammarKind::choice},
    {"lark", GrammarKind::lark},
}};

// Always the first token that may come next.
void follow(GrammarMatcher matcher, std::vector<uint32_t>& mask) {
  for (int n = 0; n < 50 && !matcher.is_over(); ++n) {
    const bool may_end = matcher.mask(mask);
    const auto word = std::ranges::find_if(mask, [](uint32_t bits) { return bits != 0; });
    if (word == mask.end()) {
      if (!may_end) std::abort();
      return;
    }
    matcher.accept(static_cast<int32_t>(word - mask.begin()) * 32 + std::countr_zero(*word));
  }
}

void try_source(std::string_view kind, std::string_view source) {
  static const auto& tokenizer =
      *new Tokenizer(Tokenizer::from_json(tiny::tokenizer_json({}), "fuzz"));
  static auto& compiler = *new GrammarCompiler(tokenizer, tiny::added_id(0), "/proc/self/exe");
  static std::vector<uint32_t> mask((static_cast<size_t>(tokenizer.n_ids()) + 31) / 32);
  for (const auto& [name, value] : kKinds) {
    if (name == kind) follow(compiler.compile(value, source)->start(), mask);
  }
}

}  // namespace
}  // namespace dbrx

// The trial of a grammar is this program.
// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 2 && (*argv)[1] == dbrx::kGrammarTrialCommand) dbrx::grammar_trial_main();
  return 0;
}

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), text.size());
  try {
    dbrx::try_source(text.substr(0, end), text.substr(std::min(end + 1, text.size())));
  } catch (const dbrx::Error& error) {
    if (error.code() == dbrx::Code::internal) throw;
  }
  return 0;
}
