// What answers tell of their tokens: ids, experts, names, and the text of what stopped them.
#include <gtest/gtest.h>

#include <map>

#include "server/fake_server.h"

namespace dbrx {
namespace {

namespace json = boost::json;

using Ids = std::vector<int64_t>;

const std::string kHello = R"("messages": [{"role": "user", "content": "hello"}])";

Ids numbers(const json::value& list) {
  Ids out;
  for (const json::value& item : list.as_array()) out.push_back(item.as_int64());
  return out;
}

Ids letters(char first, char last) {
  Ids out;
  for (char c = first; c <= last; ++c) out.push_back(c);
  return out;
}

const json::value& choice_of(const json::value& answer, size_t index) {
  return answer.at("choices").as_array().at(index);
}

// What the chunks of a stream say of one choice.
struct Streamed {
  std::string text;
  Ids ids;
  std::string experts;  // rows
  std::vector<Ids> prompts;
  size_t first_prompt_at = 0;  // which of the choice's chunks has it
  size_t n_chunks = 0;
};

// The bytes behind a base64 of a .npy file's header.
std::string rows_of(const json::value& text) {
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text.as_string()) {
    if (c == '=') break;
    const std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits = bits << 6 | static_cast<uint32_t>(alphabet.find(c));
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    bytes.push_back(static_cast<char>(bits >> n_bits));
  }
  return bytes.substr(bytes.find('\n') + 1);
}

std::map<size_t, Streamed> streamed(const TestAnswer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  std::map<size_t, Streamed> choices;
  for (const json::value& object : stream_objects(answer.body)) {
    if (object.is_null()) continue;
    const json::object& choice = choice_of(object, 0).as_object();
    Streamed& of = choices[choice.at("index").to_number<size_t>()];
    if (choice.contains("text")) of.text += choice.at("text").as_string();
    if (choice.contains("delta") && choice.at("delta").as_object().contains("content")) {
      of.text += choice.at("delta").at("content").as_string();
    }
    for (const json::object* holder : {&choice, &object.as_object()}) {
      if (!holder->contains("prompt_token_ids")) continue;
      if (of.prompts.empty()) of.first_prompt_at = of.n_chunks;
      of.prompts.push_back(numbers(holder->at("prompt_token_ids")));
    }
    if (choice.contains("token_ids")) {
      for (const int64_t id : numbers(choice.at("token_ids"))) of.ids.push_back(id);
    }
    if (choice.contains("routed_experts")) of.experts += rows_of(choice.at("routed_experts"));
    ++of.n_chunks;
  }
  return choices;
}

TEST(ServerTokens, AChatTellsTheIdsOfItsPromptOnceAndOfEveryTokenThatWasGenerated) {
  FakeServer server;
  const std::string request = "{" + kHello + R"(, "n": 2, "return_token_ids": true)";
  const json::value body = json::parse(server.chat(request + "}").body);
  const json::value tokens = json::parse(server.post("/tokenize", "{" + kHello + "}").body);
  EXPECT_EQ(body.at("prompt_token_ids"), tokens.at("tokens"));
  Ids alphabet = letters('a', 'z');
  alphabet.push_back(kImEnd);  // it has no text, but was generated
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(numbers(choice_of(body, i).at("token_ids")), alphabet);
    EXPECT_FALSE(choice_of(body, i).as_object().contains("prompt_token_ids"));
  }
  const auto choices = streamed(server.chat(request + R"(, "stream": true})"));
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices.at(0).prompts, std::vector<Ids>{numbers(tokens.at("tokens"))});
  EXPECT_EQ(choices.at(0).first_prompt_at, 0U);
  EXPECT_TRUE(choices.at(1).prompts.empty());
  for (const auto& [index, choice] : choices) {
    EXPECT_EQ(choice.ids, alphabet);
    EXPECT_EQ(choice.text, "abcdefghijklmnopqrstuvwxyz");
  }
}

