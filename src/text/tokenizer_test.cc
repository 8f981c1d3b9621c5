#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

using Ids = std::vector<int32_t>;
using tiny::added_id;

Tokenizer make(const tiny::TokenizerSpec& spec = {}) {
  return Tokenizer::from_json(tiny::tokenizer_json(spec), "test");
}

// The code and the message of the error that the call throws.
template <typename F>
std::pair<Code, std::string> error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error was thrown";
  return {Code::internal, ""};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Tokenizer, MergesTheLowestRankFirst) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("hello", Specials::as_text), Ids{259});
  EXPECT_EQ(tokenizer.encode("hell", Specials::as_text), Ids{258});
  EXPECT_EQ(tokenizer.encode("hel wo", Specials::as_text), (Ids{256, 'l', 260, 'o'}));
  EXPECT_EQ(tokenizer.encode("", Specials::as_text), Ids{});
}

TEST(Tokenizer, AnyTextComesBackUnchanged) {
  const Tokenizer tokenizer = make();
  std::mt19937 random(1);
  const std::vector<std::string> parts = {"hello", " w",     "  ", "\n",     "\r\n",
                                          "é",     "😀",     "中", "\u0301", std::string(1, '\0'),
                                          "<|im_", "\uFFFD", "'s", "0",      "\t"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < round % 40; ++i) text += parts[random() % parts.size()];
    const Ids ids = tokenizer.encode(text, Specials::as_text);
    ASSERT_EQ(tokenizer.decode(ids, false), text);
  }
}

TEST(Tokenizer, NamesOfSpecialTokensBecomeTokensWhereAskedFor) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("<|im_start|>hello<|im_end|>", Specials::as_tokens),
            (Ids{added_id(2), 259, added_id(3)}));
}

TEST(Tokenizer, UserTextNeverBecomesASpecialToken) {
  const Tokenizer tokenizer = make();
  for (const auto& [name, special] : tokenizer.special_ids()) {
    const std::string text = "a" + name + name + " " + name;
    const Ids ids = tokenizer.encode(text, Specials::as_text);
    for (const int32_t id : ids) EXPECT_FALSE(tokenizer.is_special(id)) << name;
    EXPECT_EQ(tokenizer.decode(ids, true), text);
  }
}

TEST(Tokenizer, AddedTokensThatAreNotSpecialAreOrdinaryVocabulary) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("<tool>", Specials::as_text), Ids{added_id(4)});
  EXPECT_EQ(tokenizer.encode("<tool>", Specials::as_tokens), Ids{added_id(4)});
  EXPECT_FALSE(tokenizer.is_special(added_id(4)));
  EXPECT_EQ(tokenizer.special_id("<tool>"), std::nullopt);
}

TEST(Tokenizer, NeitherAMergeNorAWholeWordCanMakeASpecialToken) {
  for (const bool ignore_merges : {false, true}) {
    tiny::TokenizerSpec spec;
    spec.ignore_merges = ignore_merges;
    spec.merges = {{"a", "b"}, {"ab", "c"}, {"c", "d"}};
    spec.added = {{"abc"}};
    // The special token has its id in the model, too, as in many published files.
    const std::string json = replaced(tiny::tokenizer_json(spec), "\"abc\":257",
                                      "\"abc\":" + std::to_string(added_id(0)));
    const Tokenizer tokenizer = Tokenizer::from_json(json, "test");
    EXPECT_EQ(tokenizer.encode("abc", Specials::as_tokens), Ids{added_id(0)});
    EXPECT_EQ(tokenizer.encode("abc", Specials::as_text), (Ids{256, 'c'}));
    EXPECT_EQ(tokenizer.encode("abcd", Specials::as_text), (Ids{256, 258}));
  }
}

TEST(Tokenizer, IdsAreThoseOfTheFileAlsoAfterHoles) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.special_id("<|endoftext|>"), added_id(0));
  EXPECT_EQ(tokenizer.special_id("<|im_end|>"), added_id(3));
  EXPECT_EQ(tokenizer.special_id("<|nothing|>"), std::nullopt);
  EXPECT_EQ(tokenizer.n_ids(), added_id(4) + 1);
  EXPECT_TRUE(tokenizer.is_special(added_id(0)));
  EXPECT_FALSE(tokenizer.is_special(259));
}

