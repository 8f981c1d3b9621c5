#include "safety/safety_stream.h"

#include <algorithm>
#include <random>

#include "safety/keywords.h"
#include "safety/pii.h"
#include "safety/testing.h"

namespace dbrx {
namespace {

using Rules = std::vector<SafetyRule>;

Rules pii_rules(SafetyAction action) { return {{make_pii_filter(), action}}; }

TEST(SafetyStream, passes_a_harmless_text_on) {
  const Shown shown = feed(pii_rules(SafetyAction::mask), {"Hello ", "wor", "ld"});
  EXPECT_EQ(shown.text, "Hello world");
  EXPECT_TRUE(shown.findings.empty());
}

TEST(SafetyStream, masks_a_match_across_pieces) {
  const Shown shown =
      feed(pii_rules(SafetyAction::mask), {"Write to ja", "ne@exam", "ple.co", "m now"});
  EXPECT_EQ(shown.text, "Write to [EMAIL] now");
  EXPECT_EQ(shown.findings,
            (std::vector<SafetyFinding>{{"pii", "email", SafetyAction::mask, 9, 25}}));
  EXPECT_FALSE(shown.is_blocked);
}

TEST(SafetyStream, ends_the_text_before_a_blocked_match) {
  const Shown shown =
      feed(pii_rules(SafetyAction::block), {"Card 4111 1111 ", "1111 1111, and", " more"});
  EXPECT_EQ(shown.text, "Card ");
  EXPECT_EQ(shown.findings,
            (std::vector<SafetyFinding>{{"pii", "card", SafetyAction::block, 5, 24}}));
  EXPECT_TRUE(shown.is_blocked);
}

TEST(SafetyStream, holds_back_only_what_may_become_part_of_a_match) {
  const Rules rules = {{make_keyword_filter({"blue bird"}), SafetyAction::block}};
  SafetyStream stream(rules);
  std::string out;
  stream.push("a blue", out);
  EXPECT_EQ(out, "a ");
  stream.push(" b", out);
  EXPECT_EQ(out, "a ");
  stream.push("oa", out);
  EXPECT_EQ(out, "a blue boa");
  EXPECT_FALSE(stream.push("t, blue bird!", out));
  EXPECT_EQ(out, "a blue boat, ");
}

TEST(SafetyStream, holds_a_word_that_may_be_an_address_no_longer_than_it_may) {
  const Rules rules = pii_rules(SafetyAction::block);
  SafetyStream stream(rules);
  std::string out;
  stream.push("see jane", out);
  EXPECT_EQ(out, "see ");
  stream.push(", or ", out);
  EXPECT_EQ(out, "see jane, ");  // "or (at) example.com"
  stream.push(std::string(64, 'x'), out);
  EXPECT_EQ(out, "see jane, or ");
  stream.push("x", out);  // no address has a name of 65 characters
  EXPECT_EQ(out, "see jane, or " + std::string(65, 'x'));
}

TEST(SafetyStream, matches_that_overlap_are_masked_as_the_first_of_them) {
  const Rules rules = {{make_keyword_filter({"mail jane"}), SafetyAction::mask},
                       {make_pii_filter(), SafetyAction::mask}};
  const Shown shown = feed(rules, {"mail jane@x.com, mail jane"});
  EXPECT_EQ(shown.text, "[KEYWORD], [KEYWORD]");
  ASSERT_EQ(shown.findings.size(), 3U);
  EXPECT_EQ(shown.findings[1].category, "email");
}

TEST(SafetyStream, a_match_that_overlaps_a_blocked_one_is_not_shown) {
  const Rules rules = {{make_pii_filter(), SafetyAction::mask},
                       {make_keyword_filter({"x.com yes"}), SafetyAction::block}};
  const Shown shown = feed(rules, {"mail jane@x.com yes"});
  EXPECT_EQ(shown.text, "mail ");
  EXPECT_TRUE(shown.is_blocked);
}

TEST(SafetyStream, without_rules_everything_passes) {
  EXPECT_EQ(feed({}, {"jane@x.com"}).text, "jane@x.com");
}

// Fragments that are, begin or surround matches.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> fragments = {
      "jane@example.com",
      "jane@",
      "@x.de ",
      "4111 1111 1111 1111",
      "4111 1111 ",
      "DE89 3704 0044 0532 0130 00",
      "DE89 3704 ",
      "536-22-1234",
      "536-22-",
      "(415) 555-2671",
      "415-",
      "+49 30 1234567",
      " 5",
      "blue bird",
      "Blue ",
      "bird",
      " ",
      ". ",
      "call ",
      "order ",
      "x",
      "straße ",
      "日本",
      "\u00a0",
      "-",
      "\n",
      "030 1234567",
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
      "ſ",
      "12.05.2024 ",
      "jane\\u0040example.com",
      "jane%40x.de",
      "&#64;x.de",
      "\\u00",
      "\\",
      "\\n",
      "%2",
      "%20",
      "&#6",
      "&nbsp;",
      "\\u30fc",
      "４１１１ 1111",
      "jane at x dot com",
      " is my "};
  std::string text;
  const int n = std::uniform_int_distribution<>(0, 40)(random);
  for (int i = 0; i < n; ++i) {
    text += fragments[std::uniform_int_distribution<size_t>(0, fragments.size() - 1)(random)];
  }
  return text;
}

