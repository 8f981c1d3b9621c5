#include "text/grammar.h"

#include "base/error.h"
#include "text/rust_api.h"

namespace dbrx {
namespace {

constexpr size_t kMaxKept = 64;
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

}  // namespace

void CloseGrammar::operator()(DbrxTextGrammar* handle) const { dbrx_text_grammar_close(handle); }

void GrammarCompiler::Close::operator()(DbrxTextVocabulary* handle) const {
  dbrx_text_vocabulary_close(handle);
}

bool GrammarMatcher::mask(std::span<uint32_t> allowed) {
  int32_t may_end = 0;
  const rust::Payload done(
      dbrx_text_grammar_mask(rust_.get(), allowed.data(), allowed.size(), &may_end));
  return may_end != 0;
}

void GrammarMatcher::accept(int32_t token) {
  int32_t over = 0;
  const rust::Payload done(dbrx_text_grammar_accept(rust_.get(), token, &over));
  over_ = over != 0;
}

GrammarMatcher Grammar::start() const {
  GrammarMatcher matcher;
  DbrxTextGrammar* handle = nullptr;
  const rust::Payload done(dbrx_text_grammar_start(rust_.get(), &handle));
  matcher.rust_.reset(handle);
  return matcher;
}

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, int32_t eos_id)
    : tokenizer_(tokenizer), eos_id_(eos_id) {
  CHECK(eos_id >= 0 && eos_id < tokenizer.n_ids());
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
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->grammar;
    }
  }
  DbrxTextGrammar* handle = nullptr;
  const rust::Payload done(dbrx_text_grammar_open(vocabulary(), rust::slice(kind_name(kind)),
                                                  rust::slice(source), &handle));
  GrammarHandle rust(handle);
  const std::shared_ptr<const Grammar> grammar(new Grammar(std::move(rust)));
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return grammar;  // another thread was faster
  recent_.push_front({std::move(key), grammar});
  by_key_.emplace(recent_.front().key, recent_.begin());
  if (recent_.size() > kMaxKept) {
    by_key_.erase(recent_.back().key);
    recent_.pop_back();
  }
  return grammar;
}

}  // namespace dbrx
