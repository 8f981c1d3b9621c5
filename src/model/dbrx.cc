// The forward pass of DBRX, in the order of the reference.
#include "model/dbrx.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "kernels/attention/attention.h"
#include "kernels/embed/embed.h"
#include "kernels/matmul/matmul.h"
#include "kernels/moe/route.h"
#include "kernels/norm/norm.h"
#include "kernels/pointwise/pointwise.h"

namespace dbrx {
namespace {

MatrixView<float> scratch(Arena& arena, int64_t rows, int64_t cols) {
  return {arena.take<float>(static_cast<size_t>(rows * cols)).data(), rows, cols, cols};
}

// What a step needs besides tokens and weights, laid out for the kernels.
struct StepPlan {
  std::span<int64_t> slots;        // [rows] cache slot of each row
  std::span<AttentionSpan> spans;  // one per sequence
};

StepPlan plan_step(Arena& arena, const Batch& batch) {
  StepPlan plan{.slots = arena.take<int64_t>(batch.tokens.size()),
                .spans = arena.take<AttentionSpan>(batch.spans.size())};
  size_t row = 0;
  for (size_t s = 0; s < batch.spans.size(); ++s) {
    const BatchSpan& span = batch.spans[s];
    plan.spans[s] = {span.first_row, span.n_rows, span.n_past, span.blocks};
    for (int64_t i = 0; i < span.n_rows; ++i, ++row) {
      const int64_t index = span.n_past + i;
      const auto block = static_cast<size_t>(index / kKvBlockTokens);
      plan.slots[row] = span.blocks[block] * kKvBlockTokens + index % kKvBlockTokens;
    }
  }
  CHECK_EQ(row, batch.tokens.size());
  return plan;
}

class Dbrx : public Model {
 public:
  Dbrx(ModelConfig config, DbrxWeights weights, Activations activations)
      : config_(std::move(config)),
        weights_(std::move(weights)),
        activations_(activations),
        rope_table_(make_rope_table(config_.max_seq_len, config_.head_dim, config_.rope_theta)) {}

  const ModelConfig& config() const override { return config_; }
  Format weight_format() const override { return weights_.layers[0].experts[0].gate.format; }

  WeightBytes weight_bytes() const override {
    WeightBytes bytes;
    for (const DbrxLayer& layer : weights_.layers) {
      bytes.dense += static_cast<int64_t>(layer.wqkv.bytes.size() + layer.out_proj.bytes.size() +
                                          layer.router.bytes.size());
    }
    bytes.head = static_cast<int64_t>(weights_.lm_head.bytes.size());
    const Expert& expert = weights_.layers[0].experts[0];
    bytes.expert = static_cast<int64_t>(expert.gate.bytes.size() + expert.up.bytes.size() +
                                        expert.down.bytes.size());
    return bytes;
  }

  StepResult forward(Context& context, const Batch& batch, KvCache& cache,
                     StepOutput& output) override {
    const Arena::Mark mark(context.arena);
    const int64_t rows = batch.n_rows();
    const StepPlan plan = plan_step(context.arena, batch);
    if (output.want_routing) reserve_routing(rows, output);

    const MatrixView<float> x = scratch(context.arena, rows, config_.d_model);
    embed(context, {.tokens = batch.tokens,
                    .table = weights_.wte.bytes.data(),
                    .format = *weights_.wte.format,
                    .vocab = config_.vocab_size,
                    .y = x});
    for (int64_t i = 0; i < config_.n_layers; ++i) {
      const DbrxLayer& layer = weights_.layers[static_cast<size_t>(i)];
      attend(context, layer, {i, batch, plan, output}, cache.layer(i), x);
      mix(context, layer, {i, batch, plan, output}, x);
      tap(output, i, "block_out", x);
    }
    head(context, batch, x, output);
    return StepResult::ok;
  }

 private:
  struct Where {
    int64_t layer;
    const Batch& batch;
    const StepPlan& plan;
    StepOutput& output;
  };

  static void tap(const StepOutput& output, int64_t layer, std::string_view name,
                  MatrixView<const float> value) {
    if (output.tap) output.tap(layer, name, value);
  }