std::vector<std::string> random_cut(const std::string& text, std::mt19937& random) {
  const double p = std::uniform_real_distribution<>(0, 1)(random);
  std::vector<std::string> pieces(1);
  for (const char c : text) {
    const bool may_cut = (c & 0xC0) != 0x80;  // pieces are whole characters
    if (may_cut && std::bernoulli_distribution(p)(random)) pieces.emplace_back();
    pieces.back() += c;
  }
  return pieces;
}

TEST(SafetyStream, any_cut_gives_the_text_and_findings_of_the_whole) {
  std::mt19937 random(1);
  const auto pii = make_pii_filter();
  const auto words = make_keyword_filter({"blue bird", "bird x", "strasse", "straße", "s"});
  for (int i = 0; i < 3000; ++i) {
    const auto action = [&] {
      return std::bernoulli_distribution(0.2)(random) ? SafetyAction::block : SafetyAction::mask;
    };
    const Rules rules = {{pii, action()}, {words, action()}};
    const std::string text = random_text(random);
    const Shown whole = feed(rules, {text});
    const Shown cut = feed(rules, random_cut(text, random));
    ASSERT_EQ(cut.text, whole.text) << text;
    ASSERT_EQ(cut.findings, whole.findings) << text;
    ASSERT_EQ(cut.is_blocked, whole.is_blocked) << text;
  }
}

// Told from the findings alone: what is shown is the text with each group of overlapping ones cut
// out.
TEST(SafetyStream, shows_everything_but_the_bytes_of_matches) {
  std::mt19937 random(2);
  const Rules rules = {{make_pii_filter(), SafetyAction::mask},
                       {make_keyword_filter({"blue bird", "bird x"}), SafetyAction::mask}};
  for (int i = 0; i < 1000; ++i) {
    const std::string text = random_text(random);
    const Shown shown = feed(rules, random_cut(text, random));
    std::vector<bool> is_hidden(text.size(), false);
    for (const SafetyFinding& finding : shown.findings) {
      std::fill(is_hidden.begin() + static_cast<ptrdiff_t>(finding.begin),
                is_hidden.begin() + static_cast<ptrdiff_t>(finding.end), true);
    }
    std::string kept;
    for (size_t b = 0; b < text.size(); ++b) {
      if (!is_hidden[b]) kept += text[b];
    }
    std::string without_masks = shown.text;
    for (const std::string mask :
         {"[EMAIL]", "[PHONE]", "[CARD]", "[IBAN]", "[SSN]", "[KEYWORD]"}) {
      for (size_t at = without_masks.find(mask); at != std::string::npos;
           at = without_masks.find(mask)) {
        without_masks.erase(at, mask.size());
      }
    }
    ASSERT_EQ(without_masks, kept) << text;
  }
}

}  // namespace
}  // namespace dbrx
