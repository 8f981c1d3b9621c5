// The table of all known request fields; docs/api.md explains them, and a test compares the two.
#include "server/openai_params.h"

namespace dbrx {
namespace {

// NOLINTBEGIN(readability-identifier-naming): columns of a table
constexpr auto U = Support::used;
constexpr auto R = Support::refused;
constexpr auto N = Support::no_effect;
// NOLINTEND(readability-identifier-naming)

constexpr std::string_view kUseChat = "use /v1/chat/completions";
// For names that other servers use, which would otherwise pass as unknown and lose their effect.
constexpr std::string_view kUseMaxTokens = "use max_tokens or max_completion_tokens";

constexpr Parameter kTable[] = {
    // name                           chat completions
    {"model", U, U},
    {"messages", U, R, "[]", "send messages to /v1/chat/completions"},
    {"prompt", R, U, "[]", "send prompt to /v1/completions"},
    {"max_tokens", U, U},
    {"max_completion_tokens", U, U},
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
    {"n", U, U},
    {"logprobs", U, U},
    {"top_logprobs", U, R, "[0]", "use logprobs with a number"},
    {"stream", U, U},
    {"stream_options", U, U},
    {"skip_special_tokens", U, U},
    {"priority", U, U},
    {"echo", R, U, "[]", "send prompt to /v1/completions"},
    {"prompt_logprobs", U, U},
    {"return_tokens_as_token_ids", U, U},
    {"return_token_ids", U, U},
    {"return_routed_experts", U, U},
    {"include_stop_str_in_output", U, U},
    {"response_format", U, U},
    {"structured_outputs", U, U},
    {"guided_json", U, U},
    {"guided_regex", U, U},
    {"guided_choice", U, U},
    {"guided_grammar", U, U},
    {"json_schema", U, U},
    {"tools", U, R, "[]", kUseChat},
    {"tool_choice", U, R, R"(["none", "auto"])", kUseChat},
    {"parallel_tool_calls", U, R, "[true]", kUseChat},
    {"enable_safety_filter", U, U},
    {"enable_safety_mode", U, U},

    {"user", N, N},
    {"metadata", N, N},
    {"safety_identifier", N, N},
    {"prediction", N, N},  // a guess of the answer that may make it come sooner
    {"prompt_cache_key", N, N},
    {"prompt_cache_retention", N, N},
    {"cache_prompt", N, N},
    {"request_id", N, N},
    {"include_reasoning", N, N},
    {"add_special_tokens", N, N},  // the tokenizers of the served families add none
    {"spaces_between_special_tokens", N, N},

    {"client_request_id", N, N},
    {"usage_context", N, N},

    {"use_raw_prompt", R, U},
    {"error_behavior", U, U},
    {"truncate_prompt_tokens", U, U},
    {"extra_params", R, R, "[]", "send its members as fields of the request"},
    {"databricks_options", R, R},
    {"dataframe_records", R, R, "[]", "send messages or prompt"},
    {"dataframe_split", R, R, "[]", "send messages or prompt"},
    {"instances", R, R, "[]", "send messages or prompt"},
    {"inputs", R, R, "[]", "send messages or prompt"},
    {"input", R, R, "[]", "send messages or prompt, or input to /v1/responses"},

    {"store", R, R},
    {"service_tier", R, R, R"(["auto", "default"])"},
    {"suffix", R, R},
    {"best_of", R, R, "[1]", "use n"},
    {"functions", R, R, "[]", "use tools"},
    {"function_call", R, R, R"(["none", "auto"])", "use tool_choice"},
    {"guided_decoding_backend", R, R},
    {"guided_whitespace_pattern", R, R},
    {"grammar", R, R, "[]", "send structured_outputs: {\"grammar\": ...} in Lark's syntax"},
    {"modalities", R, R, R"([["text"]])"},
    {"audio", R, R},
    {"reasoning_effort", R, R, R"(["none"])"},
    {"reasoning", R, R},
    {"thinking", R, R},
    {"verbosity", R, R, R"(["medium"])"},
    {"web_search_options", R, R},
    {"continue_final_message", R, R},
    {"add_generation_prompt", R, R, "[true]"},
    {"chat_template", R, R},
    {"chat_template_kwargs", R, R},
    {"documents", R, R},
    {"mm_processor_kwargs", R, R},
    {"prompt_embeds", R, R},
    {"allowed_token_ids", R, R},
    {"bad_words", R, R},
    {"logit_processors", R, R},
    {"logits_processors", R, R},
    {"use_beam_search", R, R},
    {"length_penalty", R, R, "[1]"},
    {"early_stopping", R, R},
    {"typical_p", R, R, "[1]"},
    {"tfs_z", R, R, "[1]"},
    {"top_a", R, R, "[0]"},
    {"mirostat", R, R, "[0]"},
    {"dry_multiplier", R, R, "[0]"},
    {"xtc_probability", R, R, "[0]"},
    {"max_new_tokens", R, R, "[]", kUseMaxTokens},
    {"max_length", R, R, "[]", kUseMaxTokens},
    {"n_predict", R, R, "[]", kUseMaxTokens},
    {"num_predict", R, R, "[]", kUseMaxTokens},
    {"repeat_penalty", R, R, "[1]", "use repetition_penalty"},
    {"stop_sequences", R, R, "[]", "use stop"},
    {"random_seed", R, R, "[]", "use seed"},
    {"do_sample", R, R, "[true]", "use temperature, 0 for greedy"},
};

}  // namespace

std::span<const Parameter> parameter_table() { return kTable; }

}  // namespace dbrx
