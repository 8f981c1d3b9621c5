// The table of all known fields of /v1/responses; docs/api.md explains them, and a test compares
// the two.
#include "server/responses_parse.h"

namespace dbrx {
namespace {

// NOLINTBEGIN(readability-identifier-naming): columns of a table
constexpr auto U = Support::used;
constexpr auto R = Support::refused;
constexpr auto N = Support::no_effect;
// NOLINTEND(readability-identifier-naming)

constexpr std::string_view kNotStored = "responses are not stored; send the whole conversation";
constexpr std::string_view kUseLimit = "use max_output_tokens";
constexpr std::string_view kUseFormat = "use text.format";
constexpr std::string_view kUseOutputs = "use structured_outputs";
constexpr std::string_view kUseChat = "use /v1/chat/completions";
constexpr std::string_view kUseLogprobs = R"(use include: ["message.output_text.logprobs"])";

constexpr Parameter kTable[] = {
    {"model", U, U},
    {"input", U, U},
    {"instructions", U, U},
    {"max_output_tokens", U, U},
    {"temperature", U, U},
    {"top_p", U, U},
    {"top_k", U, U},
    {"min_p", U, U},
    {"presence_penalty", U, U},
    {"frequency_penalty", U, U},
    {"repetition_penalty", U, U},
    {"logit_bias", U, U},
    {"seed", U, U},
    {"stop", U, U},
    {"stop_token_ids", U, U},
    {"ignore_eos", U, U},
    {"min_tokens", U, U},
    {"include_stop_str_in_output", U, U},
    {"include", U, U},
    {"top_logprobs", U, U},
    {"stream", U, U},
    {"stream_options", U, U},
    {"skip_special_tokens", U, U},
    {"priority", U, U},
    {"text", U, U},
    {"structured_outputs", U, U},
    {"tools", U, U},
    {"tool_choice", U, U},
    {"parallel_tool_calls", U, U},
    {"metadata", U, U},
    {"enable_safety_filter", U, U},
    {"enable_safety_mode", U, U},

    {"user", N, N},
    {"safety_identifier", N, N},
    {"prompt_cache_key", N, N},
    {"prompt_cache_retention", N, N},
    {"prompt_cache_options", N, N},
    {"max_tool_calls", N, N},  // counts calls of built-in tools
    {"cache_salt", N, N},      // vLLM's: all clients share one cache
    {"request_id", N, N},

    {"store", R, R, "[]", "responses are not stored; leave it out or send false"},
    {"previous_response_id", R, R, "[]", kNotStored},
    {"conversation", R, R, "[]", kNotStored},
    {"background", R, R, "[]", "responses are not stored; use stream"},
    {"background_options", R, R},
    {"prompt", R, R, "[]", "there are no templates; send instructions and input"},
    {"truncation", R, R, R"(["disabled"])", "leave out the first items of the input yourself"},
    {"reasoning", R, R, R"([{"effort": "none"}, {"effort": null, "summary": null}])"},
    {"service_tier", R, R, R"(["auto", "default"])"},
    {"context_management", R, R},
    {"moderation", R, R, "[]", "use enable_safety_filter"},
    {"access_programs", R, R},
    {"image", R, R},
    {"messages", R, R, "[]", "send input, or messages to /v1/chat/completions"},
    {"max_tokens", R, R, "[]", kUseLimit},
    {"max_completion_tokens", R, R, "[]", kUseLimit},
    {"max_new_tokens", R, R, "[]", kUseLimit},
    {"n", R, R, "[1]", "send several requests"},
    {"logprobs", R, R, "[]", kUseLogprobs},
    {"prompt_logprobs", R, R, "[]", kUseChat},
    {"return_tokens_as_token_ids", R, R, "[]", kUseChat},
    {"return_token_ids", R, R, "[]", kUseChat},
    {"return_routed_experts", R, R, "[]", kUseChat},
    {"response_format", R, R, R"([{"type": "text"}])", kUseFormat},
    {"json_schema", R, R, "[]", kUseFormat},
    {"guided_json", R, R, "[]", kUseFormat},
    {"guided_regex", R, R, "[]", kUseOutputs},
    {"guided_choice", R, R, "[]", kUseOutputs},
    {"guided_grammar", R, R, "[]", kUseOutputs},
    {"functions", R, R, "[]", "use tools"},
    {"function_call", R, R, R"(["none", "auto"])", "use tool_choice"},
    {"reasoning_effort", R, R, R"(["none"])"},
    {"verbosity", R, R, R"(["medium"])"},
    {"web_search_options", R, R},
    {"chat_template", R, R},
    {"chat_template_kwargs", R, R},
    {"truncate_prompt_tokens", R, R, "[]", kUseChat},
    {"allowed_token_ids", R, R},
    {"bad_words", R, R},
    {"stop_sequences", R, R, "[]", "use stop"},
};

}  // namespace

std::span<const Parameter> responses_parameters() { return kTable; }

}  // namespace dbrx
