// Threads for work on text that would hold up the I/O thread: parsing bodies, templates,
// tokenizing, writing large answers. Clients take turns, so that one with many or long texts keeps
// no other waiting for more than one of them; the tasks of a client start in the order they come,
// and leave one thread, where there are two or more, to other clients: a long text of one holds up
// none.
#pragma once

#include <cstddef>
#include <cstdint>
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

  // client: Identity::id, 0 for nobody in particular. From any thread. The task must not throw.
  void post(uint64_t client, std::function<void()> task);

  // From a task, for work that may wait long for others: another task runs in its place meanwhile.
  // False when too many wait already or there is no thread; then nothing was done. Throws what the
  // work throws.
  bool wait_aside(const std::function<void()>& work);

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace dbrx
