#include "telemetry/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace dbrx {
namespace {

using std::chrono::milliseconds;

EngineSample sample() {
  EngineSample sample;
  sample.stats.running = 3;
  sample.stats.waiting = 2;
  sample.stats.total_blocks = 10;
  sample.stats.free_blocks = 4;
  sample.stats.cached_blocks = 1;
  sample.stats.prompt_tokens = 700;
  sample.stats.generated_tokens = 80;
  sample.stats.prefix_queries = 640;
  sample.stats.prefix_hits = 128;
  sample.stats.preemptions = 1;
  sample.stats.steps = 6;
  sample.stats.step_rows = 521;
  sample.stats.step_row_counts = {3, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  sample.stats.step_row_counts.back() = 1;
  sample.stats.weight_bytes_read = 4'000'000'000;
  sample.stats.step_seconds = 0.5;
  sample.n_experts = 4;
  sample.expert_tokens = {1, 1, 1, 1, 8, 0, 0, 0};
  return sample;
}

MetricsOptions options() {
  return {.model_name = "a \"model\"", .max_context = 1000, .kv_format = "bf16"};
}

// The value of the line that begins with a name and labels; NaN when there is none.
double value_of(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with(series + " ")) return std::stod(line.substr(series.size() + 1));
  }
  return std::nan("");
}

const std::string kLabels = R"(engine="0",model_name="a \"model\"")";

RequestRecord record() {
  const RequestRecord::Time start{std::chrono::hours(1)};
  RequestRecord record;
  record.key = "alice";
  record.started = start;
  record.ended = start + milliseconds(2600);
  record.status = 200;
  record.params = {.n = 2, .max_tokens = 50, .sampling = {}, .seed = {}, .stop = {}};
  record.usage = {.prompt_tokens = 100, .completion_tokens = 31, .cached_tokens = 64};
  ChoiceRecord choice;
  choice.times = {.submitted = start + milliseconds(100),
                  .scheduled = start + milliseconds(400),
                  .first_token = start + milliseconds(500),
                  .now = start + milliseconds(2500)};
  choice.prompt_tokens = 100;
  choice.generated_tokens = 11;
  choice.finish = FinishReason::stop;
  record.choices = {choice, choice};
  record.choices[1].generated_tokens = 20;
  record.choices[1].finish = FinishReason::length;
  return record;
}

TEST(Metrics, ReadsTheEngineAtEachScrape) {
  EngineSample now = sample();
  const Metrics metrics(options(), [&now] { return now; });
  const std::string text = metrics.text();
  EXPECT_EQ(value_of(text, "vllm:num_requests_running{" + kLabels + "}"), 3);
  EXPECT_EQ(value_of(text, "vllm:num_requests_waiting{" + kLabels + "}"), 2);
  EXPECT_EQ(value_of(text, "vllm:kv_cache_usage_perc{" + kLabels + "}"), 0.6);
  EXPECT_EQ(value_of(text, "vllm:prompt_tokens_total{" + kLabels + "}"), 700);
  EXPECT_EQ(value_of(text, "vllm:generation_tokens_total{" + kLabels + "}"), 80);
  EXPECT_EQ(value_of(text, "vllm:prefix_cache_queries_total{" + kLabels + "}"), 640);
  EXPECT_EQ(value_of(text, "vllm:prefix_cache_hits_total{" + kLabels + "}"), 128);
  EXPECT_EQ(value_of(text, "vllm:num_preemptions_total{" + kLabels + "}"), 1);
  now.stats.running = 4;
  EXPECT_EQ(value_of(metrics.text(), "vllm:num_requests_running{" + kLabels + "}"), 4);
}

TEST(Metrics, CountsStepsByTheirRows) {
  const Metrics metrics(options(), sample);
  const std::string text = metrics.text();
  const auto bucket = [&](const std::string& le) {
    return value_of(text, "dbrx:step_rows_bucket{" + kLabels + ",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("1"), 3);
  EXPECT_EQ(bucket("2"), 4);
  EXPECT_EQ(bucket("256"), 4);
  EXPECT_EQ(bucket("512"), 5);
  EXPECT_EQ(bucket("16384"), 5);
  EXPECT_EQ(bucket("+Inf"), 6);
  EXPECT_EQ(value_of(text, "dbrx:step_rows_count{" + kLabels + "}"), 6);
  EXPECT_EQ(value_of(text, "dbrx:step_rows_sum{" + kLabels + "}"), 521);
}

TEST(Metrics, TellsHowEvenlyExpertsAreUsed) {
  const Metrics metrics(options(), sample);
  const std::string text = metrics.text();
  EXPECT_EQ(value_of(text, "dbrx:expert_tokens_total{" + kLabels.substr(0, 10) +
                               R"(,expert="0",layer="1",model_name="a \"model\""})"),
            8)
      << text;
  EXPECT_NEAR(
      value_of(text, R"(dbrx:expert_balance{engine="0",layer="0",model_name="a \"model\""})"), 1,
      1e-12);
  EXPECT_EQ(value_of(text, R"(dbrx:expert_balance{engine="0",layer="1",model_name="a \"model\""})"),
            0);
  EngineSample two = sample();
  two.expert_tokens = {5, 5, 0, 0};
  EXPECT_NEAR(expert_balance(two).at(0), 0.5, 1e-12);  // log 2 / log 4
}

TEST(Metrics, AModelWithoutExpertsHasNoSeriesOfThem) {
  const Metrics metrics(options(), [] {
    EngineSample dense = sample();
    dense.n_experts = 0;
    dense.expert_tokens.clear();
    return dense;
  });
  EXPECT_EQ(metrics.text().find("expert"), std::string::npos);
}

