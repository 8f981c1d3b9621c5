// Compares a packed checkpoint in use with its checksums, slowly, beside the work: --verify.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "tensor/checkpoint.h"

namespace dbrx {

class BackgroundVerify {
 public:
  struct Result {
    int64_t n_tensors = 0;
    int64_t n_bytes = 0;
    std::string error;  // names file and tensor; empty: all as written
  };

  // Reads the bytes that the checkpoint's tensors point to, at most `bytes_per_second`, in a thread
  // that runs only when nothing else wants its CPU. `on_end` is called from there, once, unless the
  // destructor came first. The checkpoint outlives it.
  BackgroundVerify(const Checkpoint& checkpoint, int64_t bytes_per_second,
                   std::function<void(const Result& result)> on_end);
  ~BackgroundVerify();
  BackgroundVerify(const BackgroundVerify&) = delete;
  BackgroundVerify& operator=(const BackgroundVerify&) = delete;

 private:
  void run();
  bool rest(int64_t n_bytes);

  const Checkpoint& checkpoint_;
  int64_t bytes_per_second_;
  std::function<void(const Result& result)> on_end_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace dbrx
