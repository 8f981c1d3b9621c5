#include "text/grammar.h"

#include <ctime>

#include "base/error.h"
#include "text/rust_api.h"

namespace dbrx {
namespace {

// Usual grammars take 0.1 MB; a trial bounds one at 256 MiB.
constexpr size_t kMaxKept = 64;
constexpr size_t kMaxKeptBytes = size_t{64} << 20;
// Of a refusal the source is kept, and why.
constexpr size_t kMaxRefusals = 256;
constexpr size_t kMaxRefusalBytes = size_t{8} << 20;
// What the first mask adds with all tokens of a vocabulary of 100K, of which a trial knows nothing:
// 20 to 270 kB where it is more than a third of the whole.
constexpr size_t kFirstMaskBytes = size_t{256} << 10;
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

std::string key_of(GrammarKind kind, std::string_view source) {
  return std::string(kind_name(kind)).append(1, '\0').append(source);
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

// One's time to compile a source, unless it is kept: that of nobody else with the same one. Throws
// as find does.
class GrammarCompiler::Turn {
 public:
  Turn(GrammarCompiler& compiler, const std::string& key) : compiler_(compiler), key_(key) {
    std::unique_lock lock(compiler.mutex_);
    compiler.turn_over_.wait(lock, [&] { return !compiler.in_work_.contains(key); });
    kept_ = compiler.find(key);
    if (!kept_) compiler.in_work_.insert(key);
  }
  ~Turn() {
    if (kept_) return;
    const std::lock_guard lock(compiler_.mutex_);
    compiler_.in_work_.erase(key_);
    compiler_.turn_over_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  const std::shared_ptr<const Grammar>& kept() const { return kept_; }

 private:
  GrammarCompiler& compiler_;
  const std::string& key_;
  std::shared_ptr<const Grammar> kept_;
};

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
    : tokenizer_(tokenizer),
      eos_id_(eos_id),
      max_mask_seconds_(max_mask_seconds),
      grammars_(kMaxKept, kMaxKeptBytes),
      refusals_(kMaxRefusals, kMaxRefusalBytes) {
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

std::shared_ptr<const Grammar> GrammarCompiler::kept(GrammarKind kind, std::string_view source) {
  const std::string key = key_of(kind, source);
  const std::lock_guard lock(mutex_);
  return find(key);
}

std::shared_ptr<const Grammar> GrammarCompiler::compile(GrammarKind kind, std::string_view source) {
  const bool is_rules = kind == GrammarKind::lark || kind == GrammarKind::regex;
  const size_t limit = is_rules ? kMaxRuleBytes : kMaxSchemaBytes;
  if (source.size() > limit) {
    throw Error(Code::invalid_argument, "a grammar of " + std::to_string(source.size()) +
                                            " bytes; at most " + std::to_string(limit) +
                                            " are taken");
  }
  const std::string key = key_of(kind, source);
  const Turn turn(*this, key);
  if (turn.kept()) return turn.kept();
  size_t n_bytes = key.size() + kFirstMaskBytes;
  try {
    const std::shared_ptr<const Grammar> grammar = make(kind, source, n_bytes);
    const std::lock_guard lock(mutex_);
    grammars_.put(key, grammar, n_bytes);
    return grammar;
  } catch (const Error& error) {
    if (error.code() == Code::invalid_argument) {  // the next try may go better otherwise
      const std::lock_guard lock(mutex_);
      refusals_.put(key, error, key.size() + std::string_view(error.what()).size());
    }
    throw;
  }
}

// Adds to n_bytes what the grammar takes.
std::shared_ptr<const Grammar> GrammarCompiler::make(GrammarKind kind, std::string_view source,
                                                     size_t& n_bytes) {
  if (trial_) n_bytes += trial_->run(kind_name(kind), source);
  DbrxTextGrammar* handle = nullptr;
  const rust::Payload done(dbrx_text_grammar_open(vocabulary(), rust::slice(kind_name(kind)),
                                                  rust::slice(source), &handle));
  GrammarHandle rust(handle);
  return std::shared_ptr<const Grammar>(new Grammar(std::move(rust), max_mask_seconds_));
}

// Null when it is not there. Throws Error when it was refused or has shown to be too slow. With
// the mutex locked.
std::shared_ptr<const Grammar> GrammarCompiler::find(const std::string& key) {
  if (const Error* refusal = refusals_.find(key)) throw Error(*refusal);
  const std::shared_ptr<const Grammar>* grammar = grammars_.find(key);
  if (grammar == nullptr) return nullptr;
  if ((*grammar)->too_slow()) throw Error(Code::invalid_argument, kTooSlow);
  return *grammar;
}

}  // namespace dbrx