TEST(Metrics, CountsEachChoiceAsVllmDoes) {
  Metrics metrics(options(), sample);
  metrics.finished(record());
  const std::string text = metrics.text();
  const auto sum = [&](const std::string& name) {
    return value_of(text, "vllm:" + name + "_sum{" + kLabels + "}");
  };
  EXPECT_NEAR(sum("e2e_request_latency_seconds"), 5, 1e-9);
  EXPECT_NEAR(sum("request_queue_time_seconds"), 0.6, 1e-9);
  EXPECT_NEAR(sum("request_prefill_time_seconds"), 0.2, 1e-9);
  EXPECT_NEAR(sum("request_decode_time_seconds"), 4, 1e-9);
  EXPECT_NEAR(sum("request_inference_time_seconds"), 4.2, 1e-9);
  EXPECT_NEAR(sum("request_time_per_output_token_seconds"), 0.2 + 2.0 / 19, 1e-9);
  EXPECT_EQ(sum("request_prompt_tokens"), 200);
  EXPECT_EQ(sum("request_generation_tokens"), 31);
  EXPECT_EQ(sum("request_max_num_generation_tokens"), 20);
  EXPECT_EQ(sum("request_params_n"), 2);
  EXPECT_EQ(sum("request_params_max_tokens"), 50);
  const auto ended = [&](const std::string& reason) {
    return value_of(text, R"(vllm:request_success_total{engine="0",finished_reason=")" + reason +
                              R"(",model_name="a \"model\""})");
  };
  EXPECT_EQ(ended("stop"), 1);
  EXPECT_EQ(ended("length"), 1);
  EXPECT_EQ(ended("abort"), 0);
  EXPECT_EQ(value_of(text, R"(dbrx:key_tokens_total{key="alice",kind="cached"})"), 64);
  EXPECT_EQ(value_of(text, R"(dbrx:key_requests_total{key="alice"})"), 1);
}

TEST(Metrics, ARequestThatFailsIsCountedAndLeavesTheLatenciesAlone) {
  Metrics metrics(options(), sample);
  RequestRecord failed = record();
  failed.status = 500;
  failed.error = "a step failed";
  failed.error_code = "internal_error";
  failed.choices[0].finish = FinishReason::error;
  failed.choices[1].finish.reset();
  metrics.finished(failed);
  RequestRecord refused;
  refused.status = 429;
  refused.error = "wait";
  refused.error_code = "rate_limit_exceeded";
  metrics.finished(refused);
  const std::string text = metrics.text();
  EXPECT_EQ(value_of(text, "vllm:e2e_request_latency_seconds_count{" + kLabels + "}"), 0);
  EXPECT_EQ(value_of(text, R"(dbrx:request_errors_total{code="internal_error",status="500"})"), 1);
  EXPECT_EQ(value_of(text, R"(dbrx:request_errors_total{code="rate_limit_exceeded",status="429"})"),
            1);
  EXPECT_EQ(value_of(text, R"(vllm:request_success_total{engine="0",finished_reason="abort",)"
                           R"(model_name="a \"model\""})"),
            1);
}

TEST(Metrics, AValueOnABoundIsInItsBucket) {
  Metrics metrics(options(), sample);
  metrics.first_token(0.005);
  metrics.next_token(0.15);
  const std::string text = metrics.text();
  const auto bucket = [&](const std::string& name, const std::string& le) {
    return value_of(text, "vllm:" + name + "_bucket{" + kLabels + ",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("time_to_first_token_seconds", "0.001"), 0);
  EXPECT_EQ(bucket("time_to_first_token_seconds", "0.005"), 1);
  EXPECT_EQ(bucket("inter_token_latency_seconds", "0.1"), 0);
  EXPECT_EQ(bucket("inter_token_latency_seconds", "0.15"), 1);
  EXPECT_EQ(bucket("inter_token_latency_seconds", "+Inf"), 1);
}

TEST(Metrics, CountsHttpByRouteMethodAndClassOfStatus) {
  Metrics metrics(options(), sample);
  metrics.answered("/v1/models", "GET", "bob", 200, 0.002);
  metrics.answered("/v1/models", "GET", "bob", 204, 0.2);
  metrics.answered("none", "GET", "", 404, 0.001);
  metrics.answered("/v1/completions", "POST", "bob", 429, 0.001);
  const std::string text = metrics.text();
  EXPECT_EQ(
      value_of(text, R"(http_requests_total{handler="/v1/models",method="GET",status="2xx"})"), 2);
  EXPECT_EQ(value_of(text, R"(dbrx:throttled_total{key="bob"})"), 1);
  EXPECT_EQ(value_of(text, R"(http_requests_total{handler="none",method="GET",status="4xx"})"), 1);
  EXPECT_NEAR(
      value_of(text, R"(http_request_duration_seconds_sum{handler="/v1/models",method="GET"})"),
      0.202, 1e-9);
}

TEST(Metrics, TheRoofIsShownWhereItIsKnown) {
  MetricsOptions with_roof = options();
  with_roof.read_bytes_per_second = 1e10;
  with_roof.roof_share = [] { return 0.8; };
  const std::string text = Metrics(with_roof, sample).text();
  EXPECT_EQ(value_of(text, "dbrx:roof_share{" + kLabels + "}"), 0.8);
  EXPECT_EQ(value_of(text, "dbrx:weight_bytes_read_total{" + kLabels + "}"), 4e9);
  with_roof.roof_share = [] { return -1.0; };
  EXPECT_EQ(Metrics(with_roof, sample).text().find("roof_share"), std::string::npos);
  EXPECT_EQ(Metrics(options(), sample).text().find("read_bytes_per_second"), std::string::npos);
}

}  // namespace
}  // namespace dbrx
