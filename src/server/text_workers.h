// Threads for work on text that would hold up the I/O thread: parsing bodies, templates,
// tokenizing, writing large answers. Tasks run in the order they come, without one.
#pragma once

#include <functional>
#include <memory>

namespace dbrx {

class TextWorkers {
 public:
  explicit TextWorkers(int n_threads);
  ~TextWorkers();  // waits for all tasks

  // From any thread. The task must not throw.
  void post(std::function<void()> task);

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace dbrx
