// The OpenAI routes over loopback, one client at a time.
#include "server/server.h"

#include <gtest/gtest.h>

#include "server/bound_port.h"
#include "server/fake_server.h"
#include "server/http.h"

namespace dbrx {
namespace {

namespace json = boost::json;

const std::string kHello = R"("messages": [{"role": "user", "content": "hello"}])";

TEST(Server, CompletesAChat) {
  FakeServer server;
  TestAnswer answer = server.chat("{" + kHello + R"(, "max_tokens": 5})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_NE(answer.header("x-dbrx-seed"), "");
  EXPECT_EQ(answer.header("x-dbrx-ignored"), "");
  json::value body = json::parse(answer.body);
  EXPECT_TRUE(text_at(body, "/id").starts_with("chatcmpl-"));
  EXPECT_EQ(text_at(body, "/object"), "chat.completion");
  EXPECT_EQ(text_at(body, "/model"), "alphabet");
  EXPECT_EQ(text_at(body, "/system_fingerprint"), "fp_test");
  EXPECT_EQ(text_at(body, "/choices/0/message/role"), "assistant");
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abcde");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "length");
  EXPECT_EQ(text_at(body, "/choices/0/logprobs"), "null");
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "5");
  EXPECT_EQ(text_at(body, "/usage/prompt_tokens_details/cached_tokens"), "0");
  int64_t prompt = body.at_pointer("/usage/prompt_tokens").as_int64();
  EXPECT_GT(prompt, 5);
  EXPECT_EQ(body.at_pointer("/usage/total_tokens").as_int64(), prompt + 5);
}

TEST(Server, TellsHowMuchOfAPromptWasInTheCache) {
  FakeServer server;
  const std::string body =
      R"({"prompt": ")" + std::string(150, 'a') + R"(", "max_tokens": 3, "logprobs": 2})";
  const json::value first = json::parse(server.complete(body).body);
  const json::value second = json::parse(server.complete(body).body);
  EXPECT_EQ(text_at(first, "/usage/prompt_tokens_details/cached_tokens"), "0");
  EXPECT_EQ(text_at(second, "/usage/prompt_tokens_details/cached_tokens"), "128");
  EXPECT_EQ(first.at("choices"), second.at("choices"));
}

TEST(Server, RefusesRequestsAndIsUnhealthyOnceAFaultIsKnown) {
  FakeServer server;
  EXPECT_EQ(server.get("/health").status, 200);
  server.report_fault("layer-0003.safetensors is damaged");
  for (const TestAnswer& answer : {server.chat("{" + kHello + R"(, "max_tokens": 1})"),
                                   server.complete(R"({"prompt": "a"})")}) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(text_at(json::parse(answer.body), "/error/message"),
              "layer-0003.safetensors is damaged");
  }
  // /health, which needs no key, tells no more than that.
  const TestAnswer health = server.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(text_at(json::parse(health.body), "/error/code"), "fault");
  EXPECT_EQ(health.body.find("layer"), std::string::npos);
  EXPECT_EQ(server.get("/readyz").status, 503);
  EXPECT_EQ(server.get("/livez").status, 200);  // the same weights would be read again
  EXPECT_EQ(server.get("/v1/models").status, 200);
}

TEST(Server, APortIsTakenBeforeTheServerListens) {
  BoundPort port("127.0.0.1", 0);
  EXPECT_NE(port.port(), 0);
  HttpServer first({.port = port.port()}, {});
  EXPECT_EQ(first.listen(port), port.port());
  try {
    const BoundPort second("127.0.0.1", port.port());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("is in use by another program"), std::string::npos);
  }
}

TEST(Server, AnswersToAllNamesOfItsModelAndToNoOther) {
  FakeServer server;
  TestAnswer answer = server.chat("{" + kHello + R"(, "model": "org/alpha-2", "max_tokens": 1})");
  EXPECT_EQ(text_at(json::parse(answer.body), "/model"), "org/alpha-2");
  answer = server.chat("{" + kHello + R"(, "model": "gpt-4"})");
  EXPECT_EQ(answer.status, 404);
  json::value body = json::parse(answer.body);
  EXPECT_EQ(text_at(body, "/error/code"), "model_not_found");
  EXPECT_EQ(text_at(body, "/error/param"), "model");
  EXPECT_NE(text_at(body, "/error/message").find("\"alphabet\""), std::string::npos);
}

