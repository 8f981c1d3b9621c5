#include "base/fair_workers.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace dbrx {
namespace {

using Task = std::function<void()>;

// The tasks that wait, those of each client in a line of their own.
class TaskLines {
 public:
  explicit TaskLines(size_t n_per_client) : n_per_client_(n_per_client) {}

  // Whether a task may start.
  bool has_turn() const { return !turns_.empty(); }

  // When it throws (no memory), nothing has changed.
  void push(uint64_t client, Task task) {
    const auto [found, is_new] = lines_.try_emplace(client);
    Line& line = found->second;
    try {
      if (is_new) line.turn.push_back(client);
      line.tasks.push_back(std::move(task));
    } catch (...) {
      if (is_new) lines_.erase(found);
      throw;
    }
    ++n_waiting_;
    stand_in_line(client, line);
  }

  int64_t n_waiting() const { return n_waiting_; }

  // The task whose turn it is, and its client, which has to be told of its end.
  std::pair<uint64_t, Task> pop() {
    const uint64_t client = turns_.front();
    Line& line = lines_.find(client)->second;
    line.turn.splice(line.turn.begin(), turns_, turns_.begin());
    std::pair<uint64_t, Task> next(client, std::move(line.tasks.front()));
    line.tasks.pop_front();
    --n_waiting_;
    ++line.n_running;
    stand_in_line(client, line);
    return next;
  }

  void ended(uint64_t client) {
    const auto found = lines_.find(client);
    Line& line = found->second;
    --line.n_running;
    stand_in_line(client, line);
    if (line.tasks.empty() && line.n_running == 0) lines_.erase(found);
  }

 private:
  struct Line {
    std::deque<Task> tasks;
    size_t n_running = 0;
    std::list<uint64_t> turn;  // the client, unless that stands in turns_
  };

  void stand_in_line(uint64_t client, Line& line) {
    const bool may_start = client == 0 || line.n_running < n_per_client_;
    if (!line.tasks.empty() && may_start) turns_.splice(turns_.end(), line.turn);
  }

  const size_t n_per_client_;
  int64_t n_waiting_ = 0;
  std::map<uint64_t, Line> lines_;  // of clients whose tasks wait or run
  std::list<uint64_t> turns_;       // clients of which a task may start, each once
};

}  // namespace

// A library's pool has no clients that take turns.
struct FairWorkers::Pool {
  Pool(const char* name_in, size_t n_per_client) : name(name_in), tasks(n_per_client) {}

  // What each thread does.
  void run() {
    pthread_setname_np(pthread_self(), name.c_str());
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return is_over || tasks.has_turn(); });
      if (!tasks.has_turn()) return;  // what may start later, the thread that runs now starts
      auto [client, task] = tasks.pop();
      lock.unlock();
      task();
      task = nullptr;  // what it holds may end here
      lock.lock();
      tasks.ended(client);
      if (tasks.has_turn()) changed.notify_one();
    }
  }

  const std::string name;
  std::mutex mutex;
  std::condition_variable changed;
  TaskLines tasks;
  bool is_over = false;
  std::vector<std::thread> threads;
};

FairWorkers::FairWorkers(const char* name, size_t n_threads, size_t n_per_client)
    : pool_(std::make_unique<Pool>(name, n_per_client)) {
  try {
    for (size_t i = 0; i < n_threads; ++i) {
      pool_->threads.emplace_back([pool = pool_.get()] { pool->run(); });
    }
  } catch (...) {
    end();
    throw;
  }
}

FairWorkers::~FairWorkers() { end(); }

void FairWorkers::end() {
  {
    const std::lock_guard lock(pool_->mutex);
    pool_->is_over = true;
  }
  pool_->changed.notify_all();
  for (std::thread& thread : pool_->threads) thread.join();
  pool_->threads.clear();
}

void FairWorkers::post(uint64_t client, std::function<void()> task) {
  const std::lock_guard lock(pool_->mutex);
  if (pool_->is_over) return;
  pool_->tasks.push(client, std::move(task));
  pool_->changed.notify_one();
}

int64_t FairWorkers::n_waiting() const {
  const std::lock_guard lock(pool_->mutex);
  return pool_->tasks.n_waiting();
}

}  // namespace dbrx
