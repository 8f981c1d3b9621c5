// `dbrx chat`: a conversation in the terminal, with the engine in the same process.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/line_reader.h"
#include "apps/loaded_model.h"
#include "base/error.h"
#include "text/utf8.h"

namespace dbrx {
namespace {

struct ChatFlags {
  ModelFlags model;
  std::string system;
  float temperature = 0.7F;
  float top_p = 0.95F;
  int64_t max_tokens = 0;  // 0: what the context leaves
  int64_t seed = -1;
};

std::atomic<bool> interrupted{false};

// Ctrl-C must reach the thread that reads the terminal: threads started while this lives never see
// it.
class InterruptsBlocked {
 public:
  InterruptsBlocked() {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before_);
  }
  ~InterruptsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  InterruptsBlocked(const InterruptsBlocked&) = delete;
  InterruptsBlocked& operator=(const InterruptsBlocked&) = delete;

 private:
  sigset_t before_ = {};
};

// Without SA_RESTART, so that a blocked read of the prompt returns too.
void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted.store(true); };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

// Events of one request, handed from the engine thread to the terminal.
class EventQueue {
 public:
  void push(Event&& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    ready_.notify_one();
  }

  // Waits a moment; nullopt when nothing came.
  std::optional<Event> pop(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!ready_.wait_for(lock, patience, [this] { return !events_.empty(); })) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
};

constexpr const char* kHelp =
    "/system TEXT   set the system prompt (without TEXT: show it)\n"
    "/reset         forget the conversation, keep the system prompt\n"
    "/help          this list\n"
    "/quit          leave (also Ctrl-D)\n"
    "//TEXT         say /TEXT to the model\n"
    "Ctrl-C         stop the answer that is being written\n";

class Chat {
 public:
  Chat(const ChatFlags& flags, LoadedModel& loaded) : flags_(flags), loaded_(loaded) {
    if (!flags.system.empty()) system_ = flags.system;
  }

  // False when the user wants to leave.
  bool handle(const std::string& line) {
    if (line.empty()) return true;
    if (line == "/quit" || line == "/exit") return false;
    if (line == "/reset") {
      turns_.clear();
      std::puts("(conversation forgotten)");
    } else if (line == "/help") {
      std::fputs(kHelp, stdout);
    } else if (line == "/system") {
      std::printf("%s\n", system_ ? system_->c_str() : "(the model's own default)");
    } else if (line.starts_with("/system ")) {
      system_ = line.substr(8);
      std::puts("(system prompt set)");
    } else if (line.starts_with("//")) {
      answer(line.substr(1));
    } else if (line.starts_with("/")) {
      std::printf("unknown command %s; /help lists them, and a message begins with //\n",
                  line.c_str());
    } else {
      answer(line);
    }
    return true;
  }

 private:
  std::vector<ChatMessage> messages() const {
    std::vector<ChatMessage> all;
    if (system_) all.push_back({"system", *system_});
    all.insert(all.end(), turns_.begin(), turns_.end());
    return all;
  }

  // A turn that fails leaves the conversation as it was.
  void answer(const std::string& line) {
    turns_.push_back({"user", line});
    try {
      const std::string text = generate();
      turns_.push_back({"assistant", text});
    } catch (const Error& error) {
      turns_.pop_back();
      std::fprintf(stderr, "dbrx: %s\n", error.what());
    }
  }

  std::shared_ptr<Request> make_request(std::shared_ptr<EventQueue> events) const {
    auto request = std::make_shared<Request>();
    request->id = "chat";
    request->prompt = loaded_.chat_template->encode(*loaded_.tokenizer, messages(), true);
    request->sampling.temperature = flags_.temperature;
    request->sampling.top_p = flags_.top_p;
    if (flags_.seed >= 0) request->seed = static_cast<uint64_t>(flags_.seed);
    const int64_t room =
        loaded_.engine->max_context() - static_cast<int64_t>(request->prompt.size());
    if (room < 1) {
      throw Error(Code::invalid_argument, "the conversation fills the context of " +
                                              std::to_string(loaded_.engine->max_context()) +
                                              " tokens: /reset starts anew");
    }
    request->stop.max_tokens = flags_.max_tokens > 0 ? std::min(flags_.max_tokens, room) : room;
    request->sink = [events = std::move(events)](Event&& event) { events->push(std::move(event)); };
    return request;
  }

