// The process in which a grammar is tried.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "text/grammar_trial.h"
#include "text/grammar_trial_format.h"
#include "text/rust_api.h"

namespace dbrx {
namespace {

// The stack on which rust/src/grammar.rs compiles: address space of which little becomes memory.
constexpr size_t kCompileStack = size_t{256} << 20;

size_t address_space() {
  size_t n_pages = 0;
  std::ifstream("/proc/self/statm") >> n_pages;
  return n_pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void set_limit(decltype(RLIMIT_AS) resource, size_t soft, size_t hard) {
  const rlimit limit{.rlim_cur = soft, .rlim_max = hard};
  if (setrlimit(resource, &limit) != 0) throw Error(Code::internal, "setrlimit failed");
}

// Who started this needs no watch over it: it ends by itself, since it waits for nothing.
void limit_resources() {
  prctl(PR_SET_DUMPABLE, 0);  // dying is its purpose: no core files
  mallopt(M_ARENA_MAX, 1);    // another arena would reserve address space
  const size_t space = address_space() + kCompileStack + kTrialMemory;
  set_limit(RLIMIT_AS, space, space);
  set_limit(RLIMIT_CPU, kTrialCpuSeconds, kTrialCpuSeconds + 1);  // SIGXCPU tells it from a kill
}

std::string read_all(int fd) {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

size_t allocated_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// The bytes that stay allocated for the compiled grammar. Nothing is closed: the process ends.
size_t compile(const TrialQuestion& question) {
  DbrxTextVocabulary* vocabulary = nullptr;
  const rust::Payload opened(dbrx_text_vocabulary_of_bytes(
      question.n_ids, question.eos_id, rust::slice(question.specials), &vocabulary));
  const size_t before = allocated_bytes();
  DbrxTextGrammar* grammar = nullptr;
  const rust::Payload compiled(dbrx_text_grammar_open(vocabulary, rust::slice(question.kind),
                                                      rust::slice(question.source), &grammar));
  const size_t after = allocated_bytes();
  return after > before ? after - before : 0;
}

TrialAnswer answer_of(const std::string& bytes) {
  const std::optional<TrialQuestion> question = TrialQuestion::parse(bytes);
  if (!question) return {.error = "no grammar on standard input", .code = Code::internal};
  try {
    return {.error = "", .kept_bytes = compile(*question)};
  } catch (const Error& error) {
    return {.error = error.what(), .code = error.code()};
  }
}

}  // namespace

void grammar_trial_main() {
  limit_resources();
  const bool written = write_all(STDOUT_FILENO, answer_of(read_all(STDIN_FILENO)).bytes());
  _exit(written ? 0 : 1);
}

}  // namespace dbrx
