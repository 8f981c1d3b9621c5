#include "text/grammar.h"

#include <ctime>

#include "base/error.h"
#include "text/rust_api.h"

namespace dbrx {
namespace {

// Usual grammars take 0.1 MB; a trial bounds one at 256 MiB.
constexpr size_t kMaxKept = 64;
constexpr size_t kMaxKeptBytes = size_t{64} << 20;
// The work grows faster than the source, fastest with rules: a list of functions needs more room.
constexpr size_t kMaxRuleBytes = size_t{16} << 10;
constexpr size_t kMaxSchemaBytes = size_t{256} << 10;

const char* kind_name(GrammarKind kind) {
  switch (kind) {
    case GrammarKind::json_schema:
      return "json_schema";
    case GrammarKind::regex:
      return "regex";
    case GrammarKind::choice:
      return "choice";
    case GrammarKind::lark:
      return "lark";
    case GrammarKind::calls:
      break;
  }
  return "calls";
}

double thread_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

constexpr const char* kTooSlow =
    "with this grammar, finding the tokens that may come next takes too long: make it smaller";

// Looks at the clock at both ends of its scope.
class PaceWatch {
 public:
  explicit PaceWatch(GrammarPace& pace) : pace_(pace) {
    if (pace_.exceeded) throw Error(Code::resource_exhausted, kTooSlow);
  }
  ~PaceWatch() {
    if (thread_seconds() - begin_ > pace_.max_seconds) pace_.exceeded = true;
  }
  PaceWatch(const PaceWatch&) = delete;
  PaceWatch& operator=(const PaceWatch&) = delete;

 private:
  GrammarPace& pace_;
  double begin_ = thread_seconds();
};

}  // namespace

void CloseGrammar::operator()(DbrxTextGrammar* handle) const { dbrx_text_grammar_close(handle); }

void GrammarCompiler::Close::operator()(DbrxTextVocabulary* handle) const {
  dbrx_text_vocabulary_close(handle);
}

bool GrammarMatcher::mask(std::span<uint32_t> allowed) {
  const PaceWatch watch(*pace_);
  int32_t may_end = 0;
  const rust::Payload done(
      dbrx_text_grammar_mask(rust_.get(), allowed.data(), allowed.size(), &may_end));
  return may_end != 0;
}

void GrammarMatcher::accept(int32_t token) {
  const PaceWatch watch(*pace_);
  int32_t over = 0;
  const rust::Payload done(dbrx_text_grammar_accept(rust_.get(), token, &over));
  over_ = over != 0;
}

GrammarMatcher Grammar::start() const {
  GrammarMatcher matcher;
  DbrxTextGrammar* handle = nullptr;
  const rust::Payload done(dbrx_text_grammar_start(rust_.get(), &handle));
  matcher.rust_.reset(handle);
  matcher.pace_ = pace_;
  return matcher;
}

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, int32_t eos_id,
                                 const std::string& trial_program, double max_mask_seconds)
    : tokenizer_(tokenizer), eos_id_(eos_id), max_mask_seconds_(max_mask_seconds) {
  CHECK(eos_id >= 0 && eos_id < tokenizer.n_ids());
  if (!trial_program.empty()) trial_.emplace(trial_program, tokenizer, eos_id);
}

// The tree of a vocabulary of 100K tokens takes a moment that a start without grammars should not.
DbrxTextVocabulary* GrammarCompiler::vocabulary() {
  std::call_once(opened_, [this] {
    DbrxTextVocabulary* handle = nullptr;
    const rust::Payload done(dbrx_text_vocabulary_open(tokenizer_.rust_.get(), eos_id_, &handle));
    rust_.reset(handle);
  });
  return rust_.get();
}

std::shared_ptr<const Grammar> GrammarCompiler::compile(GrammarKind kind, std::string_view source) {
  const bool is_rules = kind == GrammarKind::lark || kind == GrammarKind::regex;
  const size_t limit = is_rules ? kMaxRuleBytes : kMaxSchemaBytes;
  if (source.size() > limit) {
    throw Error(Code::invalid_argument, "a grammar of " + std::to_string(source.size()) +
                                            " bytes; at most " + std::to_string(limit) +
                                            " are taken");
  }
  std::string key = std::string(kind_name(kind)).append(1, '\0').append(source);
  if (const auto kept = find(key)) return kept;
  size_t n_bytes = key.size();
  if (trial_) n_bytes += trial_->run(kind_name(kind), source);
  DbrxTextGrammar* handle = nullptr;
  const rust::Payload done(dbrx_text_grammar_open(vocabulary(), rust::slice(kind_name(kind)),
                                                  rust::slice(source), &handle));
  GrammarHandle rust(handle);
  const std::shared_ptr<const Grammar> grammar(new Grammar(std::move(rust), max_mask_seconds_));
  keep({std::move(key), grammar, n_bytes});
  return grammar;
}

// Null when it is not there. Throws Error when it has shown to be too slow.
std::shared_ptr<const Grammar> GrammarCompiler::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  const std::shared_ptr<const Grammar> grammar = found->second->grammar;
  if (grammar->too_slow()) throw Error(Code::invalid_argument, kTooSlow);
  return grammar;
}

void GrammarCompiler::keep(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(entry.key)) return;  // another thread was faster
  n_kept_bytes_ += entry.n_bytes;
  recent_.push_front(std::move(entry));
  by_key_.emplace(recent_.front().key, recent_.begin());
  while (recent_.size() > kMaxKept || n_kept_bytes_ > kMaxKeptBytes) {
    n_kept_bytes_ -= recent_.back().n_bytes;
    by_key_.erase(recent_.back().key);
    recent_.pop_back();
  }
}

}  // namespace dbrx
