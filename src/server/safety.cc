#include "server/safety.h"

#include "base/error.h"
#include "safety/keywords.h"
#include "safety/pii.h"
#include "safety/safety_stream.h"
#include "server/api_error.h"
#include "server/completion_requests.h"
#include "server/openai_parse.h"
#include "server/prompt_tokens.h"
#include "server/services.h"

namespace dbrx {
namespace {

void refuse_beside_filters(const CompletionRequest& request) {
  const auto refuse = [](bool asked, const std::string& param) {
    if (!asked) return;
    throw ApiError(
        400,
        param +
            ": tells of text past the safety filters, which watch this request: leave out "
            "one of the two",
        param, "unsupported_parameter");
  };
  refuse(request.top_logprobs.has_value(), request.names.logprobs);
  refuse(request.echo, "echo");
  refuse(request.prompt_logprobs.has_value(), "prompt_logprobs");
  refuse(request.return_token_ids, "return_token_ids");
  refuse(request.return_routed_experts, "return_routed_experts");
}

// One text through the filters; returns it masked.
std::string check_text(const SafetyPolicy& policy, std::string_view text, InputFinding place,
                       InputCheck& check) {
  SafetyStream stream(policy.rules);
  std::string shown;
  if (!stream.push(text, shown) || !stream.finish(shown)) check.blocked = true;
  for (const SafetyFinding& finding : stream.findings()) {
    place.finding = finding;
    check.findings.push_back(place);
  }
  return shown;
}

void check_ids(const SafetyPolicy& policy, const Tokenizer& tokenizer,
               const std::vector<int32_t>& ids, const InputFinding& place, InputCheck& check) {
  const std::string text = tokenizer.decode(ids, /*skip_special=*/false);
  const size_t n_before = check.findings.size();
  check_text(policy, text, place, check);
  for (size_t i = n_before; i < check.findings.size(); ++i) {
    check.findings[i].finding.action = SafetyAction::block;
    check.blocked = true;
  }
}

}  // namespace

SafetyPolicy make_safety_policy(const SafetyFlags& flags) {
  SafetyPolicy policy;
  if (flags.mode == "off") {
    if (flags.keywords.empty() && flags.classifier.empty()) return policy;
    const std::string flag = flags.keywords.empty() ? "--safety-classifier" : "--safety-keywords";
    throw Error(Code::invalid_argument,
                flag + " has no effect with --safety off: leave out one of the two");
  }
  policy.mode = flags.mode == "always" ? SafetyMode::always : SafetyMode::on_request;
  if (flags.pii != "off") {
    policy.rules.push_back(
        {make_pii_filter(), flags.pii == "mask" ? SafetyAction::mask : SafetyAction::block});
  }
  if (!flags.keywords.empty()) {
    policy.keywords_file = FileWatch(flags.keywords);
    policy.rules.push_back({load_keyword_filter(flags.keywords), SafetyAction::block});
  }
  if (!flags.classifier.empty()) {
    policy.classifier_file = FileWatch(flags.classifier);
    policy.classifier = load_safety_classifier(flags.classifier);
  }
  if (policy.is_empty() && policy.mode == SafetyMode::always) {
    throw Error(Code::invalid_argument,
                "--safety always needs a filter: --safety-pii block or mask, --safety-keywords or "
                "--safety-classifier");
  }
  return policy;
}

bool is_filtered(const SafetyPolicy& policy, const CompletionRequest& request) {
  const std::string& field = request.safety_field;
  if (!field.empty() && policy.is_empty()) {
    throw ApiError(400,
                   field + (policy.mode == SafetyMode::off
                                ? ": the safety filters of this server are off (--safety off)"
                                : ": this server has no safety filter (--safety-pii off, no "
                                  "--safety-keywords and no --safety-classifier)"),
                   field, "unsupported_parameter");
  }
  if (field.empty() && policy.mode != SafetyMode::always) return false;
  refuse_beside_filters(request);
  return true;
}

InputCheck check_input(const Services& services, const SafetyPolicy& policy,
                       CompletionRequest& request) {
  InputCheck check;
  check_size(services, request.messages, request.names.messages);
  for (size_t i = 0; i < request.messages.size(); ++i) {
    std::string& text = request.messages[i].content;
    text = check_text(policy, text, {.text = i, .in_prompt = false, .finding = {}}, check);
  }
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const InputFinding place = {.text = i, .in_prompt = true, .finding = {}};
    if (auto* text = std::get_if<std::string>(&request.prompts[i])) {
      check_size(services, *text);
      *text = check_text(policy, *text, place, check);
    } else {
      auto& ids = std::get<std::vector<int32_t>>(request.prompts[i]);
      truncate_prompt(services, request, ids);
      check_length(services, static_cast<int64_t>(ids.size()), "prompt");
      check_ids(policy, services.tokenizer, ids, place, check);
    }
  }
  return check;
}

}  // namespace dbrx
