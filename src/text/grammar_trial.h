// What compiling a grammar costs, found out in a process that may be killed: llguidance's compile
// can't be interrupted, and a source of 40 bytes can keep it busy for ever or fill the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dbrx {

class Tokenizer;

// Of one compile. Usual grammars take milliseconds and a few MB.
inline constexpr int kTrialCpuSeconds = 1;
inline constexpr size_t kTrialMemory = size_t{256} << 20;  // bytes
inline constexpr int kTrialSeconds = 10;  // by the clock, on a machine that is busy

// The argument with which a program runs grammar_trial_main.
inline constexpr std::string_view kGrammarTrialCommand = "grammar-trial";

class GrammarTrial {
 public:
  // Runs `program grammar-trial`, a path, without this one's environment (LD_LIBRARY_PATH aside);
  // "/proc/self/exe" is this program. tokenizer and eos_id as
  // for GrammarCompiler; only looked at here.
  GrammarTrial(std::string program, const Tokenizer& tokenizer, int32_t eos_id);

  // The bytes that the compiled grammar keeps. Throws Error: invalid_argument when the grammar is
  // wrong or exceeds the budget, resource_exhausted when there can't be another process or it gets
  // no time, internal when the program ignores SIGCHLD. Takes about 5 ms for a small grammar, at
  // most kTrialSeconds. From any thread.
  size_t run(std::string_view kind, std::string_view source) const;

 private:
  std::string program_;
  int32_t n_ids_;
  int32_t eos_id_;
  std::string specials_;  // as dbrx_text_vocabulary_of_bytes reads them
};

// Compiles within the budget what GrammarTrial::run sent, answers and ends the process.
[[noreturn]] void grammar_trial_main();

}  // namespace dbrx
