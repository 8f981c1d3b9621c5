// Threads for work on text that would hold up the I/O thread: parsing bodies, templates,
// tokenizing, writing large answers. Tasks start in the order they come.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace dbrx {

class TextWorkers {
 public:
  // Tasks that may be in wait_aside() at a time.
  static constexpr size_t kMaxAside = 256;

  // n_threads: tasks that run at a time.
  explicit TextWorkers(int n_threads);
  ~TextWorkers();  // waits for all tasks

  // From any thread. The task must not throw.
  void post(std::function<void()> task);

  // From a task, for work that may wait long for others: another task runs in its place meanwhile.
  // False when too many wait already or there is no thread; then nothing was done. Throws what the
  // work throws.
  bool wait_aside(const std::function<void()>& work);

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace dbrx