TEST(Tokenizer, TokenBytesAreRawAndEmptyForIdsWithoutAToken) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.token_bytes(0), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer.token_bytes(0xE9), "\xE9");
  EXPECT_EQ(tokenizer.token_bytes(262), "\xF0\x9F");
  EXPECT_EQ(tokenizer.token_bytes(260), " w");
  EXPECT_EQ(tokenizer.token_bytes(added_id(0)), "<|endoftext|>");
  for (const int32_t id : {added_id(0) - 1, added_id(0) + 1, added_id(4) + 1, 1 << 30, -1}) {
    EXPECT_EQ(tokenizer.token_bytes(id), "") << id;
    EXPECT_FALSE(tokenizer.is_special(id)) << id;
  }
}

TEST(Tokenizer, DecodeReplacesEachMaximalIllFormedSubpart) {
  const Tokenizer tokenizer = make();
  const auto decoded = [&](std::vector<uint8_t> bytes) {
    return tokenizer.decode(Ids(bytes.begin(), bytes.end()), false);
  };
  EXPECT_EQ(decoded({0xE2, 0x82}), "\uFFFD");
  EXPECT_EQ(decoded({0xF0, 0x9F, 0x98, 'A'}), "\uFFFDA");
  EXPECT_EQ(decoded({0xC3, '('}), "\uFFFD(");
  EXPECT_EQ(decoded({0xED, 0xA0, 0x80}), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decoded({0xF4, 0x90, 0x80, 0x80}), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decoded({0xC0, 0xAF, 0xFF}), "\uFFFD\uFFFD\uFFFD");
  // The example of the Unicode standard, table 3-8.
  EXPECT_EQ(decoded({0x61, 0xF1, 0x80, 0x80, 0xE1, 0x80, 0xC2, 0x62, 0x80, 0x63, 0x80, 0xBF, 0x64}),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
}

TEST(Tokenizer, DecodeSkipsSpecialTokensOnlyOnRequest) {
  const Tokenizer tokenizer = make();
  const Ids ids = {added_id(2), 259, added_id(4), added_id(3)};
  EXPECT_EQ(tokenizer.decode(ids, true), "hello<tool>");
  EXPECT_EQ(tokenizer.decode(ids, false), "<|im_start|>hello<tool><|im_end|>");
}

TEST(Tokenizer, DecodeLeavesSpacesAlone) {
  const Tokenizer tokenizer = make();
  const std::string text = " a . b , c ! do n't  we 've ";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Specials::as_text), true), text);
}

TEST(Tokenizer, SplitCoversTheTextAndFindsTheLongestName) {
  const Tokenizer tokenizer = make({.added = {{"<a>"}, {"<a><b>"}}});
  const std::string text = "x<a><b><a>é";
  const auto pieces = tokenizer.split(text);
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0].text, "x");
  EXPECT_EQ(pieces[0].id, -1);
  EXPECT_EQ(pieces[1].id, added_id(1));
  EXPECT_EQ(pieces[2].id, added_id(0));
  EXPECT_EQ(pieces[3].text, "é");
}

TEST(Tokenizer, EncodesFromSeveralThreadsAlike) {
  const Tokenizer tokenizer = make();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "hello w" + std::to_string(i) + "é <|im_end|>";
  const Ids as_text = tokenizer.encode(text, Specials::as_text);
  const Ids as_tokens = tokenizer.encode(text, Specials::as_tokens);
  std::vector<std::thread> threads;
  std::vector<int> n_wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        n_wrong[t] += tokenizer.encode(text, Specials::as_text) != as_text;
        n_wrong[t] += tokenizer.encode(text, Specials::as_tokens) != as_tokens;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_wrong, std::vector<int>(4, 0));
}

TEST(Tokenizer, StaysUsableWhenMoved) {
  Tokenizer first = make();
  const std::string_view bytes = first.token_bytes(259);
  const Tokenizer second = std::move(first);
  EXPECT_EQ(second.token_bytes(259), bytes);
  EXPECT_EQ(second.encode("hello", Specials::as_text), Ids{259});
}

