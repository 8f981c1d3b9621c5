#include "engine/token_choice.h"

#include <algorithm>

#include "engine/philox.h"

namespace dbrx {
namespace {

bool contains(std::span<const int32_t> ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// The ids that would end the choice, as long as it must not end.
void collect_banned(const Sequence& sequence, std::span<const int32_t> eos_ids,
                    std::vector<int32_t>& ids) {
  ids.clear();
  const StopRules& rules = sequence.owner->request->stop;
  if (static_cast<int64_t>(sequence.generated.size()) >= rules.min_tokens) return;
  ids.assign(rules.stop_token_ids.begin(), rules.stop_token_ids.end());
  if (!rules.ignore_eos) ids.insert(ids.end(), eos_ids.begin(), eos_ids.end());
}

}  // namespace

bool is_stop(const Request& request, std::span<const int32_t> eos_ids, int32_t token) {
  return contains(request.stop.stop_token_ids, token) ||
         (!request.stop.ignore_eos && contains(eos_ids, token));
}

void collect_allowed(const Request& request, std::span<const int32_t> eos_ids,
                     GrammarMatcher& grammar, ChoiceScratch& scratch) {
  const bool may_end = grammar.mask(scratch.allowed);
  const auto set = [&](int32_t id) {
    uint32_t& word = scratch.allowed[static_cast<size_t>(id) / 32];
    const uint32_t bit = uint32_t{1} << (id % 32);
    word = may_end ? word | bit : word & ~bit;
  };
  for (const int32_t id : request.stop.stop_token_ids) set(id);
  if (request.stop.ignore_eos) return;
  for (const int32_t id : eos_ids) set(id);
}

bool choose_token(const Sampler& sampler, std::span<const int32_t> eos_ids,
                  const Sequence& sequence, std::span<const float> logits, ChoiceScratch& scratch,
                  TokenInfo& out) {
  const ActiveRequest& owner = *sequence.owner;
  const Request& request = *owner.request;
  collect_banned(sequence, eos_ids, scratch.banned);
  SampleArgs args{.logits = logits,
                  .params = request.sampling,
                  .prompt = request.prompt,
                  .generated = sequence.generated,
                  .banned = scratch.banned,
                  .uniform = philox_uniform(owner.seed, sequence.choice, sequence.n_tokens()),
                  .top_logprobs = request.top_logprobs};
  if (request.grammar) args.allowed = scratch.allowed;
  return sampler.sample(args, scratch.sample, out);
}

}  // namespace dbrx
