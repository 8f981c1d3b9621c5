// For tests: a whole server on a free port, with a model that recites the alphabet.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/temporary_folder.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "server/server.h"
#include "server/test_client.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {

constexpr int32_t kTestVocab = 310;
constexpr const char* kTestToken = "start-token";
inline const int32_t kImEnd = tiny::added_id(3);

inline ChatTemplate test_template() {
  TemporaryFolder dir;
  dir.write(
      "chat_template.jinja",
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
  return ChatTemplate::load(dir.path(), "").value();
}

class FakeServer {
 public:
  struct Setup {
    ServerOptions server = {};
    EngineOptions engine = {};
    int64_t max_context = 1024;
    bool with_template = true;
    bool dense = false;  // the model has no experts
  };

  explicit FakeServer(Setup setup) : model_(kTestVocab, setup.max_context) {
    if (setup.dense) model_.drop_experts();
    model_.script = recite;
    model_.before_step = [this](const Batch&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(step_ms));
      while (hang) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return fail_next_step.exchange(false) ? StepResult::device_error : StepResult::ok;
    };
    setup.engine.eos_token_ids = {kImEnd};
    if (setup.engine.kv_blocks == 0) setup.engine.kv_blocks = 1024;
    engine_ = std::make_unique<Engine>(context_, model_, &tokenizer_, setup.engine);
    ServerOptions& options = setup.server;
    options.port = 0;
    options.handle_signals = false;
    options.version = "1.2.3";
    options.trial_program = "/proc/self/exe";
    options.start_token = kTestToken;
    options.system_fingerprint = "fp_test";
    if (options.model_names.empty()) options.model_names = {"alphabet", "org/alpha-2"};
    std::optional<ChatTemplate> chat_template;
    if (setup.with_template) chat_template = test_template();
    server_ = std::make_unique<Server>(options, *engine_, tokenizer_, std::move(chat_template));
    port = server_->bind();
    engine_thread_ = std::thread([this] { engine_->run(); });
    server_thread_ = std::thread([this] {
      server_->run();
      returned_.set_value();
    });
  }
  FakeServer() : FakeServer(Setup{}) {}
  ~FakeServer() {
    hang = false;
    server_->stop(false);
    server_thread_.join();
    engine_->stop(true);
    engine_thread_.join();
  }

  TestAnswer post(const std::string& path, const std::string& body,
                  const std::string& headers = "") {
    TestClient client(port);
    client.send_request("POST", path, body, headers);
    return client.read_answer();
  }
  TestAnswer chat(const std::string& body) { return post("/v1/chat/completions", body); }
  TestAnswer complete(const std::string& body) { return post("/v1/completions", body); }
  TestAnswer get(const std::string& path) {
    TestClient client(port);
    client.send_request("GET", path);
    return client.read_answer();
  }

  EngineStats stats() const { return engine_->stats(); }
  void stop(bool drain) { server_->stop(drain); }
  void report_fault(const std::string& reason) { server_->report_fault(reason); }
  bool returns() { return future_.wait_for(kPatience) == std::future_status::ready; }
  bool becomes_idle() {
    return becomes_true([this] { return stats().running == 0 && stats().waiting == 0; });
  }
  bool becomes_busy(int64_t n_running = 1) {
    return becomes_true([&] { return stats().running >= n_running; });
  }

  std::atomic<int> step_ms{0};
  std::atomic<bool> hang{false};  // the step that comes, until this is false
  std::atomic<bool> fail_next_step{false};
  uint16_t port = 0;

 private:
  // After a letter the next one, after z the end, after anything else a. A prompt that begins with
  // ~ gets noise instead.
  static void recite(std::span<const int32_t> history, std::span<float> logits) {
    if (history[0] == '~') {
      for (size_t id = 0; id < logits.size(); ++id) {
        if (id < 'A' || id > 'Z') logits[id] = -100;
      }
      return;
    }
    int32_t last = history.back();
    int32_t next = last == 'z' ? kImEnd : last >= 'a' && last < 'z' ? last + 1 : 'a';
    for (float& logit : logits) logit = 0;
    logits['?'] = 20;
    logits[static_cast<size_t>(next)] = 50;
  }

  Context context_{Isa::scalar, 1};
  FakeModel model_;
  Tokenizer tokenizer_ = Tokenizer::from_json(tiny::tokenizer_json(), "test");
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  std::promise<void> returned_;
  std::future<void> future_ = returned_.get_future();
  std::thread engine_thread_;
  std::thread server_thread_;
};

// The objects of a stream; "[DONE]" becomes null.
inline std::vector<boost::json::value> stream_objects(const std::string& body) {
  std::vector<boost::json::value> objects;
  size_t at = 0;
  while ((at = body.find("data: ", at)) != std::string::npos) {
    size_t end = body.find("\n\n", at);
    std::string data = body.substr(at + 6, end - at - 6);
    objects.push_back(data == "[DONE]" ? boost::json::value(nullptr) : boost::json::parse(data));
    at = end;
  }
  return objects;
}

inline std::string text_at(const boost::json::value& value, const char* pointer) {
  boost::system::error_code ec;
  const boost::json::value* found = value.find_pointer(pointer, ec);
  if (!found) return "(absent)";
  if (!found->is_string()) return boost::json::serialize(*found);
  return std::string(found->get_string());
}

}  // namespace dbrx
