#include "apps/loaded_model.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/limits.h"
#include "model/synthetic.h"
#include "model/synthetic_routing.h"
#include "model/unloaded_model.h"
#include "text/end_ids.h"

namespace dbrx {
namespace {

// Raised when a change of the arithmetic changes any bit of any answer.
constexpr int kNumericsVersion = 1;

// Bytes of the weights once they are loaded.
int64_t weight_bytes(const ModelConfig& config, const ModelFlags& flags) {
  if (!flags.synthetic.empty()) return synthetic_bytes(config);
  int64_t total = 0;
  const Checkpoint checkpoint = Checkpoint::open(flags.model_dir);
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    const auto n = static_cast<int64_t>(tensor.bytes.size());
    total += tensor.format == Format::f16 ? 2 * n : n;  // becomes f32
  }
  return total;
}

MemoryPlan memory_plan(const LoadedModel& loaded, const ModelFlags& flags,
                       const EngineOptions& options) {
  const ModelConfig& config = loaded.config;
  const bool synthetic = !flags.synthetic.empty();
  return plan_memory(
      config,
      {.available = available_memory(),
       .weights = weight_bytes(config, flags),
       .mapped = config.is_packed && choose_load_mode(flags.load, loaded.threads) == LoadMode::map,
       .kv_format = options.kv_format,
       .cache_tokens = flags.kv_cache_tokens,
       .queue = flags.max_queue,
       .requests = flags.request_bytes,
       .step = {.rows = flags.max_batched_tokens,
                .sequences = flags.max_sequences,
                .context = options.max_context,
                .n_threads = loaded.threads.n_threads(),
                .integer_weights = synthetic || config.is_packed}});
}

EngineOptions engine_options(const LoadedModel& loaded, const ModelFlags& flags) {
  EngineOptions options;
  options.max_sequences = flags.max_sequences;
  options.max_batched_tokens = flags.max_batched_tokens;
  options.max_queued_requests = flags.max_queue;
  options.max_context = flags.max_context;
  options.kv_format = find_format(flags.kv_format).value();
  options.prefix_cache = flags.prefix_cache;
  options.prefill_slowdown = flags.prefill_slowdown;
  options.eos_token_ids = loaded.end_ids;
  options.kv_blocks = (flags.kv_cache_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  return options;
}

Activations activations_of(const ModelFlags& flags) {
  return flags.activations == "fast" ? Activations::fast : Activations::exact;
}

// Progress is a line that is overwritten while weights are read, on a terminal only.
LoadOptions load_options(const ModelFlags& flags, const ThreadPlan& threads) {
  LoadOptions options;
  options.load = flags.load;
  options.threads = threads;
  options.activations = activations_of(flags);
  if (isatty(STDERR_FILENO) == 0) return options;
  options.progress = [](int64_t done, int64_t total) {
    std::fprintf(stderr, "\rloading weights: %.2f of %.2f GB%s", static_cast<double>(done) / 1e9,
                 static_cast<double>(total) / 1e9, done == total ? "\n" : "");
  };
  return options;
}

// With a row for each of the tokenizer's ids, in a number that kernels like.
ModelConfig synthetic_config(const ModelFlags& flags, const Tokenizer& tokenizer) {
  return dbrx_geometry(flags.n_layers, (tokenizer.n_ids() + 63) / 64 * 64);
}

// In int4, tokens evenly spread over the experts: what `dbrx bench --synthetic` measures first.
std::unique_ptr<Model> make_synthetic(Context& context, const ModelFlags& flags,
                                      const ModelConfig& config) {
  return synthetic_dbrx(context, {.config = config,
                                  .activations = activations_of(flags),
                                  .routing = zipf_routing(config, /*exponent=*/0, /*seed=*/1)});
}

ThreadPlan thread_plan(const ModelFlags& flags) {
  const Pin pin = flags.pin == "none"    ? Pin::none
                  : flags.pin == "cores" ? Pin::cores
                                         : Pin::automatic;
  return plan_threads(find_topology(), flags.threads, pin);
}

}  // namespace

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("-m,--model", flags.model_dir, "model directory (Hugging Face layout)")
      ->required()
      ->take_last();  // scripts/run.sh names the default model first
  CLI::Option* synthetic =
      app.add_option(
             "--synthetic", flags.synthetic,
             "to measure: the model's texts, but random int4 weights of this geometry: dbrx")
          ->check(CLI::IsMember({"dbrx"}));
  app.add_option("--layers", flags.n_layers, "of the synthetic model")
      ->check(CLI::Range(1, 384))
      ->needs(synthetic)
      ->capture_default_str();
  app.add_option("--chat-template", flags.chat_template, "Jinja file instead of the model's own");
  app.add_option("-t,--threads", flags.threads, "threads that compute (default: one for each core)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--pin", flags.pin,
                 "threads to CPUs: none, cores, auto (cores where there are several NUMA nodes)")
      ->check(CLI::IsMember({"auto", "none", "cores"}))
      ->capture_default_str();
  app.add_option("--load", flags.load,
                 "packed weights: map (from the page cache), copy (into huge pages, placed on NUMA "
                 "nodes), auto (copy where there are several nodes)")
      ->check(CLI::IsMember({"auto", "map", "copy"}))
      ->capture_default_str();
  app.add_option("--isa", flags.isa,
                 "highest instruction set: scalar, avx2, avx512, amx (also DBRX_ISA)");
  app.add_option("--max-model-len,-c,--ctx-size", flags.max_context,
                 "longest sequence (default: the model's)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 31));
  app.add_option("--max-num-seqs,--parallel", flags.max_sequences, "sequences in one step")
      ->check(CLI::Range(int64_t{1}, kMaxSequences))
      ->capture_default_str();
  app.add_option("--max-num-batched-tokens", flags.max_batched_tokens, "tokens in one step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--max-queue", flags.max_queue, "requests that wait; more are answered 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--activations", flags.activations,
                 "of packed weights: exact (16 bits) or fast (8 bits)")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  app.add_option("--kv-cache-dtype", flags.kv_format, "bf16, int8 (half the memory) or f32")
      ->check(CLI::IsMember({"bf16", "int8", "f32"}))
      ->capture_default_str();
  app.add_flag("--enable-prefix-caching,!--no-prefix-caching,!--no-enable-prefix-caching",
               flags.prefix_cache,
               "texts that begin alike share their blocks of the KV cache (default: they do)");
  app.add_option("--prefill-slowdown", flags.prefill_slowdown,
                 "how many times as long a step may take because of prompts that are computed "
                 "beside answers; 0: no limit, for throughput alone")
      ->check([](const std::string& text) {
        const double value = std::strtod(text.c_str(), nullptr);
        return value == 0 || value > 1 ? "" : "must be above 1, or 0 for no limit";
      })
      ->capture_default_str();
  app.add_option("--kv-cache-tokens", flags.kv_cache_tokens,
                 "tokens that the KV cache holds (default: a fifth of the memory at most, and what "
                 "weights and steps leave)")
      ->check(CLI::Range(int64_t{64}, int64_t{1} << 40));
}

namespace {

void check_flags(const ModelFlags& flags, const ModelConfig& config) {
  if (flags.max_sequences > flags.max_batched_tokens) {
    std::fprintf(stderr,
                 "dbrx: %s sequences run at a time, not %s (--max-num-seqs): each has a token in a "
                 "step (--max-num-batched-tokens)\n",
                 std::to_string(flags.max_batched_tokens).c_str(),
                 std::to_string(flags.max_sequences).c_str());
  }
  if (flags.activations == "fast" && !config.is_packed && flags.synthetic.empty()) {
    throw Error(Code::invalid_argument,
                flags.model_dir +
                    ": --activations fast is for packed weights (dbrx quantize): these are floats");
  }
}

}  // namespace

LoadedModel load_for_generation(const ModelFlags& flags, bool needs_chat_template,
                                Weights weights) {
  LoadedModel loaded;
  loaded.threads = thread_plan(flags);
  // For this thread and those that it starts, the engine's too.
  loaded.interleaves = interleave_memory(loaded.threads);
  loaded.context = std::make_unique<Context>(choose_isa(flags.isa), loaded.threads);
  const bool synthetic = !flags.synthetic.empty();
  if (!synthetic) loaded.config = load_config(flags.model_dir);
  loaded.tokenizer = std::make_unique<Tokenizer>(Tokenizer::load(flags.model_dir));
  if (synthetic) loaded.config = synthetic_config(flags, *loaded.tokenizer);
  check_flags(flags, loaded.config);
  if (loaded.tokenizer->n_ids() > loaded.config.vocab_size) {
    throw Error(Code::corrupt, flags.model_dir + ": the tokenizer has " +
                                   std::to_string(loaded.tokenizer->n_ids()) +
                                   " ids, more than vocab_size " +
                                   std::to_string(loaded.config.vocab_size) + " of config.json");
  }
  loaded.tokenizer_config = read_tokenizer_config(flags.model_dir);
  loaded.chat_template =
      ChatTemplate::load(flags.model_dir, loaded.tokenizer_config, flags.chat_template);
  if (needs_chat_template && !loaded.chat_template) {
    throw Error(
        Code::invalid_argument,
        flags.model_dir + ": no chat template (a base model?): give one with --chat-template FILE");
  }
  loaded.end_ids =
      complete_end_ids(load_generation_config(flags.model_dir, loaded.config).eos_token_ids,
                       *loaded.tokenizer, loaded.chat_template.has_value());
  if (loaded.end_ids.empty()) {
    std::fprintf(stderr,
                 "dbrx: %s: no file says which token ends a text (eos_token_id in "
                 "generation_config.json): answers go on to their token limit\n",
                 flags.model_dir.c_str());
  }
  // Before the weights, which may take minutes.
  EngineOptions options = resolve_options(engine_options(loaded, flags), loaded.config);
  loaded.memory = memory_plan(loaded, flags, options);
  options.kv_blocks = loaded.memory.cache_tokens / kKvBlockTokens;
  if (weights == Weights::leave) {
    if (!synthetic) loaded.weights.checkpoint = Checkpoint::open(flags.model_dir);
    loaded.weights.model = unloaded_model(loaded.config, loaded.weights.checkpoint);
  } else if (synthetic) {
    loaded.weights.model = make_synthetic(*loaded.context, flags, loaded.config);
  } else {
    loaded.weights = open_model(flags.model_dir, load_options(flags, loaded.threads));
  }
  loaded.engine = std::make_unique<Engine>(*loaded.context, *loaded.weights.model,
                                           loaded.tokenizer.get(), options);
  return loaded;
}

std::string describe_load(const LoadedModel& loaded) {
  if (!loaded.weights.report) return "";
  const LoadReport& report = *loaded.weights.report;
  const auto total = static_cast<double>(report.n_bytes);
  char text[256];
  if (!report.fits_memory) {
    std::snprintf(text, sizeof text,
                  "%.2f GB mapped, more than this machine's memory: steps wait for the disk",
                  total / 1e9);
    return text;
  }
  const double share = static_cast<double>(report.huge_bytes) / total;
  constexpr double kMost = 0.5;  // below that most reads miss the faster pages
  const bool map = report.mode == LoadMode::map;
  std::snprintf(text, sizeof text, "%.2f GB %s, %.0f %% of it in 2 MB pages%s", total / 1e9,
                map ? "mapped" : "copied", share * 100,
                map && share < kMost ? "; --load copy gives huge pages" : "");
  return text;
}

std::string fingerprint(const LoadedModel& loaded, const ModelFlags& flags) {
  const Format format = loaded.weights.model->weight_format();
  return "dbrx-n" + std::to_string(kNumericsVersion) + "-" + std::string(format_info(format).name) +
         (is_integer(format) ? "-" + flags.activations : "") + "-kv-" + flags.kv_format;
}

}  // namespace dbrx
