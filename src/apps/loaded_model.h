// Everything that a command needs to generate text: flags shared by serve and chat, and the wiring
// of model, text and engine.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "engine/engine.h"
#include "model/config.h"
#include "model/memory_plan.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace dbrx {

struct ModelFlags {
  std::string model_dir;
  std::string synthetic;      // "dbrx": random weights of its geometry; empty: those of model_dir
  int64_t n_layers = 4;       // of a synthetic model
  std::string chat_template;  // file; empty: the checkpoint's own
  std::string isa;            // empty: DBRX_ISA, else the best
  std::string kv_format = "bf16";
  std::string activations = "exact";
  int threads = 0;  // 0: one for each core
  std::string pin = "auto";
  std::string load = "auto";
  int64_t max_context = 0;  // 0: the model's
  int64_t max_sequences = 64;
  int64_t max_batched_tokens = 512;
  int64_t max_queue = 1024;
  int64_t kv_cache_tokens = 0;  // 0: see plan_memory
  int64_t request_bytes = 0;    // that a server's requests may take besides the queue
  bool prefix_cache = true;
  double prefill_slowdown = 1.9;  // as EngineOptions has it
};

void add_model_flags(CLI::App& app, ModelFlags& flags);

struct LoadedModel {
  ModelConfig config;
  std::vector<int32_t> end_ids;  // tokens that end a text
  ThreadPlan threads;
  std::unique_ptr<Context> context;
  OpenedModel weights;
  std::unique_ptr<Tokenizer> tokenizer;
  std::string tokenizer_config;  // JSON; empty: the checkpoint has none
  std::optional<ChatTemplate> chat_template;
  MemoryPlan memory;
  bool interleaves = true;  // false: the system forbids to spread memory over NUMA nodes
  std::unique_ptr<Engine> engine;
};

// To leave them: only the headers of their files are read, and no step can be made.
enum class Weights { load, leave };

// Loads everything, printing progress to stderr when that is a terminal. Throws Error.
LoadedModel load_for_generation(const ModelFlags& flags, bool needs_chat_template,
                                Weights weights = Weights::load);

// "6.90 GB mapped, 95 % of it in 2 MB pages": how the weights lie in memory, and what to do where
// that is slow. Empty for a checkpoint that is not packed.
std::string describe_load(const LoadedModel& loaded);

// Names what decides the bits of an answer: numerics version, weight format, activations, cache
// format.
std::string fingerprint(const LoadedModel& loaded, const ModelFlags& flags);

}  // namespace dbrx
