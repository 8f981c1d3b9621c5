#include "server/safety_classifier.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>

#include "base/error.h"
#include "base/mapped_file.h"
#include "server/api_error.h"
#include "server/json_fields.h"
#include "server/openai_parse.h"
#include "server/prompt_tokens.h"
#include "server/services.h"
#include "server/tool_calls.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr std::string_view kPlace = "{text}";
constexpr size_t kLeastWindow = 64;
constexpr size_t kMaxOverlap = 256;  // what a cut must not hide is shorter

void require(bool condition, const std::string& message) {
  if (!condition) throw Error(Code::invalid_argument, message);
}

std::vector<std::string> parse_strings(const JsonFields& fields, const std::string& name) {
  const json::value* value = fields.find(name);
  require(value != nullptr, name + ": missing: expected a list of strings");
  std::vector<std::string> strings;
  if (!value->is_array()) bad_value(name, "a list of strings", *value);
  for (const json::value& item : value->as_array()) {
    if (!item.is_string() || item.as_string().empty()) bad_value(name, "texts", item);
    strings.emplace_back(item.as_string());
  }
  return strings;
}

void refuse_unknown(const json::object& object) {
  constexpr std::array<std::string_view, 8> kKnown = {"name",  "system", "prompt", "labels",
                                                      "block", "input",  "output", "priority"};
  for (const json::key_value_pair& pair : object) {
    const bool is_known = std::find(kKnown.begin(), kKnown.end(), pair.key()) != kKnown.end();
    require(is_known, std::string(pair.key()) + ": no such field");
  }
}

void check(const SafetyClassifier& classifier) {
  const size_t at = classifier.prompt.find(kPlace);
  require(at != std::string::npos && classifier.prompt.find(kPlace, at + 1) == std::string::npos,
          "prompt: expected {text} once, where the text belongs");
  require(!classifier.name.empty(), "name: expected a name");
  const auto& labels = classifier.labels;
  require(labels.size() >= 2, "labels: expected two or more");
  for (auto label = labels.begin(); label != labels.end(); ++label) {
    require(std::count(labels.begin(), labels.end(), *label) == 1,
            "labels: \"" + *label + "\" is there twice");
  }
  require(!classifier.block.empty(), "block: expected one or more of the labels");
  for (const std::string& label : classifier.block) {
    require(std::count(labels.begin(), labels.end(), label) == 1,
            "block: \"" + label + "\" is none of the labels");
  }
  const bool may_pass = std::any_of(labels.begin(), labels.end(), [&](const std::string& label) {
    return std::count(classifier.block.begin(), classifier.block.end(), label) == 0;
  });
  require(may_pass, "block: leaves no label that lets a text pass");
  require(classifier.input || classifier.output, "input, output: false both, which asks nothing");
}

SafetyClassifier parse(const std::string& text) {
  const json::value value = parse_json_object(text);
  refuse_unknown(value.as_object());
  const JsonFields fields(value.as_object());
  SafetyClassifier classifier;
  classifier.name = fields.string("name").value_or(classifier.name);
  classifier.system = fields.string("system").value_or("");
  classifier.prompt = fields.string("prompt").value_or(classifier.prompt);
  classifier.labels = parse_strings(fields, "labels");
  classifier.block = parse_strings(fields, "block");
  classifier.input = fields.boolean("input").value_or(true);
  classifier.output = fields.boolean("output").value_or(true);
  classifier.priority = static_cast<int32_t>(
      fields.integer("priority", -1'000'000, 1'000'000).value_or(classifier.priority));
  check(classifier);
  return classifier;
}

// The text never becomes a special token, whatever it says.
std::vector<int32_t> question(const Services& services, const SafetyClassifier& classifier,
                              std::string_view text) {
  std::string prompt = classifier.prompt;
  prompt.replace(prompt.find(kPlace), kPlace.size(), text);
  if (services.chat_template) {
    std::vector<ChatMessage> messages;
    if (!classifier.system.empty()) {
      messages.push_back({.role = "system", .content = classifier.system});
    }
    messages.push_back({.role = "user", .content = std::move(prompt)});
    return chat_tokens(services, messages, /*add_generation_prompt=*/true);
  }
  if (!classifier.system.empty()) prompt = classifier.system + "\n\n" + prompt;
  return services.tokenizer.encode(prompt, Specials::as_text);
}

