#include "safety/keywords.h"

#include "base/error.h"
#include "base/temporary_folder.h"
#include "safety/testing.h"

namespace dbrx {
namespace {

using Found = std::vector<std::string>;

Found found(const std::vector<std::string>& phrases, const std::string& text) {
  return found_in(*make_keyword_filter(phrases), text);
}

TEST(Keywords, are_whole_words_in_any_case) {
  EXPECT_EQ(found({"bomb"}, "Bomb, BOMBS, bombe, a_bomb, bomb2 (bomb)"),
            (Found{"keyword: Bomb", "keyword: bomb"}));
  EXPECT_EQ(found({"straße", "ΣΊΣΥΦΟΣ"}, "STRASSE STRAßE Σίσυφος"),
            (Found{"keyword: STRAßE", "keyword: Σίσυφος"}));
}

TEST(Keywords, phrases_match_any_white_space_between_their_words) {
  EXPECT_EQ(found({"project  blue bird"}, "Project\n Blue\u00a0bird"),
            Found{"keyword: Project\n Blue\u00a0bird"});
}

TEST(Keywords, of_two_that_begin_alike_the_longer_one_is_found) {
  EXPECT_EQ(found({"blue", "blue bird"}, "blue bird blue"),
            (Found{"keyword: blue bird", "keyword: blue"}));
}

TEST(Keywords, mean_their_characters_and_no_expression) {
  EXPECT_EQ(
      found({"a.c", "c++", "#1 (x)", "\\E[", "$5"}, "abc a.c c++ #1 (x) \\E[ $5"),
      (Found{"keyword: a.c", "keyword: c++", "keyword: #1 (x)", "keyword: \\E[", "keyword: $5"}));
}

TEST(Keywords, a_list_longer_than_one_pattern_finds_each_of_its_words) {
  std::vector<std::string> phrases;
  for (int i = 0; i < 5000; ++i) phrases.push_back("keyword number " + std::to_string(i));
  const auto filter = make_keyword_filter(phrases);
  for (const int i : {0, 7, 70, 700, 4999}) {
    const std::string phrase = "Keyword Number " + std::to_string(i);
    EXPECT_EQ(found_in(*filter, "a " + phrase + "."), Found{"keyword: " + phrase});
  }
  EXPECT_EQ(found_in(*filter, "keyword number 5000"), Found{});
}

TEST(Keywords, a_file_has_one_a_line) {
  const TemporaryFolder folder;
  const std::string path = folder.write("words.txt", "one\r\n\n  two three \n");
  EXPECT_EQ(found_in(*load_keyword_filter(path), "One two three"),
            (Found{"keyword: One", "keyword: two three"}));
}

std::string error_of(const std::string& content) {
  const TemporaryFolder folder;
  const std::string path = folder.write("words.txt", content);
  try {
    load_keyword_filter(path);
  } catch (const Error& error) {
    return std::string(error.what()).substr(path.size());
  }
  return "no error";
}

TEST(Keywords, say_what_is_wrong_with_a_file) {
  EXPECT_EQ(error_of("\n \n"), ": no keywords: expected one a line");
  EXPECT_EQ(error_of("a\n" + std::string(257, 'x')),
            ": keyword 2: expected 1 to 256 bytes, found 257");
  EXPECT_NE(error_of("a\xff").find("UTF-8"), std::string::npos) << error_of("a\xff");
}

}  // namespace
}  // namespace dbrx
