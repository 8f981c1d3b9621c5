#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "engine/portable_math.h"
#include "model/config.h"

namespace dbrx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr double kUnit = 0x1p45;  // the weight of the likeliest id

uint64_t to_weight(double probability) { return static_cast<uint64_t>(probability * kUnit); }

}  // namespace

SampleScratch::SampleScratch(int64_t vocab_size)
    : logits_(static_cast<size_t>(vocab_size)),
      counts_(static_cast<size_t>(vocab_size)),
      seen_(static_cast<size_t>(vocab_size)) {
  top_.reserve(static_cast<size_t>(vocab_size));
  candidates_.reserve(static_cast<size_t>(vocab_size));
  ranked_.reserve(static_cast<size_t>(vocab_size));
}

Sampler::Sampler(int64_t vocab_size, std::vector<int32_t> masked_ids)
    : masked_ids_(std::move(masked_ids)) {
  CHECK_LE(vocab_size, kMaxVocab);
  for (const int32_t id : masked_ids_) CHECK_LT(id, vocab_size);
}

bool Sampler::sample(const SampleArgs& args, SampleScratch& scratch, TokenInfo& out) const {
  CHECK_EQ(args.logits.size(), scratch.logits_.size());
  if (!process_logits(args, scratch)) return false;
  out.id = args.params.temperature == 0 ? greedy(scratch) : draw(args, scratch);
  out.rank = 0;
  out.top.clear();
  if (args.top_logprobs) logprobs(args.logits, *args.top_logprobs, scratch, out);
  return true;
}

// Penalties, bias and masks. False when a logit is NaN or +inf or nothing can be chosen.
bool Sampler::process_logits(const SampleArgs& args, SampleScratch& scratch) const {
  std::vector<double>& l = scratch.logits_;
  bool valid = true;
  for (size_t i = 0; i < l.size(); ++i) {
    l[i] = args.logits[i];
    valid &= l[i] < kInfinity;  // false for NaN, too
  }
  if (!valid) return false;
  apply_penalties(args, scratch);
  for (const auto& [id, bias] : args.params.logit_bias) l[static_cast<size_t>(id)] += bias;
  for (const int32_t id : masked_ids_) l[static_cast<size_t>(id)] = -kInfinity;
  for (const int32_t id : args.banned) l[static_cast<size_t>(id)] = -kInfinity;
  for (size_t i = 0; i < l.size() && !args.allowed.empty(); ++i) {
    if ((args.allowed[i / 32] >> (i % 32) & 1) == 0) l[i] = -kInfinity;
  }
  return std::any_of(l.begin(), l.end(), [](double value) { return value > -kInfinity; });
}

void Sampler::apply_penalties(const SampleArgs& args, SampleScratch& scratch) {
  const SamplingParams& params = args.params;
  if (params.repetition_penalty != 1) {
    for (const auto tokens : {args.prompt, args.generated}) {
      for (const int32_t id : tokens) {
        char& seen = scratch.seen_[static_cast<size_t>(id)];
        double& l = scratch.logits_[static_cast<size_t>(id)];
        if (!seen) l = l > 0 ? l / params.repetition_penalty : l * params.repetition_penalty;
        seen = 1;
      }
    }
    for (const int32_t id : args.prompt) scratch.seen_[static_cast<size_t>(id)] = 0;
    for (const int32_t id : args.generated) scratch.seen_[static_cast<size_t>(id)] = 0;
  }
  if (params.presence_penalty == 0 && params.frequency_penalty == 0) return;
  for (const int32_t id : args.generated) ++scratch.counts_[static_cast<size_t>(id)];
  for (const int32_t id : args.generated) {
    int32_t& count = scratch.counts_[static_cast<size_t>(id)];
    if (count == 0) continue;  // a repeated id, done before
    scratch.logits_[static_cast<size_t>(id)] -=
        count * double{params.frequency_penalty} + params.presence_penalty;
    count = 0;
  }
}

int32_t Sampler::greedy(const SampleScratch& scratch) {
  const std::vector<double>& l = scratch.logits_;
  return static_cast<int32_t>(std::max_element(l.begin(), l.end()) - l.begin());
}

int32_t Sampler::draw(const SampleArgs& args, SampleScratch& scratch) {
  const SamplingParams& params = args.params;
  weigh(params, scratch);
  if (params.top_p < 1) keep_top_p(params.top_p, scratch);
  const uint64_t floor = to_weight(params.min_p);
  uint64_t total = 0;
  for (const auto& c : scratch.candidates_) total += c.weight >= floor ? c.weight : 0;
  // Exactly floor(uniform * total): a uniform has 53 bits.
  const auto uniform = static_cast<uint64_t>(args.uniform * 0x1p53);
  const auto target = static_cast<uint64_t>(static_cast<unsigned __int128>(uniform) * total >> 53);
  uint64_t sum = 0;
  for (const auto& c : scratch.candidates_) {
    sum += c.weight >= floor ? c.weight : 0;
    if (sum > target) return c.id;
  }
  CHECK(false);  // target < total
  return 0;
}

