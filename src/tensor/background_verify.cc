#include "tensor/background_verify.h"

#include <sched.h>

#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/read_fault.h"
#include "tensor/checksum.h"

namespace dbrx {
namespace {

constexpr size_t kPieceBytes = size_t{4} << 20;  // between two looks at the clock

size_t read_piece(ChecksumReader& reader) {
  size_t n = 0;
  if (catch_read_fault([&] { n = reader.read(kPieceBytes); })) return n;
  throw Error(Code::corrupt, first_read_fault());
}

}  // namespace

BackgroundVerify::BackgroundVerify(const Checkpoint& checkpoint, int64_t bytes_per_second,
                                   std::function<void(const Result&)> on_end)
    : checkpoint_(checkpoint), bytes_per_second_(bytes_per_second), on_end_(std::move(on_end)) {
  CHECK_LT(0, bytes_per_second);
  thread_ = std::thread([this] { run(); });
}

BackgroundVerify::~BackgroundVerify() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

// Sleeps as long as reading n_bytes may take. False: it is time to stop.
bool BackgroundVerify::rest(int64_t n_bytes) {
  const std::chrono::duration<double> pause(static_cast<double>(n_bytes) /
                                            static_cast<double>(bytes_per_second_));
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, pause, [this] { return stop_; });
}

void BackgroundVerify::run() {
  const sched_param none = {};
  sched_setscheduler(0, SCHED_IDLE, &none);
  Result result;
  try {
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      ChecksumReader reader(tensor);
      while (const size_t n = read_piece(reader)) {
        result.n_bytes += static_cast<int64_t>(n);
        if (!rest(static_cast<int64_t>(n))) return;
      }
      ++result.n_tensors;
    }
  } catch (const std::exception& error) {  // nobody else catches anything here
    result.error = error.what();
  }
  on_end_(result);
}

}  // namespace dbrx
