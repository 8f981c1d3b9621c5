#include "text/grammar_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "text/grammar_trial_format.h"
#include "text/tokenizer.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(Code::resource_exhausted, "a grammar can't be tried before it is compiled: " + what +
                                            ": " + std::strerror(error));
}

void require_done(const char* what, int error) {
  if (error != 0) fail(what, error);
}

// How the process starts: with these two as its input and output, and nothing else of ours, signals
// and the terminal's process group neither.
class SpawnSetup {
 public:
  SpawnSetup(int input, int output) {
    require_done("posix_spawn_file_actions_init", posix_spawn_file_actions_init(&files_));
    const int error = posix_spawnattr_init(&attributes_);
    if (error != 0) posix_spawn_file_actions_destroy(&files_);
    require_done("posix_spawnattr_init", error);
    try {
      fill(input, output);
    } catch (...) {
      destroy();
      throw;
    }
  }
  ~SpawnSetup() { destroy(); }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  const posix_spawn_file_actions_t* files() const { return &files_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  void fill(int input, int output) {
    const char* name = "posix_spawn_file_actions";
    require_done(name, posix_spawn_file_actions_adddup2(&files_, input, STDIN_FILENO));
    require_done(name, posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO));
    require_done(
        name, posix_spawn_file_actions_addopen(&files_, STDERR_FILENO, "/dev/null", O_WRONLY, 0));
    require_done(name, posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1));
    // These fail only for wrong arguments.
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  void destroy() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }

  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

// Killed and taken off the system's list at the end of its scope, if it was not waited for.
class Process {
 public:
  Process(const std::string& program, int input, int output) {
    const SpawnSetup setup(input, output);
    std::string name = program;
    std::string command(kGrammarTrialCommand);
    char* arguments[] = {name.data(), command.data(), nullptr};
    // Ours may hold keys. The loader finds the libraries by this one, where it is needed at all.
    const char* path = std::getenv("LD_LIBRARY_PATH");
    std::string libraries = path == nullptr ? "" : std::string("LD_LIBRARY_PATH=") + path;
    char* environment[] = {path == nullptr ? nullptr : libraries.data(), nullptr};
    require_done(program.c_str(), posix_spawn(&id_, program.c_str(), setup.files(),
                                              setup.attributes(), arguments, environment));
  }
  ~Process() {
    if (id_ == 0) return;
    kill();
    while (waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void kill() { ::kill(id_, SIGKILL); }

  // The status as waitpid has it. Nothing when it is lost.
  std::optional<int> wait() {
    int status = 0;
    pid_t ended = 0;
    do {
      ended = waitpid(id_, &status, 0);
    } while (ended < 0 && errno == EINTR);
    id_ = 0;
    return ended < 0 ? std::nullopt : std::optional(status);
  }

 private:
  pid_t id_ = 0;
};

// What the process writes until it ends. It is killed when it does not.
std::string read_until_end(int fd, Process& process) {
  const auto deadline = Clock::now() + std::chrono::seconds(kTrialSeconds);
  std::string text;
  char buffer[kMaxTrialAnswer];
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
    const int n_ready = left > 0 ? poll(&wanted, 1, static_cast<int>(left)) : 0;
    if (n_ready < 0 && errno == EINTR) continue;
    const ssize_t n = n_ready > 0 ? read(fd, buffer, sizeof(buffer)) : 0;
    if (n_ready <= 0) process.kill();
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

[[noreturn]] void explain(std::optional<int> status) {
  if (!status) {
    throw Error(Code::internal,
                "how the trial of the grammar ended is lost: the program must not "
                "ignore SIGCHLD or wait for processes that it did not start");
  }
  const int signal = WIFSIGNALED(*status) ? WTERMSIG(*status) : 0;
  if (signal == SIGXCPU) {
    throw Error(Code::invalid_argument,
                "the grammar takes more than " + std::to_string(kTrialCpuSeconds) +
                    " s to compile: make it smaller, or its numbers and repetitions");
  }
  if (signal == SIGABRT || signal == SIGSEGV) {  // no memory, or no stack
    throw Error(Code::invalid_argument,
                "the grammar takes more than " + std::to_string(kTrialMemory >> 20) +
                    " MiB to compile: make it smaller, or its numbers and repetitions");
  }
  throw Error(Code::resource_exhausted,
              signal == SIGKILL
                  ? "the machine is too busy to try the grammar before it is compiled: ask again"
                  : "the process that tries the grammar failed (wait status " +
                        std::to_string(*status) + ")");
}

}  // namespace

GrammarTrial::GrammarTrial(std::string program, const Tokenizer& tokenizer, int32_t eos_id)
    : program_(std::move(program)), n_ids_(tokenizer.n_ids()), eos_id_(eos_id) {
  for (const auto& [name, id] : tokenizer.special_ids()) {
    const int32_t head[] = {id, static_cast<int32_t>(name.size())};
    specials_.append(reinterpret_cast<const char*>(head), sizeof(head)).append(name);
  }
}

size_t GrammarTrial::run(std::string_view kind, std::string_view source) const {
  // Only Lark can name tokens; without them a vocabulary is made faster.
  TrialQuestion question{.n_ids = 257, .eos_id = 256, .kind = kind, .source = source};
  if (kind == "lark") {
    question.n_ids = n_ids_;
    question.eos_id = eos_id_;
    question.specials = specials_;
  }
  const Descriptor input(memfd_create("grammar", MFD_CLOEXEC));
  if (input.get() < 0) fail("memfd_create", errno);
  if (!write_all(input.get(), question.bytes())) fail("a file in memory", errno);
  lseek(input.get(), 0, SEEK_SET);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("a pipe", errno);
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  Process process(program_, input.get(), theirs.get());
  theirs.close();
  const std::string bytes = read_until_end(ours.get(), process);
  const std::optional<int> status = process.wait();
  const std::optional<TrialAnswer> answer = TrialAnswer::parse(bytes);
  if (!answer) explain(status);
  if (!answer->error.empty()) throw Error(answer->code, answer->error);
  return answer->kept_bytes;
}

}  // namespace dbrx
