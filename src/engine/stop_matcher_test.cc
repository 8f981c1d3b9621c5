#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace dbrx {
namespace {

struct Result {
  std::string text;
  std::string found;
};

Result feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces,
            bool include_found = false) {
  const std::vector<StopPattern> patterns = stop_patterns(stops);
  StopMatcher matcher(patterns, include_found);
  Result result;
  for (const std::string& piece : pieces) {
    if (matcher.push(piece, result.text)) {
      result.found = matcher.found();
      return result;
    }
  }
  matcher.finish(result.text);
  return result;
}

TEST(StopMatcher, passes_everything_on_without_stop_strings) {
  EXPECT_EQ(feed({}, {"a", "", "bc"}).text, "abc");
}

TEST(StopMatcher, ends_the_text_before_the_stop_string) {
  const Result result = feed({"END"}, {"xEND", "y"});
  EXPECT_EQ(result.text, "x");
  EXPECT_EQ(result.found, "END");
}

TEST(StopMatcher, ends_the_text_with_the_stop_string_where_that_is_wanted) {
  const Result result = feed({"END", "ND"}, {"xE", "NDy"}, /*include_found=*/true);
  EXPECT_EQ(result.text, "xEND");
  EXPECT_EQ(result.found, "END");
  EXPECT_EQ(feed({"END"}, {"xEN"}, /*include_found=*/true).text, "xEN");
}

TEST(StopMatcher, finds_a_stop_string_across_pieces) {
  EXPECT_EQ(feed({"END"}, {"xE", "N", "Dy"}).text, "x");
}

TEST(StopMatcher, gives_back_what_it_held_when_it_was_no_stop_string) {
  EXPECT_EQ(feed({"END"}, {"xEN", "Q", "EN"}).text, "xENQEN");
}

TEST(StopMatcher, holds_back_only_the_longest_end_that_can_become_a_stop_string) {
  const std::vector<std::string> stops = {"abac", "bad"};
  const std::vector<StopPattern> patterns = stop_patterns(stops);
  StopMatcher matcher(patterns, false);
  std::string out;
  matcher.push("xaba", out);
  EXPECT_EQ(out, "x");
  matcher.push("b", out);  // "ab" can still begin "abac"; "aba" could not
  EXPECT_EQ(out, "xab");
  EXPECT_TRUE(matcher.push("ac", out));
  EXPECT_EQ(out, "xab");
  EXPECT_EQ(matcher.found(), "abac");
}

TEST(StopMatcher, finds_a_stop_string_that_begins_inside_a_failed_one) {
  EXPECT_EQ(feed({"aab"}, {"aaab"}).text, "a");
}

TEST(StopMatcher, prefers_the_stop_string_that_ends_first) {
  const Result result = feed({"abcd", "bc"}, {"xabcd"});
  EXPECT_EQ(result.text, "xa");
  EXPECT_EQ(result.found, "bc");
}

TEST(StopMatcher, prefers_the_longest_of_those_that_end_together) {
  const Result result = feed({"c", "bc", "abc"}, {"xab", "c"});
  EXPECT_EQ(result.text, "x");
  EXPECT_EQ(result.found, "abc");
}

TEST(StopMatcher, searches_several_texts_with_the_same_patterns) {
  const std::vector<std::string> stops = {"END"};
  const std::vector<StopPattern> patterns = stop_patterns(stops);
  StopMatcher a(patterns, false), b(patterns, false);
  std::string text_a, text_b;
  a.push("xE", text_a);
  b.push("ND", text_b);
  EXPECT_EQ(text_b, "ND");
  EXPECT_TRUE(a.push("ND", text_a));
  EXPECT_EQ(text_a, "x");
}

TEST(StopMatcher, does_not_find_half_of_a_character) {
  // é is C3 A9, è is C3 A8.
  EXPECT_EQ(feed({"é"}, {"è", "è"}).text, "èè");
  EXPECT_EQ(feed({"é"}, {"èxé!"}).text, "èx");
}

// The definition, in the most straightforward way.
Result slow(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string found;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0 &&
          stop.size() > found.size()) {
        found = stop;
      }
    }
    if (!found.empty()) return {text.substr(0, end - found.size()), found};
  }
  return {text, ""};
}

TEST(StopMatcher, agrees_with_a_slow_search_however_the_text_is_cut) {
  std::mt19937 random(3);
  const auto word = [&](size_t max, bool may_be_empty) {
    std::string s;
    const size_t n = random() % max + !may_be_empty;
    for (size_t i = 0; i < n; ++i) s += static_cast<char>('a' + random() % 2);
    return s;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops(1 + random() % 3);
    for (std::string& stop : stops) stop = word(6, false);
    std::vector<std::string> pieces(1 + random() % 6);
    std::string text;
    for (std::string& piece : pieces) text += piece = word(5, true);
    const Result fast = feed(stops, pieces);
    const Result expected = slow(stops, text);
    ASSERT_EQ(fast.text, expected.text) << text;
    ASSERT_EQ(fast.found, expected.found) << text;
    ASSERT_EQ(feed(stops, pieces, /*include_found=*/true).text, expected.text + expected.found);
  }
}

}  // namespace
}  // namespace dbrx
