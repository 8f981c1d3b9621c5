// What the safety filters do in a call: Completion's part of server/safety.h.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/completion.h"
#include "server/completion_requests.h"

namespace dbrx {
namespace {

ApiError classifier_failed(const std::string& id, const std::string& error) {
  spdlog::error("{}: the safety classifier failed: {}", id, error);
  return ApiError(500, "the safety classifier failed: " + error, "", "internal_error");
}

}  // namespace

// Begins the answer with events that the engine never hears of. Nothing of what was asked is
// remembered.
void Completion::answer_blocked() {
  record_.input.clear();
  record_.choices.clear();
  const size_t n_prompts = std::max<size_t>(request_.prompts.size(), 1);
  usage_.assign(n_prompts, {});
  choices_.assign(n_prompts * static_cast<size_t>(request_.n), {});
  {
    std::lock_guard lock(mutex_);
    for (size_t prompt = 0; prompt < n_prompts; ++prompt) {
      for (int32_t choice = 0; choice < request_.n; ++choice) {
        Event event;
        event.choice = choice;
        event.text = kSafetyRefusal;
        event.finish = FinishReason::stop;
        event.last = choice + 1 == request_.n;
        arrivals_.push_back({prompt, std::move(event)});
      }
    }
  }
  post_begin();
}

// Asks the classifier; it may be cancelled from now on.
void Completion::classify(const std::shared_ptr<Classification>& texts, bool beyond_bound) {
  {
    std::lock_guard lock(mutex_);
    classifications_.emplace_back(texts);
  }
  if (aborted_) throw shutting_down();
  require_taken(texts->start(beyond_bound));
}

// Before the engine gets the call. The answer begins with the verdict.
void Completion::classify_input(Requests&& requests) {
  auto done = [self = shared_from_this(), requests](Classification::Result&& result) {
    self->services_.workers.post(self->client_->id,
                                 [self, requests, result = std::move(result)]() mutable {
                                   self->answer_classified(requests, std::move(result));
                                 });
  };
  const auto texts = std::make_shared<Classification>(services_, safety_->classifier,
                                                      input_to_classify(services_, request_),
                                                      std::move(done), lose());
  if (texts->is_empty()) return answer_classified(requests, {});
  classify(texts, /*beyond_bound=*/false);
}

// On a text worker: start() goes on.
void Completion::answer_classified(const Requests& requests, Classification::Result&& result) {
  go_on([&] {
    if (!result.error.empty()) throw classifier_failed(head_.id, result.error);
    input_.verdicts = std::move(result.verdicts);
    input_.blocked = result.blocked;
    input_.blocked ? answer_blocked() : submit(requests);
  });
}

// Leaves the text that the filters let through by now; a block makes it the choice's last.
void Completion::filter(SafetyStream& safety, Event& event) {
  std::string shown;
  bool goes_on = safety.push(event.text, shown);
  if (goes_on && event.finish) goes_on = safety.finish(shown);
  event.text = std::move(shown);
  if (goes_on) return;
  event.finish = FinishReason::stop;
  event.stop_reason.clear();
}

// Nothing of an answer is shown before the classifier has seen all of it.
void Completion::hold(int32_t index, const Event& event) {
  Event& held = *choices_[static_cast<size_t>(index)].held;
  held.text += event.text;
  if (!event.finish) return;
  held.finish = event.finish;
  held.stop_reason = event.stop_reason;
  if (held.text.empty()) return publish(index, held);
  ++n_held_;
  services_.workers.post(client_->id, [self = shared_from_this(), index, text = held.text] {
    self->classify_output(index, text);
  });
}

// On a text worker.
void Completion::classify_output(int32_t index, const std::string& text) {
  try {
    auto done = [self = shared_from_this(), index](Classification::Result&& result) {
      self->reply_->post([self, index, result = std::move(result)]() mutable {
        self->answer_held(index, std::move(result));
      });
    };
    classify(std::make_shared<Classification>(
                 services_, safety_->classifier,
                 std::vector<TextToClassify>{{{.of_output = true}, text}}, std::move(done), lose()),
             /*beyond_bound=*/true);
  } catch (...) {
    reply_->post([self = shared_from_this(), error = current_api_error(head_.id)] {
      if (!self->done_) self->fail(error);
    });
  }
}

void Completion::answer_held(int32_t index, Classification::Result&& result) {
  if (done_) return;
  try {
    if (!result.error.empty()) throw classifier_failed(head_.id, result.error);
    --n_held_;
    Choice& choice = choices_[static_cast<size_t>(index)];
    choice.verdicts = std::move(result.verdicts);
    Event held = std::move(*choice.held);
    if (result.blocked) {
      held.text = kSafetyRefusal;
      held.finish = FinishReason::stop;
      held.stop_reason.clear();
    }
    publish(index, held);
    complete_if_over();
  } catch (...) {
    fail(current_api_error(head_.id));
  }
}

std::optional<SafetyReport> Completion::report(const Choice& choice) const {
  if (!filtered_) return std::nullopt;
  SafetyReport report = {.blocked = input_.blocked,
                         .input = input_.findings,
                         .output = {},
                         .classified = input_.verdicts};
  if (choice.safety) {
    report.blocked = report.blocked || choice.safety->is_blocked();
    report.output = choice.safety->findings();
  }
  for (const ClassifierVerdict& verdict : choice.verdicts) {
    report.blocked = report.blocked || verdict.blocked;
    report.classified.push_back(verdict);
  }
  return report;
}

}  // namespace dbrx