// Fills candidates_ with the ids that top_k leaves and their weights, by ascending id.
void Sampler::weigh(const SamplingParams& params, SampleScratch& scratch) {
  const std::span<const double> l = scratch.logits_;
  const double max = *std::max_element(l.begin(), l.end());
  auto& candidates = scratch.candidates_;
  candidates.clear();
  const auto add = [&](int32_t id) {
    const double exponent = (l[static_cast<size_t>(id)] - max) / params.temperature;
    const uint64_t weight = to_weight(portable_exp(exponent));
    if (weight > 0) candidates.push_back({weight, id});
  };
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < l.size()) {
    select_top(l, static_cast<size_t>(params.top_k), scratch);
    std::sort(scratch.top_.begin(), scratch.top_.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    for (const auto& entry : scratch.top_) add(entry.id);
  } else {
    for (size_t id = 0; id < l.size(); ++id) add(static_cast<int32_t>(id));
  }
}

// Looks for the last id of the nucleus, without sorting: first for the power of two that its weight
// has, from sums per power, then by halving those that have it.
void Sampler::keep_top_p(double top_p, SampleScratch& scratch) {
  const auto better = [](const auto& a, const auto& b) {
    return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
  };
  auto& candidates = scratch.candidates_;
  auto& ranked = scratch.ranked_;
  std::array<uint64_t, 65> sums{};  // [bit width of the weight]
  for (const auto& c : candidates) sums[static_cast<size_t>(std::bit_width(c.weight))] += c.weight;
  const uint64_t total = std::accumulate(sums.begin(), sums.end(), uint64_t{0});
  auto missing = static_cast<uint64_t>(std::ceil(top_p * static_cast<double>(total)));
  missing = std::max(missing, uint64_t{1});  // a denormal top_p reads as 0 where those are flushed
  size_t width = 64;
  for (; sums[width] < missing; --width) missing -= sums[width];
  ranked.clear();
  std::copy_if(
      candidates.begin(), candidates.end(), std::back_inserter(ranked),
      [&](const auto& c) { return static_cast<size_t>(std::bit_width(c.weight)) == width; });
  auto first = ranked.begin();
  auto last = ranked.end();
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, better);
    uint64_t sum = 0;
    for (auto at = first; at != middle; ++at) sum += at->weight;
    if (sum >= missing) {
      last = middle;
    } else {
      missing -= sum;
      first = middle;
    }
  }
  const auto end_of_nucleus = *first;
  std::erase_if(candidates, [&](const auto& c) { return better(end_of_nucleus, c); });
}

bool Sampler::score(std::span<const float> logits, int32_t token, int32_t n_top,
                    SampleScratch& scratch, TokenInfo& out) {
  const auto is_finite = [](float l) { return l < std::numeric_limits<float>::infinity(); };
  if (!std::all_of(logits.begin(), logits.end(), is_finite)) return false;
  const float own = logits[static_cast<size_t>(token)];
  const auto n_above =
      std::count_if(logits.begin(), logits.end(), [&](float l) { return l > own; });
  out.id = token;
  out.rank = static_cast<int32_t>(n_above) + 1;
  out.top.clear();
  logprobs(logits, n_top, scratch, out);
  return true;
}

void Sampler::logprobs(std::span<const float> raw, int32_t n_top, SampleScratch& scratch,
                       TokenInfo& out) {
  const double max = *std::max_element(raw.begin(), raw.end());
  double sum = 0;
  for (const float l : raw) sum += portable_exp(l - max);
  const double log_sum = portable_log(sum);
  const auto logprob = [&](int32_t id) {
    return static_cast<float>(raw[static_cast<size_t>(id)] - max - log_sum);
  };
  out.logprob = logprob(out.id);
  select_top(raw, static_cast<size_t>(n_top), scratch);
  for (const auto& entry : scratch.top_) out.top.push_back({entry.id, logprob(entry.id)});
}

// Fills top_ with the k largest scores, best first, the lower id of equal ones.
template <typename T>
void Sampler::select_top(std::span<const T> scores, size_t k, SampleScratch& scratch) {
  const auto better = [](const auto& a, const auto& b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
  };
  auto& top = scratch.top_;  // a heap with the worst in front
  top.clear();
  if (k == 0) return;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (top.size() == k) {
      if (scores[i] <= top.front().score) continue;  // an equal one has the lower id
      std::pop_heap(top.begin(), top.end(), better);
      top.pop_back();
    }
    top.push_back({scores[i], static_cast<int32_t>(i)});
    std::push_heap(top.begin(), top.end(), better);
  }
  std::sort_heap(top.begin(), top.end(), better);
}

}  // namespace dbrx
