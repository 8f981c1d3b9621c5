// What happens when a page of a mapped file can't be read any more, because the file was cut
// meanwhile or its disk fails: the system then sends SIGBUS to the thread that touched it. Who
// reads such files in catch_read_fault() gets an Error; anywhere else the program ends with a
// message. Both name the file.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace dbrx {

// From here on faults in these bytes are known to be the file's. The first call handles SIGBUS for
// the whole program.
void watch_mapped_file(std::span<const std::byte> bytes, const std::filesystem::path& path);
void forget_mapped_file(std::span<const std::byte> bytes);

// What could not be read first, since the program began, in words: "weights.safetensors: byte 4096
// can't be read any more: ...". Empty: nothing.
std::string first_read_fault();

// Where this thread goes on after a fault; null: the program ends. Only for catch_read_fault().
extern thread_local constinit sigjmp_buf* read_fault_return;

// Calls function(). False when it touched a page that could not be read; it was left there and
// then, without destructors, so it must not own anything when it reads. It may throw. Not
// re-entrant. The thread must not have SIGBUS blocked.
template <typename Function>
[[gnu::noinline]] bool catch_read_fault(Function&& function) {
  const struct Reset {
    ~Reset() { read_fault_return = nullptr; }
  } reset;
  sigjmp_buf back;
  // The mask is not saved, which would be a system call: the handler leaves it alone.
  if (sigsetjmp(back, 0) != 0) return false;
  read_fault_return = &back;
  function();
  return true;
}

}  // namespace dbrx
