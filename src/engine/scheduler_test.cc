#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <memory>

namespace dbrx {
namespace {

// A scheduler and the sequences that it points to, without engine or model.
struct Line {
  Line(SchedulerLimits limits, int64_t n_blocks) : pool(n_blocks), scheduler(limits, pool) {}

  Sequence& add(int64_t n_prompt, int32_t priority = 0) {
    auto entry = std::make_unique<ActiveRequest>();
    entry->request = std::make_shared<Request>();
    // Texts of their own: nothing to share.
    entry->request->prompt.assign(static_cast<size_t>(n_prompt),
                                  static_cast<int32_t>(requests.size()));
    entry->request->priority = priority;
    entry->request->stop.max_tokens = 1000;
    entry->arrival = static_cast<int64_t>(requests.size());
    entry->choices.resize(1);
    entry->choices[0].owner = entry.get();
    requests.push_back(std::move(entry));
    Sequence& sequence = requests.back()->choices[0];
    scheduler.add(sequence);
    return sequence;
  }

  // Schedules, checks the plan, and does what the engine would: computes the rows, samples.
  std::vector<int64_t> step() {
    std::vector<int64_t> rows;
    int64_t n_blocks = 0;
    for (Sequence* s : scheduler.schedule()) {
      EXPECT_GT(s->n_rows, 0);
      EXPECT_LE(s->n_computed + s->n_rows, static_cast<int64_t>(s->blocks.size()) * kKvBlockTokens);
      rows.push_back(s->n_rows);
      const bool samples = s->samples();
      scheduler.computed(*s);
      if (samples) s->generated.push_back(1);
    }
    for (const auto& entry : requests) {
      n_blocks += static_cast<int64_t>(entry->choices[0].blocks.size());
    }
    EXPECT_EQ(n_blocks + pool.n_free(), pool.n_blocks());
    return rows;
  }

  BlockPool pool;
  Scheduler scheduler;
  std::vector<std::unique_ptr<ActiveRequest>> requests;
};

using Rows = std::vector<int64_t>;

TEST(Scheduler, gives_generating_sequences_one_row_and_the_rest_to_prompts_in_order) {
  Line line({.max_sequences = 4, .max_rows = 10}, 100);
  line.add(10);
  EXPECT_EQ(line.step(), (Rows{10}));
  line.add(15);
  line.add(15);
  EXPECT_EQ(line.step(), (Rows{1, 9}));
  EXPECT_EQ(line.step(), (Rows{1, 6, 3}));
  EXPECT_EQ(line.step(), (Rows{1, 1, 8}));
  EXPECT_EQ(line.step(), (Rows{1, 1, 4}));
  EXPECT_EQ(line.step(), (Rows{1, 1, 1}));
}

TEST(Scheduler, starts_no_more_than_max_sequences) {
  Line line({.max_sequences = 2, .max_rows = 100}, 100);
  for (int i = 0; i < 3; ++i) line.add(5);
  EXPECT_EQ(line.step(), (Rows{5, 5}));
  EXPECT_EQ(line.step(), (Rows{1, 1}));
  line.scheduler.remove(line.requests[0]->choices[0]);
  EXPECT_EQ(line.step(), (Rows{1, 5}));
  EXPECT_EQ(line.scheduler.n_waiting(), 0);
}

TEST(Scheduler, lets_nobody_overtake_a_sequence_that_waits_for_blocks) {
  Line line({.max_sequences = 4, .max_rows = 1000}, 10);
  line.add(64 * 5);
  line.step();
  line.add(64 * 6);
  line.add(1);
  EXPECT_EQ(line.step(), (Rows{1}));
  EXPECT_EQ(line.scheduler.n_waiting(), 2);
  line.add(1, -1);  // but a better priority stands before it
  EXPECT_EQ(line.step(), (Rows{1, 1}));
}

TEST(Scheduler, counts_what_running_prompts_still_need_before_it_starts_another) {
  Line line({.max_sequences = 4, .max_rows = 64}, 10);
  line.add(64 * 6);
  EXPECT_EQ(line.step(), (Rows{64}));  // 5 blocks more are its own
  line.add(64 * 4);
  EXPECT_EQ(line.step(), (Rows{64}));
  EXPECT_EQ(line.scheduler.n_waiting(), 1);
}

TEST(Scheduler, leaves_every_running_sequence_a_block_to_grow_into) {
  Line line({.max_sequences = 4, .max_rows = 1000}, 10);
  line.add(64);
  line.step();
  line.add(64 * 8);  // fits beside one block, but not beside two
  EXPECT_EQ(line.step(), (Rows{1}));
  EXPECT_EQ(line.scheduler.n_waiting(), 1);
}

TEST(Scheduler, evicts_the_last_when_an_earlier_one_needs_a_block) {
  Line line({.max_sequences = 4, .max_rows = 1000}, 3);
  Sequence& first = line.add(1);
  Sequence& second = line.add(1);
  for (int i = 0; i < 128; ++i) {
    line.step();
    EXPECT_EQ(line.scheduler.n_preemptions(), 0);
  }
  // Both fill their blocks at step 64: the first takes the last block, the second sits out with its
  // own.
  EXPECT_EQ(first.n_computed, 128);
  EXPECT_EQ(second.n_computed, 64);
  EXPECT_EQ(line.step(), (Rows{1}));
  EXPECT_EQ(line.scheduler.n_preemptions(), 1);
  EXPECT_EQ(second.n_computed, 0);
  EXPECT_TRUE(second.blocks.empty());
  EXPECT_EQ(second.generated.size(), 64U);
  line.scheduler.remove(first);
  EXPECT_EQ(line.step(), (Rows{65}));  // everything again, generated tokens too
  EXPECT_EQ(line.step(), (Rows{1}));
}

TEST(Scheduler, shortens_a_chunk_rather_than_evict_for_it) {
  Line line({.max_sequences = 4, .max_rows = 100}, 6);
  line.add(1, 1);
  EXPECT_EQ(line.step(), (Rows{1}));
  line.add(256);
  EXPECT_EQ(line.step(), (Rows{99, 1}));  // the better priority stands first
  std::vector<int32_t> others = {line.pool.take(), line.pool.take()};
  line.scheduler.schedule();
  const Sequence& prompt = line.requests[1]->choices[0];
  EXPECT_EQ(prompt.n_rows, 93);  // what the last free block gives
  EXPECT_EQ(line.scheduler.n_running(), 2);
  EXPECT_EQ(line.scheduler.n_preemptions(), 0);
  line.pool.give_back(others);
}

TEST(SchedulerDeathTest, aborts_when_more_sequences_than_rows_may_run) {
  BlockPool pool(1);
  EXPECT_DEATH(Scheduler({.max_sequences = 3, .max_rows = 2}, pool), "CHECK failed");
}

}  // namespace
}  // namespace dbrx
