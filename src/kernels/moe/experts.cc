#include "kernels/moe/experts.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "kernels/matmul/matmul_table.h"
#include "kernels/moe/moe_kernels.h"

namespace dbrx {
namespace {

constexpr std::array kKernels = {
    &moe_avx512,
    &moe_avx2,
    &moe_scalar,
};

const MoeKernel& pick(Isa best) {
  for (const MoeKernel* kernel : kKernels) {
    if (kernel->isa <= best) return *kernel;
  }
  return moe_scalar;
}

// The rows of one expert. A slot is one (row, choice) pair: row * k + choice, a row of expert_out.
struct Group {
  const Expert* expert = nullptr;
  const MatmulKernel* kernel = nullptr;
  int64_t n_digits = 0;
  std::span<const int64_t> slots;  // ascending
  std::byte* x = nullptr;          // packed rows of x, in the order of slots
  float* hidden = nullptr;         // [n_rows, ffn]: silu(gate x) * up x
  std::byte* packed_hidden = nullptr;

  int64_t n_rows() const { return static_cast<int64_t>(slots.size()); }
};

void check(const ExpertsArgs& args) {
  CHECK(!args.experts.empty());
  const Linear& gate = args.experts[0].gate;
  for (const Expert& expert : args.experts) {
    for (const Linear* linear : {&expert.gate, &expert.up, &expert.down}) {
      CHECK(linear->format == gate.format);
    }
    CHECK_EQ(expert.gate.in_features, args.x.cols);
    CHECK_EQ(expert.up.in_features, args.x.cols);
    CHECK_EQ(expert.down.out_features, args.x.cols);
    CHECK_EQ(expert.gate.out_features, gate.out_features);
    CHECK_EQ(expert.up.out_features, gate.out_features);
    CHECK_EQ(expert.down.in_features, gate.out_features);
  }
  CHECK_EQ(args.ids.rows, args.x.rows);
  CHECK_EQ(args.weights.rows, args.x.rows);
  CHECK_EQ(args.weights.cols, args.ids.cols);
  CHECK_EQ(args.expert_out.rows, args.x.rows * args.ids.cols);
  CHECK_EQ(args.expert_out.cols, args.x.cols);
  CHECK_EQ(args.y.rows, args.x.rows);
  CHECK_EQ(args.y.cols, args.x.cols);
  for (int64_t row = 0; row < args.ids.rows; ++row) {
    const int32_t* ids = args.ids.row(row);
    for (int64_t j = 0; j < args.ids.cols; ++j) {
      CHECK_LE(0, ids[j]);
      CHECK_LT(static_cast<size_t>(ids[j]), args.experts.size());
      if (j > 0) CHECK_LT(ids[j - 1], ids[j]);
    }
  }
}

// Counting sort of the slots by expert; stable, so a group's slots ascend. One group for each
// expert.
std::span<Group> group_slots(Context& context, const ExpertsArgs& args) {
  const std::span<Group> groups = context.arena.take<Group>(args.experts.size());
  const int64_t k = args.ids.cols;
  const int64_t n_slots = args.x.rows * k;
  const auto slots = context.arena.take<int64_t>(static_cast<size_t>(n_slots));
  const auto filled = context.arena.take<int64_t>(args.experts.size());
  std::fill(filled.begin(), filled.end(), 0);
  const auto expert_of = [&](int64_t slot) {
    return static_cast<size_t>(args.ids.row(slot / k)[slot % k]);
  };
  for (int64_t slot = 0; slot < n_slots; ++slot) ++filled[expert_of(slot)];
  int64_t first = 0;
  for (size_t e = 0; e < groups.size(); ++e) {
    const auto count = static_cast<size_t>(filled[e]);
    groups[e] = {.expert = &args.experts[e],
                 .slots = slots.subspan(static_cast<size_t>(first), count)};
    filled[e] = first;
    first += groups[e].n_rows();
  }
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    slots[static_cast<size_t>(filled[expert_of(slot)]++)] = slot;
  }
  return groups;
}

// Chooses a group's kernel and gives it room for its packed activations.
void place_group(Context& context, Activations activations, Group& group) {
  const Linear& gate = group.expert->gate;
  const Linear& down = group.expert->down;
  group.kernel = &pick_matmul_kernel(context.isa, gate.format);
  group.n_digits = n_digits(gate.format, activations);
  const auto room = [&](const Linear& linear) {
    const int64_t bytes =
        packed_x_bytes(*group.kernel, group.n_rows(), linear.n_steps(), group.n_digits);
    return context.arena.take<std::byte>(static_cast<size_t>(bytes)).data();
  };
  group.x = room(gate);
  group.packed_hidden = room(down);
  const int64_t n_hidden = group.n_rows() * down.in_features;
  group.hidden = context.arena.take<float>(static_cast<size_t>(n_hidden)).data();
}

// The group of a slot and the slot's row in it.
struct Place {
  const Group& group;
  int64_t row;
};

Place place_of(const ExpertsArgs& args, std::span<const Group> groups, int64_t slot) {
  const int64_t k = args.ids.cols;
  const Group& group = groups[static_cast<size_t>(args.ids.row(slot / k)[slot % k])];
  const auto at = std::lower_bound(group.slots.begin(), group.slots.end(), slot);
  return {group, at - group.slots.begin()};
}

// Packs a row of x for each of its experts. Integers are rounded once and copied.
void pack_row(const ExpertsArgs& args, std::span<const Group> groups, int64_t row) {
  const int64_t k = args.ids.cols;
  const std::byte* rounded = nullptr;
  for (int64_t j = 0; j < k; ++j) {
    const auto [group, place] = place_of(args, groups, row * k + j);
    const Linear& gate = group.expert->gate;
    const int64_t record_bytes = IntRow(gate.n_steps(), group.n_digits).bytes();
    if (rounded != nullptr) {
      std::memcpy(group.x + place * record_bytes, rounded, static_cast<size_t>(record_bytes));
      continue;
    }
    group.kernel->pack_x({.x = args.x.row(row),
                          .n = args.x.cols,
                          .row = place,
                          .n_steps = gate.n_steps(),
                          .n_digits = group.n_digits,
                          .packed = group.x});
    if (is_integer(gate.format)) rounded = group.x + place * record_bytes;
  }
}

void pack_hidden(const Place& place) {
  const Group& group = place.group;
  const Linear& down = group.expert->down;
  group.kernel->pack_x({.x = group.hidden + place.row * down.in_features,
                        .n = down.in_features,
                        .row = place.row,
                        .n_steps = down.n_steps(),
                        .n_digits = group.n_digits,
                        .packed = group.packed_hidden});
}

// Runs `multiply(group, first_panel, n_panels)` over all panels of all groups, spread over the
// pool. Each panel stands for n_linears panels of a kernel call. Tasks are in the order of thread
// shares, then groups: so the pool gives every thread the same part of each expert, and memory near
// a thread can hold what it reads.
template <typename Multiply>
void for_each_panel(Context& context, std::span<const Group> groups, int64_t n_panels,
                    int64_t n_linears, const Multiply& multiply) {
  const int n_threads = context.pool.n_threads();
  const auto first_of = [&](int64_t share) { return share * n_panels / n_threads; };
  const auto width = [&](const Group& group) {
    const int64_t panels =
        panels_per_task(group.n_rows(), group.n_digits, n_linears * n_panels, n_threads);
    return std::max<int64_t>(panels / n_linears, 1);
  };
  const auto n_tasks_of = [&](const Group& group, int64_t share) {
    const int64_t n = first_of(share + 1) - first_of(share);
    return group.slots.empty() ? 0 : (n + width(group) - 1) / width(group);
  };
  int64_t n_tasks = 0;
  for (int64_t share = 0; share < n_threads; ++share) {
    for (const Group& group : groups) n_tasks += n_tasks_of(group, share);
  }
  context.pool.run(static_cast<size_t>(n_tasks), [&](size_t i) {
    auto task = static_cast<int64_t>(i);
    size_t g = 0;
    int64_t share = 0;
    for (; task >= n_tasks_of(groups[g], share); g = (g + 1) % groups.size()) {
      task -= n_tasks_of(groups[g], share);
      if (g + 1 == groups.size()) ++share;
    }
    const int64_t first = first_of(share) + task * width(groups[g]);
    multiply(groups[g], first, std::min(width(groups[g]), first_of(share + 1) - first));
  });
}

// hidden = silu(gate x) * up x for n_panels x 32 inner features of all rows of a group.
void multiply_gate_up(const MoeKernel& moe, const Group& group, int64_t first_panel,
                      int64_t n_panels) {
  const Linear& gate = group.expert->gate;
  const Linear& up = group.expert->up;
  const std::byte* panels[kMaxTilePanels];
  for (int64_t p = 0; p < n_panels; ++p) {
    panels[p] = gate.panel(first_panel + p);
    panels[n_panels + p] = up.panel(first_panel + p);
  }
  const int64_t width = n_panels * kPanelOutputs;
  const int64_t first_output = first_panel * kPanelOutputs;
  const int64_t n_outputs = std::min(width, gate.out_features - first_output);
  multiply_rows(
      *group.kernel, gate, group.x, group.n_rows(), group.n_digits,
      {panels, static_cast<size_t>(2 * n_panels)}, n_outputs,
      [&](int64_t row) { return group.hidden + row * gate.out_features + first_output; },
      [&](float* values) { moe.silu_mul(values, values + width, n_outputs); });
}

// The group's rows of expert_out = down hidden, for n_panels x 32 outputs.
void multiply_down(const ExpertsArgs& args, const Group& group, int64_t first_panel,
                   int64_t n_panels) {
  const Linear& down = group.expert->down;
  const std::byte* panels[kMaxTilePanels];
  for (int64_t p = 0; p < n_panels; ++p) panels[p] = down.panel(first_panel + p);
  const int64_t first_output = first_panel * kPanelOutputs;
  const int64_t n_outputs = std::min(n_panels * kPanelOutputs, down.out_features - first_output);
  const auto place = [&](int64_t row) {
    return args.expert_out.row(group.slots[static_cast<size_t>(row)]) + first_output;
  };
  multiply_rows(*group.kernel, down, group.packed_hidden, group.n_rows(), group.n_digits,
                {panels, static_cast<size_t>(n_panels)}, n_outputs, place,
                [](float* /*values*/) {});
}

void merge_row(const MoeKernel& moe, const ExpertsArgs& args, int64_t row) {
  const int64_t k = args.ids.cols;
  float* y = args.y.row(row);
  std::fill(y, y + args.y.cols, 0.0F);
  for (int64_t j = 0; j < k; ++j) {
    moe.add_scaled(y, args.expert_out.row(row * k + j), args.weights.row(row)[j], args.y.cols);
  }
}

}  // namespace

