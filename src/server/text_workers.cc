#include "server/text_workers.h"

#include <pthread.h>

#include <algorithm>
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

constexpr uint64_t kNobody = 0;  // the client of tasks that are nobody's in particular

// The tasks that wait, those of each client in a line of their own, and how many of each run.
class TaskLines {
 public:
  // most: tasks of one client that may run at a time.
  explicit TaskLines(size_t most) : most_(most) {}

  bool empty() const { return turns_.empty(); }

  // Whether one of them may run now.
  bool has_next() const {
    return std::any_of(turns_.begin(), turns_.end(), [this](uint64_t c) { return may_run(c); });
  }

  void begin(uint64_t client) { ++running_[client]; }
  void end(uint64_t client) {
    const auto found = running_.find(client);
    if (--found->second == 0) running_.erase(found);
  }

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

  // The one whose turn it is, and its client; there is one that may run.
  std::pair<uint64_t, std::function<void()>> pop() {
    const auto turn = std::find_if(turns_.begin(), turns_.end(),
                                   [this](uint64_t client) { return may_run(client); });
    const uint64_t client = *turn;
    const auto line = lines_.find(client);
    std::function<void()> task = std::move(line->second.front());
    line->second.pop_front();
    turns_.erase(turn);
    if (line->second.empty()) {
      lines_.erase(line);
    } else {
      turns_.push_back(client);
    }
    return {client, std::move(task)};
  }

 private:
  bool may_run(uint64_t client) const {
    const auto found = running_.find(client);
    return client == kNobody || found == running_.end() || found->second < most_;
  }

  const size_t most_;
  std::map<uint64_t, size_t> running_;                           // without zeros
  std::map<uint64_t, std::deque<std::function<void()>>> lines_;  // none is empty
  std::deque<uint64_t> turns_;                                   // each client of lines_ once
};

// Whose task this thread runs.
thread_local uint64_t current_client = kNobody;

}  // namespace

// A library's pool has no tasks that wait aside.
struct TextWorkers::Pool {
  explicit Pool(size_t n_threads)
      : n_places(n_threads), tasks(std::max<size_t>(n_threads - 1, 1)) {}

  // What each thread does.
  void run() {
    pthread_setname_np(pthread_self(), "text");
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] {
        return tasks.empty() ? is_over : n_running < n_places && tasks.has_next();
      });
      if (tasks.empty()) break;
      auto [client, task] = tasks.pop();
      begin(client);
      lock.unlock();
      current_client = client;
      task();
      task = nullptr;  // what it holds may end here
      lock.lock();
      end(client);
    }
    changed.notify_one();  // so each that ends wakes the next
  }

  // With the mutex locked, as all that follows.
  void begin(uint64_t client) {
    tasks.begin(client);
    ++n_running;
  }
  void end(uint64_t client) {
    tasks.end(client);
    --n_running;
  }
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
  pool.end(current_client);
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
  pool.begin(current_client);  // at once, even if its place is taken: no task takes long
  if (failure) std::rethrow_exception(failure);
  return true;
}

}  // namespace dbrx
