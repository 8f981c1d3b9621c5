#include "base/read_fault.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace dbrx {

thread_local constinit sigjmp_buf* read_fault_return = nullptr;

namespace {

// Read by the signal's handler, which may take no lock: what is in use is marked by an address that
// is not 0, and nothing is ever freed.
struct Watched {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::string path;
  std::atomic<Watched*> next{nullptr};
};

std::mutex mutex;  // of all who change the list
std::atomic<Watched*> first{nullptr};
std::atomic<const Watched*> fault_file{nullptr};
std::atomic<size_t> fault_offset{0};

constexpr std::string_view kBefore = ": byte ";
constexpr std::string_view kAfter =
    " can't be read any more: was the file cut or overwritten while it was in use, or does its "
    "disk fail? Put the file "
    "back and start again";

const Watched* find(uintptr_t address) {
  for (const Watched* file = first; file != nullptr; file = file->next) {
    if (address >= file->begin && address < file->end) return file;
  }
  return nullptr;
}

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Calls only what a handler may.
void handle(int /*signal*/, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const Watched* file = find(address);
  if (file == nullptr) {  // not ours: it happens again, and ends the program as it always did
    signal(SIGBUS, SIG_DFL);
    return;
  }
  const size_t offset = address - file->begin;
  const Watched* none = nullptr;
  if (fault_file.compare_exchange_strong(none, file)) fault_offset = offset;
  if (read_fault_return != nullptr) siglongjmp(*read_fault_return, 1);
  std::array<char, 20> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), offset).ptr;
  say("dbrx: ");
  say(file->path);
  say(kBefore);
  say({digits.data(), end});
  say(kAfter);
  say("\n");
  _exit(1);
}

// SA_NODEFER: after a jump out of the handler the next fault must find the signal open.
void handle_sigbus() {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

void watch_mapped_file(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  static std::once_flag once;
  std::call_once(once, handle_sigbus);
  const std::lock_guard lock(mutex);
  Watched* place = first;
  while (place != nullptr && (place->begin != 0 || place == fault_file)) place = place->next;
  const bool is_new = place == nullptr;
  if (is_new) place = new Watched;
  place->path = path.string();
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  place->end = begin + bytes.size();
  place->begin = begin;
  if (!is_new) return;
  place->next = first.load();
  first = place;
}

void forget_mapped_file(std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex);
  for (Watched* file = first; file != nullptr; file = file->next) {
    if (file->begin == reinterpret_cast<uintptr_t>(bytes.data())) file->begin = file->end = 0;
  }
}

std::string first_read_fault() {
  const Watched* file = fault_file;
  if (file == nullptr) return "";
  return file->path + std::string(kBefore) + std::to_string(fault_offset) + std::string(kAfter);
}

}  // namespace dbrx
