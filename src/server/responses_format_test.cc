#include "server/responses_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/fake_server.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

namespace json = boost::json;

struct StreamEvent {
  std::string name;
  json::value data;
};

// Checks what all events have: a line with the name, which the object has too, and the number.
std::vector<StreamEvent> read_events(const std::string& stream) {
  std::vector<StreamEvent> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const std::string text = stream.substr(at, end - at);
    at = end + 2;
    if (text.starts_with(':')) continue;  // a ping
    const size_t line = text.find("\ndata: ");
    EXPECT_TRUE(text.starts_with("event: ")) << text;
    events.push_back({text.substr(7, line - 7), json::parse(text.substr(line + 7))});
    EXPECT_EQ(text_at(events.back().data, "/type"), events.back().name);
    EXPECT_EQ(text_at(events.back().data, "/sequence_number"), std::to_string(events.size() - 1));
  }
  return events;
}

std::vector<std::string> names(const std::vector<StreamEvent>& events) {
  std::vector<std::string> all;
  for (const StreamEvent& event : events) all.push_back(event.name);
  return all;
}

AnswerHead head() {
  return {.id = "resp_1",
          .created = 7,
          .model = "m",
          .system_fingerprint = "fp",
          .echoed = {{"store", false}, {"metadata", json::object({{"k", "v"}})}}};
}

constexpr Usage kUsage = {.prompt_tokens = 5, .completion_tokens = 3, .cached_tokens = 2};

LogprobsFormat logprobs_format() {
  static const Tokenizer tokenizer = Tokenizer::from_json(tiny::tokenizer_json(), "test");
  return LogprobsFormat(tokenizer);
}

json::value whole(const ChoiceAnswer& choice, TokensWanted wanted = {}) {
  return json::parse(ResponsesAnswer(head()).whole({choice}, wanted, kUsage, logprobs_format()));
}

// Ids of items are random.
void hide_ids(json::value& response) {
  for (json::value& item : response.at("output").as_array()) item.at("id") = "";
}

TEST(ResponsesFormat, WritesAMessage) {
  ChoiceAnswer choice;
  choice.text = "a\"b";
  choice.end.seed = 9;
  const json::value answer = whole(choice);
  EXPECT_EQ(text_at(answer, "/object"), "response");
  EXPECT_EQ(text_at(answer, "/id"), "resp_1");
  EXPECT_EQ(text_at(answer, "/created_at"), "7");
  EXPECT_EQ(text_at(answer, "/status"), "completed");
  EXPECT_EQ(text_at(answer, "/incomplete_details"), "null");
  EXPECT_EQ(text_at(answer, "/metadata/k"), "v");
  EXPECT_EQ(text_at(answer, "/seed"), "9");
  EXPECT_TRUE(text_at(answer, "/output/0/id").starts_with("msg_"));
  EXPECT_EQ(text_at(answer, "/output/0/status"), "completed");
  EXPECT_EQ(text_at(answer, "/output/0/role"), "assistant");
  EXPECT_EQ(text_at(answer, "/output/0/content"),
            R"([{"type":"output_text","text":"a\"b","annotations":[],"logprobs":[]}])");
  EXPECT_EQ(
      text_at(answer, "/usage"),
      R"({"input_tokens":5,"input_tokens_details":{"cached_tokens":2,"cache_write_tokens":0},)"
      R"("output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":8})");
}

TEST(ResponsesFormat, WritesLogprobsIntoThePart) {
  ChoiceAnswer choice;
  choice.text = "a";
  choice.tokens = {{.id = 'a', .logprob = -1, .top = {{'b', -0.5F}}}};
  TokensWanted wanted;
  wanted.logprobs = 1;
  const json::value answer = whole(choice, wanted);
  EXPECT_EQ(text_at(answer, "/output/0/content/0/logprobs"),
            R"([{"token":"a","logprob":-1E0,"bytes":[97],"top_logprobs":)"
            R"([{"token":"b","logprob":-5E-1,"bytes":[98]}]}])");
}

TEST(ResponsesFormat, OnlyTheLastItemIsIncomplete) {
  ChoiceAnswer choice;
  choice.text = "t";
  choice.calls = {{.id = "call_1", .name = "f", .arguments = "{}"},
                  {.id = "call_2", .name = "g", .arguments = "{\"a"}};
  choice.end.reason = FinishReason::length;
  choice.end.has_calls = true;
  const json::value answer = whole(choice);
  EXPECT_EQ(text_at(answer, "/status"), "incomplete");
  EXPECT_EQ(text_at(answer, "/incomplete_details/reason"), "max_output_tokens");
  EXPECT_EQ(text_at(answer, "/output/0/status"), "completed");
  EXPECT_EQ(text_at(answer, "/output/1/status"), "completed");
  EXPECT_TRUE(text_at(answer, "/output/1/id").starts_with("fc_"));
  EXPECT_EQ(text_at(answer, "/output/1/call_id"), "call_1");
  EXPECT_EQ(text_at(answer, "/output/2/status"), "incomplete");
  EXPECT_EQ(text_at(answer, "/output/2/arguments"), "{\"a");
}

TEST(ResponsesFormat, AnEmptyAnswerIsAnEmptyMessage) {
  const json::value answer = whole(ChoiceAnswer());
  EXPECT_EQ(text_at(answer, "/output/0/content/0/text"), "");
  ResponsesAnswer stream(head());
  std::string text = stream.begin(0, {}, {});
  text += stream.finish(0, {}, {});
  text += stream.end(kUsage, false);
  const auto events = read_events(text);
  EXPECT_EQ(text_at(events.back().data, "/response/output/0/content/0/text"), "");
}

