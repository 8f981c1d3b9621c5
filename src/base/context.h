// The resources of one forward step, passed explicitly: there are no globals, so two engines can
// live in one process.
#pragma once

#include "base/isa.h"
#include "base/memory.h"
#include "base/thread_pool.h"

namespace dbrx {

struct Context {
  Context(Isa best, const ThreadPlan& plan) : isa(best), pool(plan) {}
  Context(Isa best, int n_threads) : isa(best), pool(n_threads) {}

  Isa isa;          // the best bundle that kernels may use
  ThreadPool pool;  // worker 0 is the thread that calls the ops
  Arena arena;      // scratch of the step in progress
};

}  // namespace dbrx
