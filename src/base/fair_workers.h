// Threads for work that would hold up a thread on which others wait. Clients take turns, so that
// one with many or long tasks keeps no other waiting for more than one of them; the tasks of a
// client start in the order they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace dbrx {

class FairWorkers {
 public:
  // name: of the threads, 15 bytes at most. n_threads: tasks that run at a time. n_per_client: of
  // these, of one client; what is less than n_threads leaves the others room at any time. Client 0
  // may have all. Throws std::system_error when there can't be so many threads.
  FairWorkers(const char* name, size_t n_threads, size_t n_per_client);
  FairWorkers(const char* name, size_t n_threads) : FairWorkers(name, n_threads, n_threads) {}
  ~FairWorkers();  // as end()

  // client: Identity::id, 0 for nobody in particular. From any thread. The task must not throw.
  // After end() it is dropped.
  void post(uint64_t client, std::function<void()> task);

  // Waits for all tasks.
  void end();

  // Tasks that have not begun. From any thread.
  int64_t n_waiting() const;

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace dbrx
