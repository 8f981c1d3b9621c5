#include "engine/validate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr RequestLimits kLimits{.vocab_size = 100, .max_context = 10, .has_text = true};

// The message with which a request is refused, or "" when it is taken.
std::string refusal(const std::function<void(Request&)>& change, RequestLimits limits = kLimits) {
  Request request;
  request.prompt = {1, 2, 3};
  request.stop.max_tokens = 7;
  request.sink = [](Event&&) {};
  change(request);
  try {
    validate_request(request, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "";
}

TEST(ValidateRequest, takes_a_request_that_just_fits) {
  EXPECT_EQ(refusal([](Request&) {}), "");
  EXPECT_EQ(refusal([](Request& r) {
              r.sampling = {.temperature = 0, .top_p = 1, .top_k = 1000000, .min_p = 1};
              r.stop.min_tokens = 7;
              r.stop.stop.assign(kMaxStops, "é");
              r.stop.stop[0] = std::string(kMaxStopBytes, 'a');
              r.stop.stop_token_ids = {0, 99};
              r.top_logprobs = 100;
              r.n_choices = kMaxChoices;
            }),
            "");
}

TEST(ValidateRequest, names_the_field_that_is_wrong) {
  const std::vector<std::pair<std::string, std::function<void(Request&)>>> cases = {
      {"prompt", [](Request& r) { r.prompt.clear(); }},
      {"prompt", [](Request& r) { r.prompt[1] = 100; }},
      {"prompt", [](Request& r) { r.prompt[1] = -1; }},
      {"context", [](Request& r) { r.prompt.push_back(1); }},
      {"context", [](Request& r) { r.prompt.resize(10); }},
      {"context", [](Request& r) { r.stop.max_tokens = INT64_MAX; }},
      {"max_tokens", [](Request& r) { r.stop.max_tokens = 0; }},
      {"min_tokens", [](Request& r) { r.stop.min_tokens = -1; }},
      {"min_tokens", [](Request& r) { r.stop.min_tokens = 8; }},
      {"stop", [](Request& r) { r.stop.stop = {"a", ""}; }},
      {"stop", [](Request& r) { r.stop.stop = {"\xA9"}; }},
      {"stop", [](Request& r) { r.stop.stop = {"a\xC3"}; }},
      {"1024", [](Request& r) { r.stop.stop = {std::string(kMaxStopBytes + 1, 'a')}; }},
      {"16", [](Request& r) { r.stop.stop.assign(kMaxStops + 1, "a"); }},
      {"stop_token_ids", [](Request& r) { r.stop.stop_token_ids = {100}; }},
      {"n_choices", [](Request& r) { r.n_choices = 0; }},
      {"n_choices", [](Request& r) { r.n_choices = kMaxChoices + 1; }},
      {"client_weight", [](Request& r) { r.client_weight = 0; }},
      {"client_weight", [](Request& r) { r.client_weight = 1001; }},
      {"client_weight", [](Request& r) { r.client_weight = NAN; }},
      {"top_logprobs", [](Request& r) { r.top_logprobs = -1; }},
      {"top_logprobs", [](Request& r) { r.top_logprobs = 101; }},
      {"temperature", [](Request& r) { r.sampling.temperature = -1; }},
      {"temperature", [](Request& r) { r.sampling.temperature = NAN; }},
      {"temperature", [](Request& r) { r.sampling.temperature = INFINITY; }},
      {"top_p", [](Request& r) { r.sampling.top_p = 0; }},
      {"top_p", [](Request& r) { r.sampling.top_p = 1.5F; }},
      {"top_p", [](Request& r) { r.sampling.top_p = NAN; }},
      {"top_k", [](Request& r) { r.sampling.top_k = -1; }},
      {"min_p", [](Request& r) { r.sampling.min_p = 1.5F; }},
      {"presence_penalty", [](Request& r) { r.sampling.presence_penalty = NAN; }},
      {"frequency_penalty", [](Request& r) { r.sampling.frequency_penalty = INFINITY; }},
      {"repetition_penalty", [](Request& r) { r.sampling.repetition_penalty = 0; }},
      {"repetition_penalty", [](Request& r) { r.sampling.repetition_penalty = 1e-44F; }},
      {"logit_bias", [](Request& r) { r.sampling.logit_bias = {{100, 1}}; }},
      {"logit_bias", [](Request& r) { r.sampling.logit_bias = {{1, NAN}}; }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_NE(refusal(cases[i].second).find(cases[i].first), std::string::npos) << "case " << i;
  }
}

TEST(ValidateRequest, refuses_stop_strings_when_there_is_no_text) {
  RequestLimits limits = kLimits;
  limits.has_text = false;
  EXPECT_NE(refusal([](Request& r) { r.stop.stop = {"a"}; }, limits), "");
}

}  // namespace
}  // namespace dbrx