TEST(ServerTokens, ACompletionTellsTheIdsOfThePromptInEachChoice) {
  FakeServer server;
  const std::string request =
      R"({"prompt": ["ab", "x"], "n": 2, "max_tokens": 3, "return_token_ids": true)";
  const std::vector<Ids> prompts = {{'a', 'b'}, {'x'}};
  const std::vector<Ids> ids = {{'c', 'd', 'e'}, {'y', 'z', kImEnd}};
  const json::value body = json::parse(server.complete(request + "}").body);
  EXPECT_FALSE(body.as_object().contains("prompt_token_ids"));
  for (const bool echo : {false, true}) {
    const auto choices = streamed(
        server.complete(request + R"(, "stream": true, "echo": )" + (echo ? "true}" : "false}")));
    ASSERT_EQ(choices.size(), 4U);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(numbers(choice_of(body, i).at("prompt_token_ids")), prompts[i / 2]);
      EXPECT_EQ(numbers(choice_of(body, i).at("token_ids")), ids[i / 2]);
      EXPECT_EQ(choices.at(i).prompts, std::vector<Ids>{prompts[i / 2]});
      EXPECT_EQ(choices.at(i).first_prompt_at, 0U);
      EXPECT_EQ(choices.at(i).ids, ids[i / 2]);
    }
    EXPECT_EQ(choices.at(3).text, echo ? "xyz" : "yz");
  }
}

TEST(ServerTokens, IdsAreOfTheTextThatAStopStringCutsOffToo) {
  FakeServer server;
  const std::string request =
      R"({"prompt": "a", "stop": "ef", "return_token_ids": true, "stream": )";
  const json::value body = json::parse(server.complete(request + "false}").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "bcd");
  EXPECT_EQ(numbers(choice_of(body, 0).at("token_ids")), letters('b', 'f'));
  const Streamed choice = streamed(server.complete(request + "true}")).at(0);
  EXPECT_EQ(choice.text, "bcd");
  EXPECT_EQ(choice.ids, letters('b', 'f'));
}

TEST(ServerTokens, AnAnswerOfAPromptAloneHasAnEmptyListOfIds) {
  FakeServer server;
  const json::value body = json::parse(
      server
          .complete(R"({"prompt": "ab", "echo": true, "max_tokens": 0, "return_token_ids": true,
                          "return_routed_experts": true})")
          .body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "ab");
  EXPECT_EQ(text_at(body, "/choices/0/token_ids"), "[]");
  EXPECT_EQ(rows_of(choice_of(body, 0).at("routed_experts")).size(), 2U * 2 * 2);
}

TEST(ServerTokens, ExpertsAreOfAllTokensButTheLastWholeAndStreamed) {
  FakeServer server({.engine = {.max_batched_tokens = 64}});
  const std::string prompt(150, 'q');
  const std::string request = R"({"prompt": [")" + prompt + R"(", "~x"], "n": 2, "max_tokens": 9,
      "seed": 1, "return_token_ids": true, "return_routed_experts": true, "stream": )";
  const json::value body = json::parse(server.complete(request + "false}").body);
  const auto choices = streamed(server.complete(request + "true}"));
  for (size_t i = 0; i < 4; ++i) {
    const std::string rows = rows_of(choice_of(body, i).at("routed_experts"));
    const size_t n_tokens = choice_of(body, i).at("prompt_token_ids").as_array().size() +
                            choice_of(body, i).at("token_ids").as_array().size();
    EXPECT_EQ(rows.size(), (n_tokens - 1) * 2 * 2);  // 2 layers, 2 experts
    for (size_t at = 0; at < rows.size(); at += 2) {
      EXPECT_TRUE(rows[at] < 8 && rows[at + 1] >= 8 && rows[at + 1] < 16);
    }
    EXPECT_EQ(choices.at(i).experts, rows);
    EXPECT_EQ(choices.at(i).first_prompt_at, 0U);
  }
  // Two choices that differ have the prompt's experts in common, which do not tell of the answer.
  const std::string rows = rows_of(choice_of(body, 2).at("routed_experts"));
  EXPECT_EQ(rows.substr(0, 8), rows_of(choice_of(body, 3).at("routed_experts")).substr(0, 8));
  EXPECT_NE(rows, rows_of(choice_of(body, 3).at("routed_experts")));
}

TEST(ServerTokens, WhoAsksForNothingIsToldNothing) {
  FakeServer server;
  for (const char* stream : {"false", "true"}) {
    const TestAnswer answer =
        server.chat("{" + kHello + R"(, "max_tokens": 2, "return_token_ids": false,
                    "return_routed_experts": null, "stream": )" +
                    stream + "}");
    EXPECT_EQ(answer.body.find("token_ids"), std::string::npos);
    EXPECT_EQ(answer.body.find("routed_experts"), std::string::npos);
  }
}

