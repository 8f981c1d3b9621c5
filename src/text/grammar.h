// Which tokens may come next, when a text must follow a grammar: structured output and tool calls.
// A token is allowed when its bytes can go on in the grammar; special tokens never are, unless a
// Lark grammar names them. The work is llguidance's (rust/src/grammar.rs).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/recent_map.h"
#include "text/grammar_trial.h"
#include "text/tokenizer.h"

struct DbrxTextGrammar;
struct DbrxTextVocabulary;

namespace dbrx {

enum class GrammarKind {
  json_schema,  // a JSON Schema; what can't be honoured of it is refused
  regex,        // the whole text, in the syntax of Rust's regex crate without look-around
  choice,       // a JSON list of strings
  lark,         // llguidance's dialect of Lark
  // Free text, then calls of functions, one a line: <tool_call>{"name": ..., "arguments":
  // {...}}</tool_call>.
  // {"functions": [{"name", "parameters": schema}], "required": no text, "parallel": several calls}
  calls,
};

struct CloseGrammar {
  void operator()(DbrxTextGrammar* handle) const;
};
using GrammarHandle = std::unique_ptr<DbrxTextGrammar, CloseGrammar>;

// The time that one step of a text may take, and whether one has taken more: shared by a grammar
// and its texts.
struct GrammarPace {
  const double max_seconds;
  std::atomic<bool> exceeded{false};
};

// Where one text stands in its grammar. Movable; used by one thread at a time.
class GrammarMatcher {
 public:
  // Sets bit i % 32 of word i / 32 for each token id i that may come next; true when the text may
  // end here. An end-of-text id is never set. Throws Error(resource_exhausted or internal): the
  // work has a bound, which grammars made for that reach after 1 to 3 seconds. Once it took more
  // than the pace, all texts of the grammar fail at once.
  bool mask(std::span<uint32_t> allowed);

  // Takes a token that the mask allowed. Throws Error as mask does.
  void accept(int32_t token);

  // Whether nothing can follow.
  bool is_over() const { return over_; }

 private:
  friend class Grammar;
  GrammarHandle rust_;
  std::shared_ptr<GrammarPace> pace_;  // the grammar's
  bool over_ = false;
};

// A compiled grammar. Immutable; may be shared by threads.
class Grammar {
 public:
  GrammarMatcher start() const;
  // Whether no text of it gets another mask.
  bool too_slow() const { return pace_->exceeded; }

 private:
  friend class GrammarCompiler;
  Grammar(GrammarHandle rust, double max_seconds)
      : rust_(std::move(rust)), pace_(std::make_shared<GrammarPace>(max_seconds)) {}

  GrammarHandle rust_;
  std::shared_ptr<GrammarPace> pace_;
};

// Compiles grammars for one tokenizer and keeps the last ones, and apart from them what was wrong
// with those that it refused. May be called from several threads.
class GrammarCompiler {
 public:
  // eos_id: any id that ends a text, below tokenizer.n_ids(). The tokenizer outlives the compiler.
  // trial_program: a program that tries each source first (GrammarTrial); "" when nobody else's
  // sources are compiled, since nothing then bounds what one may cost. max_mask_seconds: of the
  // thread's own time, which does not pass while others run.
  GrammarCompiler(const Tokenizer& tokenizer, int32_t eos_id, const std::string& trial_program,
                  double max_mask_seconds = 1);

  // A grammar that was compiled before. Null when it isn't remembered. Throws Error as compile did
  // when it was refused.
  std::shared_ptr<const Grammar> kept(GrammarKind kind, std::string_view source);

  // Throws Error: invalid_argument saying what is wrong with the source, or that it would cost too
  // much: more than 16 KiB of rules (lark, regex), 256 KiB of anything else, or a trial's budget;
  // resource_exhausted when there can't be a trial. Takes as long as the trial once more, and a
  // mask. One source is compiled once: who asks for it meanwhile waits.
  std::shared_ptr<const Grammar> compile(GrammarKind kind, std::string_view source);

 private:
  struct Close {
    void operator()(DbrxTextVocabulary* handle) const;
  };
  class Turn;

  std::shared_ptr<const Grammar> find(const std::string& key);
  std::shared_ptr<const Grammar> make(GrammarKind kind, std::string_view source, size_t& n_bytes);
  DbrxTextVocabulary* vocabulary();

  const Tokenizer& tokenizer_;
  int32_t eos_id_;
  std::optional<GrammarTrial> trial_;
  double max_mask_seconds_;
  std::once_flag opened_;
  std::unique_ptr<DbrxTextVocabulary, Close> rust_;  // made when it is first needed
  std::mutex mutex_;                                 // guards what is below
  std::condition_variable turn_over_;
  std::set<std::string> in_work_;  // keys of what is compiled now
  RecentMap<std::shared_ptr<const Grammar>> grammars_;
  RecentMap<Error> refusals_;
};

}  // namespace dbrx
