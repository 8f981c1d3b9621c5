// How a sequence's next token is chosen: what its request and its grammar forbid, then the sampler.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/sequence.h"

namespace dbrx {

// Memory of one choice, kept between choices. One per thread that chooses.
struct ChoiceScratch {
  explicit ChoiceScratch(int64_t vocab_size)
      : sample(vocab_size), allowed(static_cast<size_t>((vocab_size + 31) / 32)) {}

  SampleScratch sample;
  std::vector<int32_t> banned;    // ids that would end the choice before it may end
  std::vector<uint32_t> allowed;  // as SampleArgs has it, for a grammar
};

// Whether the token ends a choice of this request, beside the model's own end-of-text ids.
bool is_stop(const Request& request, std::span<const int32_t> eos_ids, int32_t token);

// Writes into the scratch which ids the grammar allows. The ids that end the choice are among them
// where the text may end. Throws what grammars do.
void collect_allowed(const Request& request, std::span<const int32_t> eos_ids,
                     GrammarMatcher& grammar, ChoiceScratch& scratch);

// Chooses among what is allowed: scratch.allowed with a grammar, anything without. False: there is
// no token. A pure function of the sequence's request, its tokens and the logits.
bool choose_token(const Sampler& sampler, std::span<const int32_t> eos_ids,
                  const Sequence& sequence, std::span<const float> logits, ChoiceScratch& scratch,
                  TokenInfo& out);

}  // namespace dbrx