TEST(ServerTokens, AModelWithoutExpertsSaysSo) {
  FakeServer server({.dense = true});
  const TestAnswer answer = server.complete(R"({"prompt": "a", "return_routed_experts": true})");
  EXPECT_EQ(answer.status, 400);
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(text_at(body, "/error/param"), "return_routed_experts");
  EXPECT_EQ(text_at(body, "/error/code"), "unsupported_parameter");
}

TEST(ServerTokens, ExpertsCountInTheSizeOfAWholeAnswer) {
  FakeServer server({.max_context = 16 << 10});
  // 8 * 16300 * 8 fit; with the experts, of which 40 count as one more, they do not.
  const std::string request = R"({"prompt": "a", "stop": "c", "max_tokens": 16300, "n": 8,
      "logprobs": 7, "return_routed_experts": )";
  EXPECT_EQ(server.complete(request + "false}").status, 200);
  const TestAnswer answer = server.complete(request + "true}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("leave out return_routed_experts"), std::string::npos) << answer.body;
  EXPECT_EQ(server.complete(request + R"(true, "stream": true})").status, 200);
}

TEST(ServerTokens, LogprobsNameTokensByTheirIds) {
  FakeServer server;
  json::value body = json::parse(server
                                     .chat("{" + kHello + R"(, "max_tokens": 1, "logprobs": true,
      "top_logprobs": 2, "return_tokens_as_token_ids": true})")
                                     .body);
  const json::value& token = body.at_pointer("/choices/0/logprobs/content/0");
  EXPECT_EQ(text_at(token, "/token"), "token_id:97");
  EXPECT_EQ(text_at(token, "/bytes"), "[97]");
  EXPECT_EQ(text_at(token, "/top_logprobs/1/token"), "token_id:63");  // ?
  const std::string request = R"({"prompt": "a", "echo": true, "max_tokens": 1, "logprobs": 1,
      "return_tokens_as_token_ids": true, "prompt_logprobs": 0})";
  body = json::parse(server.complete(request).body);
  EXPECT_EQ(text_at(body, "/choices/0/logprobs/tokens"), R"(["token_id:97","token_id:98"])");
  EXPECT_TRUE(body.at_pointer("/choices/0/logprobs/top_logprobs/1").at("token_id:98").is_number());
  EXPECT_EQ(text_at(body, "/choices/0/logprobs/text_offset"), "[0,1]");
  const TestAnswer stream = server.complete(R"({"prompt": "a", "max_tokens": 1, "logprobs": 0,
      "return_tokens_as_token_ids": true, "stream": true})");
  EXPECT_EQ(text_at(stream_objects(stream.body).at(0), "/choices/0/logprobs/tokens/0"),
            "token_id:98");
}

TEST(ServerTokens, TheTextEndsWithWhatStoppedItWhereThatIsWanted) {
  FakeServer server;
  const std::string include = R"(, "include_stop_str_in_output": true)";
  for (const char* stream : {R"(, "stream": true})", R"(, "stream": false})"}) {
    const auto text = [&](const std::string& fields) {
      const TestAnswer answer = server.complete(R"({"prompt": "v", )" + fields + include + stream);
      if (answer.header("content-type") == "application/json") {
        return text_at(json::parse(answer.body), "/choices/0/text");
      }
      return streamed(answer).at(0).text;
    };
    EXPECT_EQ(text(R"("stop": "xy")"), "wxy");
    EXPECT_EQ(text(R"("stop_token_ids": [121])"), "wxy");
    EXPECT_EQ(text(R"("n": 1)"), "wxyz");
    EXPECT_EQ(text(R"("skip_special_tokens": false)"), "wxyz<|im_end|>");
  }
  const json::value body = json::parse(
      server.chat("{" + kHello + R"(, "stop_token_ids": [99], "logprobs": true)" + include + "}")
          .body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abc");
  EXPECT_EQ(text_at(body, "/choices/0/logprobs/content/2/token"), "c");
}

}  // namespace
}  // namespace dbrx
