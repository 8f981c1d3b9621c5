// The third safety filter: a question to the served model itself about a text, answered with one of
// a few labels (docs/api.md, "Safety"). It asks through the engine, as clients do.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "server/identity.h"
#include "server/known_verdicts.h"
#include "server/safety_report.h"

namespace dbrx {

struct CompletionRequest;
struct Services;

// What the file of --safety-classifier says.
struct SafetyClassifier {
  std::string name = "classifier";
  std::string system;             // the system prompt; empty: none
  std::string prompt = "{text}";  // the user's message, with the text's place
  std::vector<std::string> labels;
  std::vector<std::string> block;  // the labels that block
  bool input = true;
  bool output = true;
  int32_t priority = -1;  // of its requests: before those of clients, whose answers wait for it
};

// Throws Error saying what is wrong in the file.
std::shared_ptr<const SafetyClassifier> load_safety_classifier(const std::string& path);

// The classifier on one server's model.
struct ReadyClassifier {
  std::shared_ptr<const SafetyClassifier> classifier;  // null: there is none
  std::shared_ptr<const Grammar> grammar;              // of its labels
  size_t window = 0;                                   // bytes of a text that fit the context
  // What it has said of texts lately; of another classifier that says nothing.
  std::shared_ptr<KnownVerdicts> known = std::make_shared<KnownVerdicts>();

  bool asks_of_input() const { return classifier && classifier->input; }
  bool asks_of_output() const { return classifier && classifier->output; }
};

// Throws Error: the model has no end-of-text token, or its context no room for a text.
ReadyClassifier make_ready(const Services& services,
                           std::shared_ptr<const SafetyClassifier> classifier);

// [begin, end) of windows of at most `size` bytes, at the bounds of characters, that overlap by
// `overlap` bytes or a few more; a text that fits is one. size > overlap + 4.
std::vector<std::pair<size_t, size_t>> text_windows(std::string_view text, size_t size,
                                                    size_t overlap);

// Which text of a call, and the text.
struct TextToClassify {
  ClassifierVerdict place;
  std::string text;
  std::vector<std::string> keys = {};  // of what it consists of (KnownVerdicts)
};

// A call before it runs.
struct InputToClassify {
  std::vector<TextToClassify> texts;     // that have to be asked about
  std::vector<ClassifierVerdict> known;  // of its newest text, and those that block
};

// Each prompt and the user's newest text are asked about by themselves, and all other messages as
// one text, unless the verdict is known: a client may write anything into any of them.
InputToClassify input_to_classify(const Services& services, const ReadyClassifier& classifier,
                                  const CompletionRequest& request, uint64_t client);

// Texts on their way through the classifier: one window after the other, until one blocks.
class Classification : public std::enable_shared_from_this<Classification> {
 public:
  struct Result {
    std::vector<ClassifierVerdict>
        verdicts;  // of each text: its first window that blocks, or first
    bool blocked = false;
    std::string error;  // the classifier failed: nothing is known of the texts
  };
  // Called once, by the engine's thread; must not block.
  using Done = std::function<void(Result&&)>;

  // Tokenizes: for text workers. Throws Error or ApiError. The questions have the client's place in
  // the queue, and are its share. `lost` is called instead of `done` when memory was too short for
  // it: Request::lost.
  Classification(const Services& services, const ReadyClassifier& classifier,
                 const Identity& client, const std::vector<TextToClassify>& texts, Done done,
                 std::function<void()> lost);

  // Nothing to ask: start() is not for it.
  bool is_empty() const { return windows_.empty(); }

  // Unless ok, `done` is never called. `beyond_bound`: the engine's queue may be full.
  SubmitResult start(bool beyond_bound);

  // From any thread: ends with an error.
  void cancel();

 private:
  struct Window {
    ClassifierVerdict verdict;
    std::shared_ptr<Request> request;
  };

  SubmitResult submit_next(bool beyond_bound);
  void receive(const Event& event);
  void settle(const Event& end);
  void finish();

  Engine& engine_;
  std::shared_ptr<const SafetyClassifier> classifier_;
  Done done_;
  std::function<void()> lost_;

  // The engine thread's, once started.
  std::deque<Window> windows_;  // in front the one that is asked about
  std::string label_;           // so far
  double logprob_ = 0;
  Result result_;

  std::mutex mutex_;  // guards what is below
  std::weak_ptr<Request> running_;
  bool cancelled_ = false;
};

}  // namespace dbrx