// Tokens of the longest label, whichever way it is cut, and the end of the text.
int64_t answer_tokens(const SafetyClassifier& classifier) {
  size_t n = 0;
  for (const std::string& label : classifier.labels) n = std::max(n, label.size());
  return static_cast<int64_t>(n) + 1;
}

std::shared_ptr<Request> make_request(const Services& services, const ReadyClassifier& ready,
                                      std::string_view text) {
  auto request = std::make_shared<Request>();
  request->id = "classifier-" + ready.classifier->name;
  request->prompt = question(services, *ready.classifier, text);
  request->sampling.temperature = 0;
  request->seed = 0;
  request->stop.max_tokens = answer_tokens(*ready.classifier);
  request->grammar = ready.grammar;
  request->top_logprobs = 0;
  request->priority = ready.classifier->priority;
  const int64_t room = services.engine.max_context() - request->stop.max_tokens;
  if (static_cast<int64_t>(request->prompt.size()) > room) {
    throw Error(Code::internal, "the safety classifier's prompt does not fit the context");
  }
  return request;
}

// The user's own last text, not results of functions; messages.size() when there is none.
size_t newest_text(const std::vector<ChatMessage>& messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const ChatMessage& message = messages[i];
    const bool is_own = message.role == "user" && !message.content.starts_with(kResultBegin);
    if (is_own && !message.content.empty()) return i;
  }
  return messages.size();
}

}  // namespace

std::shared_ptr<const SafetyClassifier> load_safety_classifier(const std::string& path) {
  constexpr size_t kMaxBytes = 1 << 20;
  const std::string text = read_text_file(path, kMaxBytes);
  try {
    return std::make_shared<SafetyClassifier>(parse(text));
  } catch (const std::exception& error) {
    throw Error(Code::invalid_argument, "--safety-classifier " + path + ": " + error.what());
  }
}

ReadyClassifier make_ready(const Services& services,
                           std::shared_ptr<const SafetyClassifier> classifier) {
  ReadyClassifier ready{.classifier = std::move(classifier), .grammar = {}, .window = 0};
  if (ready.classifier == nullptr) return ready;
  const std::string where = "--safety-classifier: ";
  require(services.grammars != nullptr,
          where + "this model has no end-of-text token, so no grammar for the labels");
  try {
    json::array labels;
    for (const std::string& label : ready.classifier->labels) labels.push_back(to_json(label));
    ready.grammar = services.grammars->compile(GrammarKind::choice, json::serialize(labels));
    const auto n_around = static_cast<int64_t>(question(services, *ready.classifier, "").size());
    // A byte is one token at most; where the text begins and ends, tokens may be cut otherwise.
    constexpr int64_t kSlack = 8;
    const int64_t room =
        services.engine.max_context() - n_around - answer_tokens(*ready.classifier) - kSlack;
    ready.window = static_cast<size_t>(std::max<int64_t>(room, 0));
  } catch (const std::exception& error) {
    throw Error(Code::invalid_argument, where + error.what());
  }
  require(ready.window >= kLeastWindow,
          where + "the prompt and a label leave no room for a text in a context of " +
              std::to_string(services.engine.max_context()) + " tokens: shorten them");
  return ready;
}

std::vector<std::pair<size_t, size_t>> text_windows(std::string_view text, size_t size,
                                                    size_t overlap) {
  const auto character_before = [&](size_t at) {
    while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
    return at;
  };
  std::vector<std::pair<size_t, size_t>> windows;
  size_t begin = 0;
  while (text.size() - begin > size) {
    const size_t end = character_before(begin + size);
    windows.emplace_back(begin, end);
    begin = character_before(end - overlap);
  }
  windows.emplace_back(begin, text.size());
  return windows;
}

