#include "telemetry/otlp_json.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

RequestRecord record() {
  RequestRecord record;
  record.id = "chatcmpl-1";
  record.request_id = "req-1";
  record.key = "alice";
  record.model = "nano";
  record.route = "/v1/chat/completions";
  record.dialect = "openai";
  record.params = {.n = 1,
                   .max_tokens = 20,
                   .sampling = SamplingParams{.temperature = 0.5},
                   .seed = 7,
                   .stop = {"END"},
                   .stream = true};
  record.parent = {.trace_id = std::string(32, 'a'), .span_id = std::string(16, 'b')};
  record.at = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  record.started = RequestRecord::Time(std::chrono::seconds(50));
  record.ended = record.started + milliseconds(900);
  record.status = 200;
  record.usage = {.prompt_tokens = 12, .completion_tokens = 5, .cached_tokens = 0};
  ChoiceRecord& choice = record.choices.emplace_back();
  choice.times = {.submitted = record.started + milliseconds(10),
                  .scheduled = record.started + milliseconds(20),
                  .first_token = record.started + milliseconds(120),
                  .now = record.started + milliseconds(800)};
  choice.generated_tokens = 5;
  choice.finish = FinishReason::length;
  return record;
}

const json::value* attribute(const json::object& span, const char* key) {
  for (const json::value& one : span.at("attributes").as_array()) {
    if (one.at("key") == key) return &one.at("value");
  }
  return nullptr;
}

TEST(OtlpJson, ARequestIsASpanWithTheNamesOfTheConventions) {
  const json::array spans = request_spans(record());
  ASSERT_EQ(spans.size(), 4U);
  EXPECT_EQ(count_spans(record()), 4);
  const json::object& whole = spans.back().as_object();
  EXPECT_EQ(whole.at("name"), "chat nano");
  EXPECT_EQ(whole.at("kind"), 2);
  EXPECT_EQ(whole.at("traceId").as_string(), std::string(32, 'a'));
  EXPECT_EQ(whole.at("parentSpanId").as_string(), std::string(16, 'b'));
  EXPECT_EQ(whole.at("startTimeUnixNano"), "1700000000000000000");
  EXPECT_EQ(whole.at("endTimeUnixNano"), "1700000000900000000");
  EXPECT_FALSE(whole.contains("status"));
  const auto text = [&](const char* key) { return attribute(whole, key)->at("stringValue"); };
  const auto number = [&](const char* key) { return attribute(whole, key)->at("intValue"); };
  EXPECT_EQ(text("gen_ai.operation.name"), "chat");
  EXPECT_EQ(text("gen_ai.request.model"), "nano");
  EXPECT_EQ(text("gen_ai.response.id"), "chatcmpl-1");
  EXPECT_EQ(number("gen_ai.request.max_tokens"), "20");
  EXPECT_EQ(number("gen_ai.request.seed"), "7");
  EXPECT_EQ(attribute(whole, "gen_ai.request.temperature")->at("doubleValue"), 0.5);
  EXPECT_EQ(number("gen_ai.usage.input_tokens"), "12");
  EXPECT_EQ(number("gen_ai.usage.output_tokens"), "5");
  EXPECT_EQ(*attribute(whole, "gen_ai.response.finish_reasons"),
            json::parse(R"({"arrayValue": {"values": [{"stringValue": "length"}]}})"));
  EXPECT_EQ(attribute(whole, "gen_ai.request.choice.count"), nullptr);
  EXPECT_EQ(attribute(whole, "error.type"), nullptr);
}

TEST(OtlpJson, TheStretchesOfAChoiceAreItsChildren) {
  const json::array spans = request_spans(record());
  const char* names[] = {"queue", "prefill", "decode"};
  const char* ends[] = {"1700000000020000000", "1700000000120000000", "1700000000800000000"};
  for (size_t i = 0; i < 3; ++i) {
    const json::object& part = spans[i].as_object();
    EXPECT_EQ(part.at("name"), names[i]);
    EXPECT_EQ(part.at("endTimeUnixNano"), ends[i]);
    EXPECT_EQ(part.at("parentSpanId"), spans[3].at("spanId"));
    EXPECT_EQ(part.at("traceId"), spans[3].at("traceId"));
  }
  EXPECT_EQ(attribute(spans[2].as_object(), "dbrx.completion_tokens")->at("intValue"), "5");
}

TEST(OtlpJson, ARequestWithoutAParentBeginsATrace) {
  RequestRecord alone = record();
  alone.parent = {};
  const json::array spans = request_spans(alone);
  EXPECT_FALSE(spans.back().as_object().contains("parentSpanId"));
  EXPECT_EQ(spans.back().at("traceId").as_string().size(), 32U);
  EXPECT_NE(spans.back().at("traceId"), request_spans(alone).back().at("traceId"));
}

TEST(OtlpJson, OnlyFailuresOfTheServerAreErrorsOfItsSpan) {
  RequestRecord refused = record();
  refused.choices.clear();
  refused.status = 400;
  refused.error = "bad";
  refused.error_code = "invalid_value";
  json::array spans = request_spans(refused);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_FALSE(spans[0].as_object().contains("status"));
  EXPECT_EQ(attribute(spans[0].as_object(), "error.type")->at("stringValue"), "invalid_value");
  refused.status = 500;
  refused.error_code = "";
  spans = request_spans(refused);
  EXPECT_EQ(spans[0].at("status").at("code"), 2);
  EXPECT_EQ(attribute(spans[0].as_object(), "error.type")->at("stringValue"), "500");
}

TEST(OtlpJson, TheBodyNamesServiceAndScope) {
  const json::value body =
      json::parse(traces_body({.service = "dbrx", .version = "1"}, request_spans(record())));
  const json::value& resource = body.at("resourceSpans").at(0);
  EXPECT_EQ(resource.at("resource").at("attributes").at(0),
            json::parse(R"({"key": "service.name", "value": {"stringValue": "dbrx"}})"));
  EXPECT_EQ(resource.at("scopeSpans").at(0).at("spans").as_array().size(), 4U);
}

}  // namespace
}  // namespace dbrx