  std::string generate() {
    const auto events = std::make_shared<EventQueue>();
    const std::shared_ptr<Request> request = make_request(events);
    const auto start = std::chrono::steady_clock::now();
    if (loaded_.engine->submit(request) != SubmitResult::ok) {
      throw Error(Code::unavailable, "the engine takes no more requests");
    }
    std::string text;
    while (true) {
      if (interrupted.load()) request->cancelled.store(true);
      std::optional<Event> event = events->pop(std::chrono::milliseconds(50));
      if (!event) continue;
      const std::string shown =
          isatty(STDOUT_FILENO) != 0 ? without_controls(event->text) : event->text;
      std::fwrite(shown.data(), 1, shown.size(), stdout);
      std::fflush(stdout);
      text += event->text;
      if (!event->last) continue;
      finish(*event, start);
      if (event->finish == FinishReason::error) throw Error(Code::internal, event->error);
      return text;
    }
  }

  static void finish(const Event& event, std::chrono::steady_clock::time_point start) {
    std::puts("");
    if (isatty(STDOUT_FILENO) == 0) return;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto tokens = static_cast<double>(event.usage.completion_tokens);
    std::printf("\033[2m(%ld tokens, %.1f per second%s)\033[0m\n", event.usage.completion_tokens,
                tokens / seconds,
                event.finish == FinishReason::cancelled ? ", stopped"
                : event.finish == FinishReason::length  ? ", cut at the limit"
                                                        : "");
  }

  const ChatFlags& flags_;
  LoadedModel& loaded_;
  std::optional<std::string> system_;
  std::vector<ChatMessage> turns_;
};

std::thread start_engine(Engine& engine) {
  const InterruptsBlocked blocked;
  return std::thread([&engine] { engine.run(); });
}

int chat(const ChatFlags& flags) {
  LoadedModel loaded = load_for_generation(flags.model, /*needs_chat_template=*/true);
  catch_interrupts();
  std::thread engine_thread = start_engine(*loaded.engine);
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal)
    std::printf("%s, %s\n/help lists the commands\n", flags.model.model_dir.c_str(),
                std::string(isa_name(loaded.context->isa)).c_str());
  {
    Chat conversation(flags, loaded);
    LineReader reader("> ", default_history_file());
    while (true) {
      interrupted.store(false);  // from Enter on, Ctrl-C is meant for the answer
      const LineReader::Result input = reader.read();
      if (input.status == LineReader::Status::end) break;
      if (input.status == LineReader::Status::interrupted) {
        std::puts("(/quit or Ctrl-D leaves)");
        continue;
      }
      if (!conversation.handle(input.text)) break;
    }
  }
  if (terminal) std::puts("");
  loaded.engine->stop(/*abort=*/true);
  engine_thread.join();
  return 0;
}

}  // namespace

CommandMain setup_chat(CLI::App& app) {
  auto flags = std::make_shared<ChatFlags>();
  flags->model.max_sequences = 1;
  add_model_flags(app, flags->model);
  app.add_option("--system", flags->system, "system prompt");
  app.add_option("--temperature", flags->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  app.add_option("--top-p", flags->top_p)->check(CLI::Range(0.001, 1.0))->capture_default_str();
  app.add_option("--max-tokens", flags->max_tokens, "longest answer (default: the context)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
  app.add_option("--seed", flags->seed, "for answers that can be repeated")
      ->check(CLI::Range(int64_t{0}, INT64_MAX));
  return [flags] { return chat(*flags); };
}

}  // namespace dbrx