TEST(Server, EndsAtTheEndOfTextAndHonoursBothNamesOfTheTokenLimit) {
  FakeServer server;
  json::value body = json::parse(server.chat("{" + kHello + "}").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abcdefghijklmnopqrstuvwxyz");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "stop");
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "27");
  body = json::parse(server.chat("{" + kHello + R"(, "max_completion_tokens": 3})").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abc");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "length");
  body = json::parse(server.complete(R"({"prompt": "x"})").body);
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "3");  // y, z, end
  body = json::parse(server.complete(R"({"prompt": "x", "ignore_eos": true})").body);
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "16");
}

TEST(Server, StreamsAChatAsTheSdksExpect) {
  FakeServer server;
  TestAnswer answer = server.chat("{" + kHello + R"(, "max_tokens": 2, "stream": true, "seed": -3,
                     "stream_options": {"include_usage": true}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(answer.header("content-type").starts_with("text/event-stream"));
  EXPECT_EQ(answer.header("cache-control"), "no-cache");
  EXPECT_EQ(answer.header("x-accel-buffering"), "no");
  EXPECT_EQ(answer.header("x-dbrx-seed"), "-3");
  std::vector<json::value> objects = stream_objects(answer.body);
  ASSERT_EQ(objects.size(), 6u) << answer.body;
  EXPECT_EQ(text_at(objects[0], "/choices/0/delta"), R"({"role":"assistant","content":""})");
  EXPECT_EQ(text_at(objects[0], "/object"), "chat.completion.chunk");
  EXPECT_EQ(text_at(objects[1], "/choices/0/delta/content"), "a");
  EXPECT_EQ(text_at(objects[2], "/choices/0/delta/content"), "b");
  EXPECT_EQ(text_at(objects[2], "/choices/0/finish_reason"), "null");
  EXPECT_EQ(text_at(objects[2], "/usage"), "null");
  EXPECT_EQ(text_at(objects[3], "/choices/0/delta"), "{}");
  EXPECT_EQ(text_at(objects[3], "/choices/0/finish_reason"), "length");
  EXPECT_EQ(text_at(objects[3], "/seed"), "-3");
  EXPECT_EQ(text_at(objects[4], "/choices"), "[]");
  EXPECT_EQ(text_at(objects[4], "/usage/completion_tokens"), "2");
  EXPECT_TRUE(objects[5].is_null());
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(text_at(objects[i], "/id"), text_at(objects[0], "/id"));
}

TEST(Server, MentionsUsageInStreamsOnlyWhenAsked) {
  FakeServer server;
  TestAnswer answer = server.chat("{" + kHello + R"(, "max_tokens": 1, "stream": true})");
  EXPECT_EQ(answer.body.find("usage"), std::string::npos);
  answer = server.chat("{" + kHello + R"(, "max_tokens": 2, "stream": true,
      "stream_options": {"include_usage": true, "continuous_usage_stats": true}})");
  EXPECT_EQ(text_at(stream_objects(answer.body).at(1), "/usage/completion_tokens"), "1");
}

TEST(Server, WritesTheUsageSoFarIntoEveryChunkWithoutALastOne) {
  FakeServer server;
  TestAnswer answer = server.complete(R"({"prompt": "a", "max_tokens": 2, "stream": true,
      "stream_options": {"continuous_usage_stats": true}})");
  std::vector<json::value> objects = stream_objects(answer.body);
  ASSERT_EQ(objects.size(), 4u) << answer.body;
  EXPECT_EQ(text_at(objects[0], "/usage/completion_tokens"), "1");
  EXPECT_EQ(text_at(objects[2], "/usage/completion_tokens"), "2");
  EXPECT_EQ(text_at(objects[2], "/choices/0/finish_reason"), "length");
}