std::span<const MoeKernel* const> moe_kernels() { return kKernels; }

void experts(Context& context, const ExpertsArgs& args) {
  check(args);
  if (args.x.rows == 0) return;
  const MoeKernel& moe = pick(context.isa);
  const Arena::Mark mark(context.arena);
  const std::span<Group> groups = group_slots(context, args);
  for (Group& group : groups) {
    if (!group.slots.empty()) place_group(context, args.activations, group);
  }

  const int64_t n_slots = args.expert_out.rows;
  context.pool.run(static_cast<size_t>(args.x.rows),
                   [&](size_t row) { pack_row(args, groups, static_cast<int64_t>(row)); });
  for_each_panel(context, groups, groups[0].expert->gate.n_panels(), 2,
                 [&](const Group& group, int64_t first, int64_t n) {
                   multiply_gate_up(moe, group, first, n);
                 });
  context.pool.run(static_cast<size_t>(n_slots), [&](size_t slot) {
    pack_hidden(place_of(args, groups, static_cast<int64_t>(slot)));
  });
  for_each_panel(
      context, groups, groups[0].expert->down.n_panels(), 1,
      [&](const Group& group, int64_t first, int64_t n) { multiply_down(args, group, first, n); });
  context.pool.run(static_cast<size_t>(args.x.rows),
                   [&](size_t row) { merge_row(moe, args, static_cast<int64_t>(row)); });
}

}  // namespace dbrx