InputToClassify input_to_classify(const Services& services, const ReadyClassifier& classifier,
                                  const CompletionRequest& request, uint64_t client) {
  InputToClassify input;
  TextToClassify others;
  const auto add = [&](const ClassifierVerdict& place, const std::string& text, bool by_itself) {
    if (text.empty()) return;
    std::string key = KnownVerdicts::key(client, text);
    if (std::optional<ClassifierVerdict> known = classifier.known->find(key)) {
      known->text = place.text;
      known->in_prompt = place.in_prompt;
      if (by_itself || known->blocked) input.known.push_back(std::move(*known));
    } else if (by_itself) {
      input.texts.push_back({place, text, {std::move(key)}});
    } else {
      if (others.keys.empty()) others.place = place;
      others.text += (others.keys.empty() ? "" : "\n\n") + text;
      others.keys.push_back(std::move(key));
    }
  };
  const size_t newest = newest_text(request.messages);
  for (size_t i = 0; i < request.messages.size(); ++i) {
    add({.text = i}, request.messages[i].content, i == newest);
  }
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const auto* text = std::get_if<std::string>(&request.prompts[i]);
    add({.text = i, .in_prompt = true},
        text ? *text
             : services.tokenizer.decode(std::get<std::vector<int32_t>>(request.prompts[i]),
                                         /*skip_special=*/false),
        /*by_itself=*/true);
  }
  if (!others.keys.empty()) input.texts.push_back(std::move(others));
  return input;
}

Classification::Classification(const Services& services, const ReadyClassifier& classifier,
                               const Identity& client, const std::vector<TextToClassify>& texts,
                               Done done, std::function<void()> lost)
    : engine_(services.engine),
      classifier_(classifier.classifier),
      done_(std::move(done)),
      lost_(std::move(lost)) {
  const size_t size = classifier.window;
  for (const TextToClassify& text : texts) {
    if (text.text.empty()) continue;
    for (const auto& [begin, end] :
         text_windows(text.text, size, std::min(size / 4, kMaxOverlap))) {
      Window window{text.place,
                    make_request(services, classifier,
                                 std::string_view(text.text).substr(begin, end - begin))};
      window.request->client = client.id;
      window.request->client_weight = client.weight;
      window.verdict.classifier = classifier_->name;
      window.verdict.begin = begin;
      window.verdict.end = end;
      windows_.push_back(std::move(window));
    }
  }
}

SubmitResult Classification::start(bool beyond_bound) { return submit_next(beyond_bound); }

void Classification::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (auto request = running_.lock()) request->cancelled = true;
}

// The window in front. It keeps no request that keeps this object.
SubmitResult Classification::submit_next(bool beyond_bound) {
  const std::shared_ptr<Request> request = std::move(windows_.front().request);
  request->sink = [self = shared_from_this()](Event&& event) { self->receive(event); };
  request->lost = [self = shared_from_this()] { self->lost_(); };
  {
    const std::lock_guard lock(mutex_);
    running_ = request;
    request->cancelled = cancelled_;
  }
  return engine_.submit_all({&request, 1}, beyond_bound);
}

void Classification::receive(const Event& event) {
  label_ += event.text;
  const size_t n_stop = event.stop_token ? 1 : 0;
  for (size_t i = 0; i + n_stop < event.tokens.size(); ++i) logprob_ += event.tokens[i].logprob;
  if (!event.finish) return;
  try {
    settle(event);
  } catch (const std::exception&) {
    result_.error = "no memory";
    finish();
  }
}

void Classification::settle(const Event& end) {
  const std::vector<std::string>& labels = classifier_->labels;
  if (end.finish == FinishReason::cancelled) {
    result_.error = "it was cancelled";
  } else if (end.finish == FinishReason::error) {
    result_.error = end.error;
  } else if (std::count(labels.begin(), labels.end(), label_) == 0) {
    result_.error = "the model gave none of the labels";
  }
  if (!result_.error.empty()) return finish();
  ClassifierVerdict verdict = windows_.front().verdict;
  windows_.pop_front();
  verdict.label = std::exchange(label_, "");
  verdict.probability = std::exp(std::exchange(logprob_, 0));
  verdict.blocked =
      std::count(classifier_->block.begin(), classifier_->block.end(), verdict.label) > 0;
  std::vector<ClassifierVerdict>& verdicts = result_.verdicts;
  if (verdict.begin == 0) {
    verdicts.push_back(verdict);
  } else if (verdict.blocked) {
    verdicts.back() = verdict;
  }
  result_.blocked = verdict.blocked;
  if (verdict.blocked || windows_.empty()) return finish();
  if (submit_next(/*beyond_bound=*/true) != SubmitResult::ok) {
    result_.error = "the server is shutting down";
    finish();
  }
}

void Classification::finish() { done_(std::move(result_)); }

}  // namespace dbrx
