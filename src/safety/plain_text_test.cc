#include "safety/plain_text.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

std::string plain(const std::string& text, bool is_end = true) {
  const auto found = to_plain(text, is_end);
  return found ? found->text : text;
}

TEST(PlainText, decodes_the_escapes_of_json_urls_and_html) {
  EXPECT_EQ(plain(R"(jane\u0040x.com\n\"415\/555\")"), "jane@x.com\n\"415/555\"");
  EXPECT_EQ(plain("jane%40x.com%20%2B49"), "jane@x.com +49");
  EXPECT_EQ(plain("jane&#64;x.com&#x40;y&nbsp;z"), "jane@x.com@y z");
  EXPECT_EQ(plain("ｊ＠ｘ．ｄｅ　４１"), "j@x.de　41");
  EXPECT_EQ(plain(R"(\u00fc \u2013 \u96fb)"), "ü – 電");
}

TEST(PlainText, leaves_what_is_no_escape) {
  for (const std::string text : {"5% of R&D", R"(C:\dir \u12g4 \ud83d\ude00)", "%00 %zz %e2",
                                 "&#7; &amp;", "&#x;", "ﬁ \xEF\xBB\xBF", "100%", "a\\", "AT&T&"}) {
    EXPECT_EQ(plain(text), text);
  }
}

TEST(PlainText, leaves_out_an_escape_that_the_end_cuts_when_text_follows) {
  for (const std::string cut :
       {"\\", "\\u", "\\u0", "\\u004", "%", "%4", "&", "&#", "&#6", "&#x4", "&nb"}) {
    EXPECT_EQ(plain("jane" + cut, /*is_end=*/false), "jane") << cut;
    EXPECT_EQ(plain("jane" + cut, /*is_end=*/true), "jane" + cut);
  }
  EXPECT_EQ(plain("%x", /*is_end=*/false), "%x");
  EXPECT_EQ(plain("&#12345", /*is_end=*/false), "&#12345");
}

TEST(PlainText, says_where_each_byte_came_from) {
  const auto found = to_plain(R"(a\u0040ü%41)", /*is_end=*/true);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "a@üA");
  EXPECT_EQ(found->origin, (std::vector<uint32_t>{0, 1, 7, 8, 9, 12}));
  EXPECT_FALSE(to_plain("plain", /*is_end=*/true));
}

}  // namespace
}  // namespace dbrx
