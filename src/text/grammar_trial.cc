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

// A file in memory, at its begin.
int file_of(const TrialQuestion& question) {
  const int fd = memfd_create("grammar", MFD_CLOEXEC);
  if (fd < 0) fail("memfd_create", errno);
  if (!write_all(fd, question.bytes())) {
    const int error = errno;
    ::close(fd);
    fail("a file in memory", error);
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// Starts the program with these two as its input and output, and nothing else of ours: signals and
// the terminal's process group neither.
pid_t start(const std::string& program, int input, int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = program;
  std::string command(kGrammarTrialCommand);
  char* arguments[] = {name.data(), command.data(), nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &files, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail(program, error);
  return pid;
}

// What the process writes until it ends. It is killed when it does not.
std::string read_until_end(int fd, pid_t pid) {
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
    if (n_ready <= 0) kill(pid, SIGKILL);
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

// The status as waitpid has it; 0 when somebody else has taken it.
int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 0;
  }
  return status;
}

[[noreturn]] void explain(int status) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
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
                        std::to_string(status) + ")");
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
  const Descriptor input(file_of(question));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("a pipe", errno);
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  const pid_t pid = start(program_, input.get(), theirs.get());
  theirs.close();
  const std::string bytes = read_until_end(ours.get(), pid);
  const int status = wait_for(pid);
  const std::optional<TrialAnswer> answer = TrialAnswer::parse(bytes);
  if (!answer) explain(status);
  if (!answer->error.empty()) throw Error(answer->code, answer->error);
  return answer->kept_bytes;
}

}  // namespace dbrx
