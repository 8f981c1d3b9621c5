// For tests: an engine on the fake model, whose every token is known.
#pragma once

#include <vector>

#include "base/context.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {

struct Rig {
  explicit Rig(const EngineOptions& options = {}, int n_threads = 1)
      : context(Isa::scalar, n_threads), engine(context, model, &test_tokenizer(), options) {}

  Context context;
  FakeModel model{kTestVocab};
  Engine engine;
};

// A request that ends at its limit and not before.
inline Call long_call(int64_t n_prompt = 3, int64_t max_tokens = 200) {
  Call call = make_call(std::vector<int32_t>(static_cast<size_t>(n_prompt), 5), max_tokens);
  call->stop.ignore_eos = true;
  return call;
}

}  // namespace dbrx