TEST(ResponsesFormat, StreamsTextAndCallsToTheSameAnswer) {
  ResponsesAnswer stream(head());
  const std::vector<ToolCallDelta> first = {
      {.index = 0, .id = "call_1", .name = "f", .arguments = "{\"a\""}};
  const std::vector<ToolCallDelta> rest = {
      {.index = 0, .arguments = ":1}"},
      {.index = 1, .id = "call_2", .name = "g", .arguments = "{}"}};
  std::string text = stream.begin(0, {}, {});
  text += stream.piece({.text = "he"}, {});
  text += stream.piece({.text = "llo", .logprobs = "[1]"}, {});
  text += stream.piece({.calls = first}, {});
  text += stream.piece({.calls = rest}, {});
  ChoiceEnd end;
  end.has_calls = true;
  end.seed = 9;
  text += stream.finish(0, end, {});
  text += stream.end(kUsage, false);

  const auto events = read_events(text);
  EXPECT_EQ(
      names(events),
      (std::vector<std::string>{
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
          "response.output_text.done", "response.content_part.done", "response.output_item.done",
          "response.output_item.added", "response.function_call_arguments.delta",
          "response.function_call_arguments.delta", "response.function_call_arguments.done",
          "response.output_item.done", "response.output_item.added",
          "response.function_call_arguments.delta", "response.function_call_arguments.done",
          "response.output_item.done", "response.completed"}));
  EXPECT_EQ(text_at(events[0].data, "/response/status"), "in_progress");
  EXPECT_EQ(text_at(events[0].data, "/response/usage"), "null");
  EXPECT_EQ(text_at(events[4].data, "/logprobs"), "[]");
  EXPECT_EQ(text_at(events[5].data, "/logprobs"), "[1]");
  EXPECT_EQ(text_at(events[6].data, "/text"), "hello");
  EXPECT_EQ(text_at(events[6].data, "/content_index"), "0");
  EXPECT_EQ(text_at(events[12].data, "/arguments"), "{\"a\":1}");
  EXPECT_EQ(text_at(events[12].data, "/output_index"), "1");
  EXPECT_EQ(text_at(events[12].data, "/item_id"), text_at(events[9].data, "/item/id"));

  ChoiceAnswer choice;
  choice.text = "hello";
  choice.end = end;
  choice.calls = {{.id = "call_1", .name = "f", .arguments = "{\"a\":1}"},
                  {.id = "call_2", .name = "g", .arguments = "{}"}};
  json::value expected = whole(choice);
  json::value streamed = events.back().data.at("response");
  hide_ids(expected);
  hide_ids(streamed);
  EXPECT_EQ(streamed, expected);
}

TEST(ServerResponses, AnswersAndStreamsTheSame) {
  FakeServer server;
  const std::string fields = R"({"input": "hello", "max_output_tokens": 4, "seed": 3)";
  const TestAnswer answer = server.post("/v1/responses", fields + "}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("x-dbrx-seed"), "3");
  json::value expected = json::parse(answer.body);
  EXPECT_EQ(text_at(expected, "/output/0/content/0/text"), "abcd");
  EXPECT_EQ(text_at(expected, "/system_fingerprint"), "fp_test");
  const TestAnswer streamed = server.post("/v1/responses", fields + R"(, "stream": true})");
  EXPECT_EQ(streamed.header("content-type"), "text/event-stream; charset=utf-8");
  const auto events = read_events(streamed.body);
  EXPECT_EQ(events.back().name, "response.incomplete");
  json::value last = events.back().data.at("response");
  for (json::value* response : {&expected, &last}) {
    hide_ids(*response);
    response->at("id") = "";
    response->at("created_at") = 0;
    response->at("usage").at("input_tokens_details") = nullptr;  // the second one is cached
  }
  EXPECT_EQ(last, expected);
}

TEST(ServerResponses, AFailureEndsAStreamWithWhatThereWas) {
  FakeServer server;
  server.step_ms = 20;
  TestClient client(server.port);
  client.send_request("POST", "/v1/responses", R"({"input": "hello", "stream": true})");
  std::string body = client.read_until("\"delta\":\"a\"");
  server.fail_next_step = true;
  body += client.read_until("");
  EXPECT_NE(body.find("event: response.failed\n"), std::string::npos);
  const json::value failed = stream_objects(body).back();
  EXPECT_EQ(text_at(failed, "/type"), "response.failed");
  EXPECT_EQ(text_at(failed, "/response/status"), "failed");
  EXPECT_EQ(text_at(failed, "/response/error/code"), "server_error");
  EXPECT_TRUE(text_at(failed, "/response/output/0/content/0/text").starts_with("a"));
  EXPECT_EQ(text_at(failed, "/response/output/0/status"), "incomplete");
  EXPECT_EQ(body.find("[DONE]"), std::string::npos);
}

TEST(ServerResponses, NothingIsStored) {
  FakeServer server;
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"GET", "/v1/responses/resp_1"},
                                                        {"DELETE", "/v1/responses/resp_1"},
                                                        {"GET", "/v1/responses/resp_1/input_items"},
                                                        {"POST", "/v1/responses/resp_1/cancel"}}) {
    TestClient client(server.port);
    client.send_request(method, path);
    const TestAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_NE(answer.body.find("does not store responses"), std::string::npos) << answer.body;
  }
}

TEST(ServerResponses, NamesItsOwnFields) {
  FakeServer server;
  EXPECT_NE(server.post("/v1/responses", R"({"input": "x", "max_output_tokens": 5000})")
                .body.find("lower max_output_tokens to"),
            std::string::npos);
  const std::string long_text(2000, 'x');
  const TestAnswer answer = server.post("/v1/responses", R"({"input": ")" + long_text + "\"}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(text_at(json::parse(answer.body), "/error/param"), "input");
}

}  // namespace
}  // namespace dbrx
