// Any path and body either becomes requests that the engine takes, or ends in an Error. The first
// line of the input is the path, the rest the body; grammars are left out, as compiling them is the
// business of a process of its own (text/grammar_trial.h).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/temporary_folder.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "server/anthropic_parse.h"
#include "server/completion_requests.h"
#include "server/http_text.h"
#include "server/responses_parse.h"
#include "server/safety.h"
#include "telemetry/telemetry.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

ChatTemplate make_template() {
  TemporaryFolder dir;
  dir.write("chat_template.jinja",
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
            "{% endfor %}<|im_start|>assistant\n");
  return ChatTemplate::load(dir.path(), "").value();
}

// What a server has, without sockets.
struct Fixture {
  Context context{Isa::scalar, /*n_threads=*/1};
  FakeModel model{/*vocab_size=*/310, /*max_seq_len=*/256};
  Tokenizer tokenizer = Tokenizer::from_json(tiny::tokenizer_json(), "fuzz");
  Engine engine{context, model, &tokenizer, {.eos_token_ids = {tiny::added_id(0)}}};
  FairWorkers workers{"text", 1};
  Telemetry telemetry{{}, [] { return EngineSample(); }};
  Services services{.engine = engine,
                    .tokenizer = tokenizer,
                    .chat_template = make_template(),
                    .workers = workers,
                    .telemetry = telemetry,
                    .model_names = {"m"},
                    .system_fingerprint = "f",
                    .parse = {.n_ids = tokenizer.n_ids(), .max_context = engine.max_context()},
                    .max_token_bytes = 20,
                    .unknown_names = {}};
  SafetyPolicy safety = make_safety_policy({.mode = "always", .pii = "mask"});
};

CompletionRequest parse(std::string_view path, std::string_view body, const ParseOptions& options) {
  if (path.ends_with("/responses")) return parse_responses_request(body, options);
  if (path.ends_with("/messages") || path.ends_with("/count_tokens")) {
    return parse_anthropic_request(body, options, path.ends_with("/count_tokens"));
  }
  CompletionRoute route;
  if (path.starts_with("/serving-endpoints")) route.dialect = Dialect::databricks;
  if (path.ends_with("/chat/completions")) {
    route.endpoint = Endpoint::chat;
  } else if (path.ends_with("/completions")) {
    route.endpoint = Endpoint::completions;
  } else {
    route.model = percent_decode(path).value_or("");
  }
  return parse_completion_request(route, body, options);
}

// The engine must take what was not refused before, and end it when its client leaves.
void try_request(Fixture& fixture, std::string_view path, std::string_view body) {
  CompletionRequest wanted = parse(path, body, fixture.services.parse);
  check_input(fixture.services, fixture.safety, wanted);
  bool over = false;
  const auto requests =
      make_engine_requests(fixture.services, wanted, /*grammar=*/nullptr, /*seed=*/1);
  for (const std::shared_ptr<Request>& request : requests) {
    request->sink = [&over](Event&& event) { over = event.last; };
    if (fixture.engine.submit(request) != SubmitResult::ok) std::abort();
    request->cancelled = true;
    while (fixture.engine.step()) {
    }
    if (!over) std::abort();
  }
}

}  // namespace
}  // namespace dbrx

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& fixture = *new dbrx::Fixture;  // its workers never end
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view body = text.substr(std::min(end + 1, text.size()));
  try {
    dbrx::try_request(fixture, text.substr(0, end), body);
  } catch (const dbrx::ApiError&) {  // NOLINT(bugprone-empty-catch): how a bad request must end
  } catch (const dbrx::Error& error) {
    if (error.code() != dbrx::Code::invalid_argument) throw;
  }
  return 0;
}
