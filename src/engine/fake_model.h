// A model for tests of everything above it. Its logits are a hash of the whole token history, which
// it reads back from its own paged storage through the block tables of the batch: a wrong table, a
// lost or shared block, a wrong position or a stale slot gives another text. Not a language model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/model.h"

namespace dbrx {

class FakeModel : public Model {
 public:
  explicit FakeModel(int64_t vocab_size = 300, int64_t max_seq_len = 1024) {
    config_.family = "fake";
    config_.vocab_size = vocab_size;
    config_.max_seq_len = max_seq_len;
    // As little real cache as there can be: the storage that counts is slots_.
    config_.n_heads = config_.n_kv_heads = 1;
    config_.n_layers = config_.d_model = config_.head_dim = 2;
    config_.n_experts = 16;
    config_.top_k = 2;
    history_.reserve(static_cast<size_t>(max_seq_len));
  }

  // Replaces the logits of a row; the hash is in them when it is called. May be empty.
  std::function<void(std::span<const int32_t> history, std::span<float> logits)> script;
  // Called before a step; anything but ok is its result and nothing is computed. May be empty.
  std::function<StepResult(const Batch&)> before_step;

  // Before an engine has it.
  void drop_experts() { config_.n_experts = config_.top_k = 0; }

  const ModelConfig& config() const override { return config_; }
  Format weight_format() const override { return Format::f32; }
  WeightBytes weight_bytes() const override {
    return {.dense = 1000000, .head = 10000, .expert = 1};
  }
  int64_t n_steps() const { return n_steps_; }
  int64_t n_rows() const { return n_rows_; }

  StepResult forward(Context&, const Batch& batch, KvCache& cache, StepOutput& output) override {
    ++n_steps_;
    n_rows_ += batch.n_rows();
    check(batch, cache.n_blocks());
    if (before_step) {
      const StepResult result = before_step(batch);
      if (result != StepResult::ok) return result;
    }
    slots_.resize(static_cast<size_t>(cache.n_blocks() * kKvBlockTokens));
    output.logits.resize(batch.logit_rows.size() * static_cast<size_t>(config_.vocab_size));
    const auto n_ids = static_cast<size_t>(config_.n_layers * batch.n_rows() * config_.top_k);
    if (output.want_routing) output.expert_ids.resize(n_ids);
    size_t n_logits = 0;
    for (const BatchSpan& span : batch.spans) {
      for (int64_t i = 0; i < span.n_rows; ++i) {
        const int64_t row = span.first_row + i;
        write(span, span.n_past + i, batch.tokens[static_cast<size_t>(row)],
              batch.positions[static_cast<size_t>(row)]);
        if (output.want_routing) route(slot(span, span.n_past + i).chain, row, batch, output);
        if (n_logits < batch.logit_rows.size() && batch.logit_rows[n_logits] == row) {
          const auto vocab = static_cast<size_t>(config_.vocab_size);
          read(span, span.n_past + i, std::span(output.logits).subspan(n_logits * vocab, vocab));
          ++n_logits;
        }
      }
    }
    return StepResult::ok;
  }

 private:
  struct Slot {
    int32_t token = -1;
    int32_t position = -1;
    uint64_t chain =
        0;  // hash of this token and of the slot before it, as a layer's keys depend on it
  };

  // The finalizer of splitmix64.
  static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }

  Slot& slot(const BatchSpan& span, int64_t index) {
    const int64_t block = span.blocks[static_cast<size_t>(index / kKvBlockTokens)];
    return slots_[static_cast<size_t>(block * kKvBlockTokens + index % kKvBlockTokens)];
  }

  void write(const BatchSpan& span, int64_t index, int32_t token, int32_t position) {
    const uint64_t before = index == 0 ? 0 : slot(span, index - 1).chain;
    const uint64_t here = static_cast<uint64_t>(token) << 32 | static_cast<uint32_t>(position);
    slot(span, index) = {token, position, mix(before ^ mix(here))};
  }

  // A hash of the history, too.
  void route(uint64_t chain, int64_t row, const Batch& batch, StepOutput& output) const {
    for (int64_t layer = 0; layer < config_.n_layers; ++layer) {
      const uint64_t hash = mix(chain + static_cast<uint64_t>(layer));
      int32_t* ids = output.expert_ids.data() + (layer * batch.n_rows() + row) * config_.top_k;
      ids[0] = static_cast<int32_t>(hash % 8);
      ids[1] = static_cast<int32_t>(8 + hash / 8 % 8);
    }
  }

  void read(const BatchSpan& span, int64_t last, std::span<float> logits) {
    history_.clear();
    uint64_t hash = 0;
    for (int64_t i = 0; i <= last; ++i) {
      const Slot& s = slot(span, i);
      history_.push_back(s.token);
      hash = mix(hash ^ s.chain ^ static_cast<uint32_t>(s.position));
    }
    for (size_t id = 0; id < logits.size(); ++id) {
      logits[id] = static_cast<float>(mix(hash + id) >> 40) * 0x1p-21f - 4;  // [-4, 4)
    }
    if (script) script(history_, logits);
  }

  // What every batch must hold, whatever the requests.
  void check(const Batch& batch, int64_t n_blocks) {
    CHECK_LE(1, batch.n_rows());
    CHECK_EQ(batch.positions.size(), batch.tokens.size());
    CHECK_LE(static_cast<int64_t>(batch.logit_rows.size()), kMaxLogitRows);
    users_.assign(static_cast<size_t>(n_blocks), 0);
    for (const BatchSpan& span : batch.spans) {
      for (const int32_t block : span.blocks) {
        CHECK_LT(block, n_blocks);
        ++users_[static_cast<size_t>(block)];
      }
    }
    int64_t row = 0;
    for (const BatchSpan& span : batch.spans) {
      CHECK_EQ(span.first_row, row);
      CHECK_LE(1, span.n_rows);
      const int64_t n_tokens = span.n_past + span.n_rows;
      CHECK_LE(n_tokens, static_cast<int64_t>(span.blocks.size()) * kKvBlockTokens);
      CHECK_LE(n_tokens, config_.max_seq_len);
      for (auto i = static_cast<size_t>(span.n_past / kKvBlockTokens); i < span.blocks.size();
           ++i) {
        CHECK_EQ(users_[static_cast<size_t>(span.blocks[i])], 1);  // who writes is alone
      }
      for (int64_t i = 0; i < span.n_rows; ++i, ++row) {
        CHECK_EQ(int64_t{batch.positions[static_cast<size_t>(row)]}, span.n_past + i);
        const int32_t token = batch.tokens[static_cast<size_t>(row)];
        CHECK(token >= 0 && token < config_.vocab_size);
      }
    }
    CHECK_EQ(row, batch.n_rows());
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      CHECK(i == 0 || batch.logit_rows[i - 1] < batch.logit_rows[i]);
      CHECK_LT(int64_t{batch.logit_rows[i]}, row);
    }
  }

  ModelConfig config_;
  std::vector<Slot> slots_;       // [n_blocks * kKvBlockTokens]
  std::vector<int32_t> history_;  // of the row being computed
  std::vector<int32_t> users_;    // [n_blocks] sequences of the step
  int64_t n_steps_ = 0;
  int64_t n_rows_ = 0;
};

}  // namespace dbrx