  // x += out_proj(attention(clip(Wqkv norm_1(x))))
  void attend(Context& context, const DbrxLayer& layer, const Where& at, KvLayer cache,
              MatrixView<float> x) const {
    const Arena::Mark mark(context.arena);
    const int64_t q_dim = config_.q_dim(), kv_dim = config_.kv_dim();
    const MatrixView<float> a = scratch(context.arena, x.rows, x.cols);
    const MatrixView<float> qkv = scratch(context.arena, x.rows, q_dim + 2 * kv_dim);
    const MatrixView<float> o = scratch(context.arena, x.rows, q_dim);
    const MatrixView<float> q = qkv.columns(0, q_dim);
    const MatrixView<float> k = qkv.columns(q_dim, kv_dim);
    const MatrixView<float> v = qkv.columns(q_dim + kv_dim, kv_dim);

    layer_norm(context, {.x = x, .weight = layer.norm_1.data(), .eps = config_.norm_eps, .y = a});
    tap(at.output, at.layer, "norm_1", a);
    matmul(context, {.x = a, .weight = &layer.wqkv, .activations = activations_, .y = qkv});
    tap(at.output, at.layer, "qkv", qkv);
    if (config_.clip_qkv) clip(context, qkv, *config_.clip_qkv);
    tap(at.output, at.layer, "qkv_clipped", qkv);
    rope(context, {.x = q,
                   .n_heads = config_.n_heads,
                   .positions = at.batch.positions,
                   .table = &rope_table_});
    rope(context, {.x = k,
                   .n_heads = config_.n_kv_heads,
                   .positions = at.batch.positions,
                   .table = &rope_table_});
    tap(at.output, at.layer, "q_rope", q);
    tap(at.output, at.layer, "k_rope", k);
    write_kv(context, {.k = k, .v = v, .slots = at.plan.slots, .cache = cache});
    attention(context, {.q = q,
                        .n_heads = config_.n_heads,
                        .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim)),
                        .spans = at.plan.spans,
                        .cache = cache,
                        .out = o});
    tap(at.output, at.layer, "attention", o);
    matmul(context, {.x = o, .weight = &layer.out_proj, .activations = activations_, .y = a});
    tap(at.output, at.layer, "attention_out", a);
    add(context, x, a);
  }

  // x += experts(norm_2(x))
  void mix(Context& context, const DbrxLayer& layer, const Where& at, MatrixView<float> x) const {
    const Arena::Mark mark(context.arena);
    const int64_t k = config_.top_k;
    const MatrixView<float> m = scratch(context.arena, x.rows, x.cols);
    const MatrixView<float> logits = scratch(context.arena, x.rows, config_.n_experts);
    const MatrixView<float> probs = scratch(context.arena, x.rows, config_.n_experts);
    const MatrixView<float> weights = scratch(context.arena, x.rows, k);
    const MatrixView<int32_t> ids = {
        context.arena.take<int32_t>(static_cast<size_t>(x.rows * k)).data(), x.rows, k, k};
    const MatrixView<float> expert_out = scratch(context.arena, x.rows * k, x.cols);
    const MatrixView<float> y = scratch(context.arena, x.rows, x.cols);

    layer_norm(context, {.x = x, .weight = layer.norm_2.data(), .eps = config_.norm_eps, .y = m});
    tap(at.output, at.layer, "norm_2", m);
    matmul(context, {.x = m, .weight = &layer.router, .y = logits});
    tap(at.output, at.layer, "router_logits", logits);
    route(context, {.logits = logits,
                    .norm_p = config_.router_norm_p,
                    .probs = probs,
                    .ids = ids,
                    .weights = weights});
    tap(at.output, at.layer, "router_probs", probs);
    tap(at.output, at.layer, "expert_weights", weights);
    if (at.output.want_routing) record_routing(at, ids);
    experts(context, {.x = m,
                      .ids = ids,
                      .weights = weights,
                      .experts = layer.experts,
                      .activations = activations_,
                      .expert_out = expert_out,
                      .y = y});
    tap(at.output, at.layer, "expert_out", expert_out);
    add(context, x, y);
  }

  // logits = lm_head(norm_f(x)) of the rows that were asked for.
  void head(Context& context, const Batch& batch, MatrixView<float> x, StepOutput& output) const {
    const auto n = static_cast<int64_t>(batch.logit_rows.size());
    CHECK_LE(n, kMaxLogitRows);
    output.logits.resize(static_cast<size_t>(n * config_.vocab_size));
    if (n == 0) return;
    const MatrixView<float> last = scratch(context.arena, n, config_.d_model);
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(last.row(i), x.row(batch.logit_rows[static_cast<size_t>(i)]),
                  static_cast<size_t>(config_.d_model) * sizeof(float));
    }
    layer_norm(context,
               {.x = last, .weight = weights_.norm_f.data(), .eps = config_.norm_eps, .y = last});
    tap(output, -1, "norm_f", last);
    const MatrixView<float> logits = {output.logits.data(), n, config_.vocab_size,
                                      config_.vocab_size};
    matmul(context,
           {.x = last, .weight = &weights_.lm_head, .activations = activations_, .y = logits});
    tap(output, -1, "logits", logits);
  }

  void reserve_routing(int64_t rows, StepOutput& output) const {
    output.expert_ids.resize(static_cast<size_t>(config_.n_layers * rows * config_.top_k));
  }

  static void record_routing(const Where& at, MatrixView<const int32_t> ids) {
    const int64_t n = ids.rows * ids.cols;
    std::memcpy(at.output.expert_ids.data() + at.layer * n, ids.data,
                static_cast<size_t>(n) * sizeof(int32_t));
  }

  ModelConfig config_;
  DbrxWeights weights_;
  Activations activations_;
  RopeTable rope_table_;
};

}  // namespace

std::unique_ptr<Model> make_dbrx(const ModelConfig& config, DbrxWeights weights,
                                 Activations activations) {
  return std::make_unique<Dbrx>(config, std::move(weights), activations);
}

std::unique_ptr<Model> load_dbrx(const ModelConfig& config, const Checkpoint& checkpoint,
                                 const LoadOptions& options) {
  return make_dbrx(config, load_dbrx_weights(config, checkpoint, options), options.activations);
}

}  // namespace dbrx
