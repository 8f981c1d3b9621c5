#include "server/text_workers.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace dbrx {

namespace {

// The tasks that wait, those of each client in a line of their own.
class TaskLines {
 public:
  bool empty() const { return turns_.empty(); }

  void push(uint64_t client, std::function<void()> task) {
    std::deque<std::function<void()>>& line = lines_[client];
    line.push_back(std::move(task));
    if (line.size() > 1) return;
    try {
      turns_.push_back(client);
    } catch (...) {  // no memory
      lines_.erase(client);
      throw;
    }
  }

  std::function<void()> pop() {
    const uint64_t client = turns_.front();
    const auto line = lines_.find(client);
    std::function<void()> task = std::move(line->second.front());
    line->second.pop_front();
    turns_.pop_front();
    if (line->second.empty()) {
      lines_.erase(line);
    } else {
      turns_.push_back(client);
    }
    return task;
  }

 private:
  std::map<uint64_t, std::deque<std::function<void()>>> lines_;  // none is empty
  std::deque<uint64_t> turns_;                                   // each client of lines_ once
};

}  // namespace

// A library's pool has no tasks that wait aside.
struct TextWorkers::Pool {
  explicit Pool(size_t n_threads) : n_places(n_threads) {}

  // What each thread does.
  void run() {
    pthread_setname_np(pthread_self(), "text");
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return tasks.empty() ? is_over : n_running < n_places; });
      if (tasks.empty()) break;
      std::function<void()> task = tasks.pop();
      ++n_running;
      lock.unlock();
      task();
      task = nullptr;  // what it holds may end here
      lock.lock();
      --n_running;
    }
    changed.notify_one();  // so each that ends wakes the next
  }

  // With the mutex locked, as all that follows.
  void add_thread() {
    threads.emplace_back([this] { run(); });
  }
  std::thread take_thread() {
    std::thread last;
    if (threads.empty()) return last;
    last = std::move(threads.back());
    threads.pop_back();
    return last;
  }

  const size_t n_places;
  std::mutex mutex;
  std::condition_variable changed;
  TaskLines tasks;
  size_t n_running = 0;  // aside from those that wait
  size_t n_aside = 0;
  bool is_over = false;
  std::vector<std::thread> threads;
};

TextWorkers::TextWorkers(int n_threads)
    : pool_(std::make_unique<Pool>(static_cast<size_t>(n_threads))) {
  const std::lock_guard lock(pool_->mutex);
  for (int i = 0; i < n_threads; ++i) pool_->add_thread();
}

TextWorkers::~TextWorkers() {
  std::unique_lock lock(pool_->mutex);
  pool_->is_over = true;
  pool_->changed.notify_all();
  for (std::thread thread; (thread = pool_->take_thread()).joinable();) {
    lock.unlock();
    thread.join();
    lock.lock();
  }
}

void TextWorkers::post(uint64_t client, std::function<void()> task) {
  const std::lock_guard lock(pool_->mutex);
  pool_->tasks.push(client, std::move(task));
  pool_->changed.notify_one();
}

bool TextWorkers::wait_aside(const std::function<void()>& work) {
  Pool& pool = *pool_;
  std::unique_lock lock(pool.mutex);
  if (pool.n_aside == kMaxAside) return false;
  try {
    if (pool.threads.size() <= pool.n_places + pool.n_aside) pool.add_thread();
  } catch (const std::exception&) {
    return false;
  }
  ++pool.n_aside;
  --pool.n_running;
  pool.changed.notify_one();
  lock.unlock();
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  --pool.n_aside;
  ++pool.n_running;  // at once, even if its place is taken: no task takes long
  if (failure) std::rethrow_exception(failure);
  return true;
}

}  // namespace dbrx