TEST(Server, StreamsCompletions) {
  FakeServer server;
  TestAnswer answer = server.complete(R"({"prompt": "x", "stream": true})");
  std::vector<json::value> objects = stream_objects(answer.body);
  ASSERT_EQ(objects.size(), 4u) << answer.body;
  EXPECT_EQ(text_at(objects[0], "/object"), "text_completion");
  EXPECT_EQ(text_at(objects[0], "/choices/0/text"), "y");
  EXPECT_EQ(text_at(objects[1], "/choices/0/text"), "z");
  EXPECT_EQ(text_at(objects[2], "/choices/0/text"), "");
  EXPECT_EQ(text_at(objects[2], "/choices/0/finish_reason"), "stop");
}

TEST(Server, NumbersChoicesOverAllPrompts) {
  FakeServer server;
  const std::string request = R"({"prompt": ["a", "c"], "n": 2, "max_tokens": 1)";
  json::value body = json::parse(server.complete(request + "}").body);
  ASSERT_EQ(body.at("choices").as_array().size(), 4u);
  const char* expected[] = {"b", "b", "d", "d"};
  for (int i = 0; i < 4; ++i) {
    const std::string at = "/choices/" + std::to_string(i);
    EXPECT_EQ(text_at(body, (at + "/index").c_str()), std::to_string(i));
    EXPECT_EQ(text_at(body, (at + "/text").c_str()), expected[i]);
  }
  EXPECT_EQ(text_at(body, "/usage/prompt_tokens"), "2");
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "4");
  std::string texts[4];
  for (const json::value& object :
       stream_objects(server.complete(request + R"(, "stream": true})").body)) {
    if (object.is_null()) continue;
    auto index = static_cast<size_t>(object.at_pointer("/choices/0/index").as_int64());
    texts[index] += text_at(object, "/choices/0/text");
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(texts[i], expected[i]);
}