TEST(Tokenizer, LongRunsOfOneCharacterDoNotHurt) {
  const Tokenizer tokenizer = make();
  for (const char c : {' ', 'l', '\n', '.'}) {
    const std::string text(200'000, c);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Specials::as_text), false), text);
  }
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefused) {
  const Tokenizer tokenizer = make();
  const auto [code, message] = error_of([&] { tokenizer.encode("ab\xFF", Specials::as_text); });
  EXPECT_EQ(code, Code::invalid_argument);
  EXPECT_NE(message.find("UTF-8 (at byte 2)"), std::string::npos) << message;
}

TEST(TokenizerLoad, ReadsTheDirectory) {
  const TemporaryFolder dir;
  dir.write("tokenizer.json", tiny::tokenizer_json());
  EXPECT_EQ(Tokenizer::load(dir.path()).encode("hello", Specials::as_text), Ids{259});
}

TEST(TokenizerLoad, SaysWhatToDoWithoutTokenizerJson) {
  const TemporaryFolder dir;
  const auto load = [&] { return error_of([&] { Tokenizer::load(dir.path()); }); };
  EXPECT_EQ(load().first, Code::not_found);
  EXPECT_NE(load().second.find("tokenizer.json is missing"), std::string::npos);
  dir.write("tiktoken.py", "");
  EXPECT_NE(load().second.find("tiktoken.py, which holds no vocabulary"), std::string::npos);
  dir.write("vocab.json", "{}");
  dir.write("merges.txt", "");
  EXPECT_NE(load().second.find("vocab.json and merges.txt instead"), std::string::npos);
}

TEST(TokenizerLoad, OtherDecodersAndModelsAreRefusedByName) {
  const auto refused = [](const std::string& json) {
    return error_of([&] { Tokenizer::from_json(json, "the/model"); });
  };
  const auto metaspace = refused(tiny::tokenizer_json({.decoder = R"({"type": "Metaspace"})"}));
  EXPECT_EQ(metaspace.first, Code::unsupported);
  EXPECT_NE(metaspace.second.find("decoder type 'Metaspace'"), std::string::npos);
  EXPECT_EQ(metaspace.second.find("the/model: "), 0u);
  EXPECT_EQ(refused(tiny::tokenizer_json({.decoder = "null"})).first, Code::unsupported);
  const auto unigram =
      refused(replaced(tiny::tokenizer_json(), R"("type":"BPE")", R"("type":"Unigram")"));
  EXPECT_EQ(unigram.first, Code::unsupported);
  EXPECT_NE(unigram.second.find("model type 'Unigram'"), std::string::npos);
}

TEST(TokenizerLoad, DamagedFilesAreRefused) {
  const std::string good = tiny::tokenizer_json();
  const auto code = [](const std::string& json) {
    return error_of([&] { Tokenizer::from_json(json, "test"); }).first;
  };
  EXPECT_EQ(code(""), Code::corrupt);
  EXPECT_EQ(code("[]"), Code::corrupt);
  EXPECT_EQ(code("{}"), Code::corrupt);
  EXPECT_EQ(code(good.substr(0, good.size() / 2)), Code::corrupt);
  EXPECT_EQ(code(replaced(good, "\"hello\":259", "\"hello\":-1")), Code::corrupt);
  EXPECT_EQ(code(replaced(good, "\"hello\":259", "\"hello\":4000000000")), Code::corrupt);
  EXPECT_EQ(code(replaced(good, "\"hello\":259", "\"hello\":258")), Code::corrupt);
  EXPECT_EQ(code(replaced(good, "\"hello\":259", "\"<|pad|>\":259")), Code::corrupt);
  EXPECT_EQ(code(replaced(good, "[\"hell\",\"o\"]", "[\"hell\",\"\xC3\xB8\xC3\xB8\"]")),
            Code::corrupt);
  EXPECT_EQ(code(replaced(good, "\"a\":97", "\"aaaa\":97")), Code::unsupported);
}

TEST(TokenizerLoad, DeeplyNestedJsonIsRefusedBeforeItIsParsed) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  const auto [code, message] = error_of([&] { Tokenizer::from_json(deep, "test"); });
  EXPECT_EQ(code, Code::corrupt);
  EXPECT_NE(message.find("nested deeper"), std::string::npos) << message;
}

}  // namespace
}  // namespace dbrx
