#include "server/openai_format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/api_error.h"
#include "server/http_text.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

namespace json = boost::json;

const Tokenizer& tokenizer() {
  static const Tokenizer instance = Tokenizer::from_json(tiny::tokenizer_json(), "test");
  return instance;
}

constexpr int32_t kHello = 259;   // of tiny_tokenizer.h: "hello"
constexpr int32_t kEAcute = 261;  // "é"

TEST(OpenAiFormat, WritesLogprobsAsTheShortestNumberOfTheirFloat) {
  EXPECT_EQ(json_logprob(-0.1F), -0.1);
  EXPECT_EQ(static_cast<float>(json_logprob(-12.345678F)), -12.345678F);
  EXPECT_EQ(json_logprob(-INFINITY), -9999.0);
}

TEST(OpenAiFormat, ShowsTokensThatAreNoTextAsBytes) {
  EXPECT_EQ(token_text("h\u00e9"), "h\u00e9");
  EXPECT_EQ(token_text("\xc3"), "\\xc3");
  EXPECT_EQ(token_text("a\xf0\x9f"), "\\x61\\xf0\\x9f");
}

TEST(OpenAiFormat, WritesChatLogprobs) {
  LogprobsFormat format(tokenizer());
  EXPECT_EQ(format.chat(std::vector<TokenInfo>{
                {.id = 0xC3, .logprob = -1, .top = {{kHello, -0.5F}, {0xC3, -1}}}}),
            R"({"content":[{"token":"\\xc3","logprob":-1E0,"bytes":[195],"top_logprobs":[)"
            R"({"token":"hello","logprob":-5E-1,"bytes":[104,101,108,108,111]},)"
            R"({"token":"\\xc3","logprob":-1E0,"bytes":[195]}]}]})");
}

TEST(OpenAiFormat, WritesCompletionLogprobsWithTheChosenTokenAndCharacterOffsets) {
  LogprobsFormat format(tokenizer());
  int64_t offset = 3;
  json::value value = json::parse(format.completions(
      {}, 0,
      std::vector<TokenInfo>{{.id = kEAcute, .logprob = -2, .top = {{kHello, -0.5F}}},
                             {.id = 0xC3, .logprob = -1, .top = {}}},
      offset));
  EXPECT_EQ(json::serialize(value.at("tokens")), "[\"\u00e9\",\"bytes:\\\\xc3\"]");
  EXPECT_EQ(json::serialize(value.at("text_offset")), "[3,4]");
  EXPECT_EQ(json::serialize(value.at("top_logprobs").at(0)), "{\"hello\":-5E-1,\"\u00e9\":-2E0}");
  EXPECT_EQ(offset, 5);
}

TEST(OpenAiFormat, WritesLogprobsOfPromptsInBothForms) {
  LogprobsFormat format(tokenizer());
  const std::vector<TokenInfo> prompt = {
      {.id = kHello, .top = {}},
      {.id = kEAcute, .logprob = -2, .rank = 3, .top = {{kHello, -0.5F}, {0xC3, -1}}}};
  int64_t offset = 0;
  const json::value echoed = json::parse(format.completions(prompt, 1, {}, offset));
  EXPECT_EQ(json::serialize(echoed.at("token_logprobs")), "[null,-2E0]");
  EXPECT_EQ(json::serialize(echoed.at("top_logprobs")), "[null,{\"hello\":-5E-1,\"\u00e9\":-2E0}]");
  EXPECT_EQ(json::serialize(echoed.at("text_offset")), "[0,5]");
  EXPECT_EQ(format.prompt(prompt, 1),
            R"([null,{"259":{"logprob":-5E-1,"rank":1,"decoded_token":"hello"},)"
            "\"261\":{\"logprob\":-2E0,\"rank\":3,\"decoded_token\":\"\u00e9\"}}]");
}

TEST(OpenAiFormat, MakesErrorsThatSdksUnderstand) {
  EXPECT_EQ(error_json(ApiError(404, "no \"x\"", "model", "model_not_found")),
            R"({"type":"error","error_code":"RESOURCE_DOES_NOT_EXIST","message":"no \"x\"",)"
            R"("error":{"message":"no \"x\"","type":"invalid_request_error",)"
            R"("param":"model","code":"model_not_found"}})");
  EXPECT_EQ(
      error_json(ApiError(500, "oops")),
      R"({"type":"error","error_code":"INTERNAL_ERROR","message":"oops","error":{"message":"oops","type":"server_error","param":null,"code":null}})");
  std::vector<std::string> names;
  for (const HttpHeader& header : error_response(ApiError(429, "full")).headers) {
    names.push_back(header.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"Content-Type", "Retry-After", "retry-after-ms"}));
}

TEST(HttpText, DecodesPercentsStrictly) {
  EXPECT_EQ(percent_decode("a%2Fb%41"), "a/bA");
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%-1"), std::nullopt);
  EXPECT_EQ(percent_decode("%zz"), std::nullopt);
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_EQ(percent_decode("%C3%A4"), "\xC3\xA4");
  EXPECT_EQ(percent_decode("%ff%fe"), std::nullopt);
}

TEST(HttpText, SanitizesWhatGoesIntoLogsAndHeaders) {
  EXPECT_EQ(sanitize_token("a b\r\n\"c,d\x1b[1m\u00e9", 100), "a?b???c?d?[1m??");
  EXPECT_EQ(sanitize_token("abcdef", 3), "abc");
  EXPECT_EQ(random_hex(21).size(), 21u);
  EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace dbrx