TEST(Server, TakesTokenIdsAsPrompts) {
  FakeServer server;
  json::value body = json::parse(server.complete(R"({"prompt": [120], "max_tokens": 1})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "y");
  body = json::parse(server.complete(R"({"prompt": [[97], [98]], "max_tokens": 1})").body);
  EXPECT_EQ(text_at(body, "/choices/1/text"), "c");
  EXPECT_EQ(server.complete(R"({"prompt": [309]})").status, 400);
  EXPECT_EQ(server.complete(R"({"prompt": [-1]})").status, 400);
}

TEST(Server, StopsAtStopStrings) {
  FakeServer server;
  json::value body = json::parse(server.chat("{" + kHello + R"(, "stop": ["zz", "ef"]})").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abcd");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "stop");
  EXPECT_EQ(text_at(body, "/choices/0/stop_reason"), "ef");
  body = json::parse(server.chat("{" + kHello + R"(, "stop_token_ids": [99]})").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "ab");
}

TEST(Server, ReportsLogprobsOfTheTextInTheFormOfEachRoute) {
  FakeServer server;
  const std::string at_z =
      R"("messages": [{"role": "user", "content": ""}], "stop_token_ids": [100])";
  json::value chat =
      json::parse(server.chat("{" + at_z + R"(, "logprobs": true, "top_logprobs": 2})").body);
  const json::array& content = chat.at_pointer("/choices/0/logprobs/content").as_array();
  ASSERT_EQ(content.size(), 3u);  // a b c, without the token that stopped it
  EXPECT_EQ(text_at(content[0], "/token"), "a");
  EXPECT_EQ(text_at(content[0], "/bytes"), "[97]");
  EXPECT_EQ(text_at(content[0], "/top_logprobs/1/token"), "?");
  EXPECT_NEAR(content[0].at_pointer("/top_logprobs/1/logprob").to_number<double>(), -30, 0.01);

  json::value text =
      json::parse(server.complete(R"({"prompt": "a", "logprobs": 1, "max_tokens": 3})").body);
  const json::value& logprobs = text.at_pointer("/choices/0/logprobs");
  EXPECT_EQ(text_at(logprobs, "/tokens"), R"(["b","c","d"])");
  EXPECT_EQ(text_at(logprobs, "/text_offset"), "[0,1,2]");
  EXPECT_EQ(logprobs.at("token_logprobs").at(0), logprobs.at("top_logprobs").at(0).at("b"));
  // The token that ends a completion is listed; it has no text.
  text = json::parse(server.complete(R"({"prompt": "x", "logprobs": 1})").body);
  EXPECT_EQ(text_at(text, "/choices/0/text"), "yz");
  const json::value& ended = text.at_pointer("/choices/0/logprobs");
  EXPECT_EQ(text_at(ended, "/tokens"), R"(["y","z","<|im_end|>"])");
  EXPECT_EQ(text_at(ended, "/text_offset"), "[0,1,2]");
  EXPECT_EQ(ended.at("token_logprobs").at(2), ended.at("top_logprobs").at(2).at("<|im_end|>"));
  EXPECT_NEAR(ended.at("token_logprobs").at(2).to_number<double>(), 0, 1e-6);
  TestAnswer streamed =
      server.complete(R"({"prompt": "a", "logprobs": 0, "max_tokens": 3, "stream": true})");
  EXPECT_EQ(text_at(stream_objects(streamed.body).at(2), "/choices/0/logprobs/text_offset"), "[2]");
}

TEST(Server, RepeatsAnAnswerFromItsSeed) {
  FakeServer server;
  const std::string noise = R"({"prompt": "~", "max_tokens": 20, "n": 2)";
  TestAnswer first = server.complete(noise + "}");
  const std::string seed = first.header("x-dbrx-seed");
  TestAnswer second = server.complete(noise + R"(, "seed": )" + seed + "}");
  EXPECT_EQ(second.header("x-dbrx-seed"), seed);
  json::value a = json::parse(first.body);
  json::value b = json::parse(second.body);
  EXPECT_EQ(text_at(a, "/choices/0/text"), text_at(b, "/choices/0/text"));
  EXPECT_EQ(text_at(a, "/choices/1/text"), text_at(b, "/choices/1/text"));
  EXPECT_NE(text_at(a, "/choices/0/text"), text_at(a, "/choices/1/text"));
  json::value other = json::parse(server.complete(noise + "}").body);
  EXPECT_NE(text_at(a, "/choices/0/text"), text_at(other, "/choices/0/text"));
}

TEST(Server, RefusesWhatDoesNotFitTheContextWithTheNumbers) {
  FakeServer server({.max_context = 64});
  TestAnswer answer = server.complete(R"({"prompt": "abcdefghij", "max_tokens": 60})");
  EXPECT_EQ(answer.status, 400);
  json::value body = json::parse(answer.body);
  EXPECT_EQ(text_at(body, "/error/code"), "context_length_exceeded");
  EXPECT_EQ(text_at(body, "/error/param"), "prompt");
  for (const char* number : {"64", "10", "60", "54"}) {
    EXPECT_NE(text_at(body, "/error/message").find(number), std::string::npos) << number;
  }
  const std::string prompt(64, 'q');
  EXPECT_EQ(server.complete(R"({"prompt": ")" + prompt + R"("})").status, 400);
  body = json::parse(server.complete(R"({"prompt": ")" + prompt.substr(4) + R"("})").body);
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "4");  // clipped from 16
}

TEST(Server, SendsWholeAnswersOnlyUpToASize) {
  FakeServer server({.max_context = 16 << 10});
  const std::string request =
      R"({"prompt": "a", "stop": "c", "max_tokens": 8192, "n": 8, "logprobs": )";
  EXPECT_EQ(server.complete(request + "15}").status, 200);  // 8192 * 8 * 16: just as many
  TestAnswer answer = server.complete(request + "16}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("set stream to true"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("1048576"), std::string::npos) << answer.body;
  answer = server.complete(request + R"(16, "stream": true})");
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
}

TEST(Server, RefusesTextsThatCanNotFitWithoutTokenizingThem) {
  FakeServer server;
  const std::string text(10'000'000, ' ');  // a tokenizer would take minutes, or give up
  auto begin = std::chrono::steady_clock::now();
  for (const TestAnswer& answer :
       {server.complete(R"({"prompt": ")" + text + R"("})"),
        server.chat(R"({"messages": [{"role": "user", "content": ")" + text + R"("}]})")}) {
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(text_at(json::parse(answer.body), "/error/code"), "context_length_exceeded");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(Server, SendsErrorsBeforeTheStatusOfAStream) {
  FakeServer server({.max_context = 64});
  TestAnswer answer = server.complete(R"({"prompt": "abc", "max_tokens": 6000, "stream": true})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.header("content-type"), "application/json");
}

TEST(Server, NamesUnknownParametersInAHeaderOrRefusesThemWhenStrict) {
  FakeServer server;
  TestAnswer answer = server.complete(R"({"prompt": "a", "max_tokens": 1, "frobnicate": 1,
                                          "b\r\nSet-Cookie: c": 2})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("x-dbrx-ignored"), "frobnicate, b??set-cookie:?c");
  FakeServer::Setup setup;
  setup.server.strict_params = true;
  FakeServer strict(std::move(setup));
  answer = strict.complete(R"({"prompt": "a", "frobnicate": 1})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(text_at(json::parse(answer.body), "/error/param"), "frobnicate");
}

TEST(Server, RefusesBodiesThatAreNoJsonObject) {
  FakeServer server;
  for (const char* body : {"hello", "{", "[1]", "\"x\"", "{} {}", "{\"prompt\": \"\xff\"}",
                           "{\"prompt\": \"\\ud800\"}", "{\"n\": 1e999}", "{\"n\": NaN}"}) {
    TestAnswer answer = server.complete(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(text_at(json::parse(answer.body), "/error/type"), "invalid_request_error");
    EXPECT_NE(answer.header("x-request-id"), "");
  }
  TestAnswer deep = server.complete(std::string(100'000, '['));
  EXPECT_EQ(deep.status, 400);
  EXPECT_NE(deep.body.find("64"), std::string::npos);
}

TEST(Server, InsistsOnTheContentTypeThatPagesOfOthersCannotSend) {
  FakeServer server;
  TestClient client(server.port);
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\n"
      "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.read_answer().status, 415);
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 15\r\n"
      "Content-Type: application/json; charset=utf-8\r\n\r\n{\"prompt\": \"a\"}");
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST(Server, DescribesItself) {
  FakeServer server;
  TestAnswer index = server.get("/routes");
  EXPECT_NE(index.body.find("/v1/chat/completions"), std::string::npos);
  EXPECT_EQ(server.get("/health").body, R"({"status":"ok"})");
  EXPECT_EQ(server.get("/version").body, R"({"version":"1.2.3"})");
  json::value models = json::parse(server.get("/v1/models").body);
  EXPECT_EQ(text_at(models, "/data/0/id"), "alphabet");
  EXPECT_EQ(text_at(models, "/data/1/id"), "org/alpha-2");
  EXPECT_EQ(text_at(models, "/data/0/max_model_len"), "1024");
  EXPECT_EQ(text_at(json::parse(server.get("/v1/models/org/alpha-2").body), "/id"), "org/alpha-2");
  EXPECT_EQ(text_at(json::parse(server.get("/v1/models/org%2Falpha-2").body), "/id"),
            "org/alpha-2");
  EXPECT_EQ(server.get("/v1/models/other").status, 404);
}

TEST(Server, KnowsItsPathsAndMethods) {
  FakeServer server;
  TestAnswer answer = server.get("/nothing/here");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(text_at(json::parse(answer.body), "/error/code"), "unknown_url");
  answer = server.get("/v1/completions");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("allow"), "post, options");
  TestClient client(server.port);
  client.send_request("OPTIONS", "/v1/models");
  answer = client.read_answer();
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("allow"), "get, head, options");
  client.send_request("HEAD", "/health?x=1");
  EXPECT_EQ(client.read_answer(true).status, 200);
}

TEST(Server, SendsModelsWithoutATemplateToCompletions) {
  FakeServer server({.with_template = false});
  TestAnswer answer = server.chat("{" + kHello + "}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("/v1/completions"), std::string::npos);
}

TEST(Server, TellsWhenTheEngineFailed) {
  FakeServer server;
  server.fail_next_step = true;
  TestAnswer answer = server.complete(R"({"prompt": "a"})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(text_at(json::parse(answer.body), "/error/type"), "server_error");
  server.fail_next_step = true;
  answer = server.complete(R"({"prompt": "a", "stream": true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(text_at(stream_objects(answer.body).back(), "/error/type"), "server_error");
  EXPECT_EQ(server.complete(R"({"prompt": "a"})").status, 200);
}

}  // namespace
}  // namespace dbrx
