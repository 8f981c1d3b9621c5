// How much of the personal data in texts of others is found: testdata/safety/README.md.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "safety/pii.h"
#include "safety/testing.h"

namespace dbrx {
namespace {

namespace json = boost::json;

struct Text {
  std::string text;
  std::vector<std::pair<std::string, std::string>> values;  // kind, value
};

std::vector<Text> read_texts(const std::string& path) {
  std::ifstream file(path);
  std::vector<Text> texts;
  for (std::string line; std::getline(file, line);) {
    const json::object object = json::parse(line).as_object();
    Text text{object.at("text").as_string().c_str(), {}};
    for (const json::value& value : object.at("values").as_array()) {
      text.values.emplace_back(value.at(0).as_string().c_str(), value.at(1).as_string().c_str());
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<SafetyMatch> matches(const SafetyFilter& filter, const std::string& text) {
  std::vector<SafetyMatch> all;
  size_t from = 0;
  while (const auto match = filter.next(text, from, /*is_end=*/true).match) {
    all.push_back(*match);
    from = match->end;
  }
  return all;
}

struct Score {
  int n = 0;
  int n_found = 0;
};

// A value is found when one match of its kind has all of its bytes.
void count_values(const Text& text, const std::vector<SafetyMatch>& found,
                  std::map<std::string, Score>& scores) {
  size_t at = 0;
  for (const auto& [kind, value] : text.values) {
    at = text.text.find(value, at);
    ASSERT_NE(at, std::string::npos) << text.text;
    const size_t end = at + value.size();
    const bool is_found = std::any_of(found.begin(), found.end(), [&](const SafetyMatch& match) {
      return match.category == kind && match.begin <= at && match.end >= end;
    });
    ++scores[kind].n;
    scores[kind].n_found += is_found ? 1 : 0;
    if (!is_found && std::getenv("DBRX_SHOW_MISSES") != nullptr) {
      std::printf("missed %s %s in: %s\n", kind.c_str(), value.c_str(), text.text.c_str());
    }
    at = end;
  }
}

class PiiQualityOf : public ::testing::TestWithParam<const char*> {};

TEST_P(PiiQualityOf, finds_95_percent_of_each_kind_with_1_percent_of_false_alarms) {
  const std::vector<Text> texts = read_texts(GetParam());
  ASSERT_GE(texts.size(), 2000U);
  const auto filter = make_pii_filter();
  std::map<std::string, Score> scores;
  Score alarms;
  for (const Text& text : texts) {
    const std::vector<SafetyMatch> found = matches(*filter, text.text);
    count_values(text, found, scores);
    if (!text.values.empty()) continue;
    ++alarms.n;
    alarms.n_found += found.empty() ? 0 : 1;
    if (!found.empty() && std::getenv("DBRX_SHOW_MISSES") != nullptr) {
      std::printf("alarm %s in: %s\n", std::string(found[0].category).c_str(), text.text.c_str());
    }
  }
  for (const std::string kind : {"email", "phone", "card", "iban", "ssn"}) {
    const Score& score = scores[kind];
    std::printf("%s: %d of %d found\n", kind.c_str(), score.n_found, score.n);
    EXPECT_GE(score.n, 150) << kind;
    EXPECT_GE(score.n_found, 0.95 * score.n) << kind;
  }
  std::printf("false alarms: %d of %d texts\n", alarms.n_found, alarms.n);
  EXPECT_GE(alarms.n, 900);
  EXPECT_LE(alarms.n_found, 0.01 * alarms.n);
}

const char* texts_of_the_caller() {
  const char* path = std::getenv("DBRX_SAFETY_TEXTS");
  return path == nullptr ? "testdata/safety/unseen.jsonl" : path;
}

INSTANTIATE_TEST_SUITE_P(, PiiQualityOf,
                         ::testing::Values("testdata/safety/texts.jsonl", texts_of_the_caller()));

TEST(PiiQuality, a_stream_of_any_cut_masks_the_same_as_the_whole_text) {
  const std::vector<SafetyRule> rules = {{make_pii_filter(), SafetyAction::mask}};
  size_t n_findings = 0;
  for (const Text& text : read_texts("testdata/safety/texts.jsonl")) {
    const Shown whole = feed(rules, {text.text});
    std::vector<std::string> characters;
    for (const char c : text.text) {
      if ((c & 0xC0) != 0x80) characters.emplace_back();
      characters.back() += c;
    }
    const Shown cut = feed(rules, characters);
    ASSERT_EQ(cut.text, whole.text);
    ASSERT_EQ(cut.findings, whole.findings);
    n_findings += whole.findings.size();
  }
  EXPECT_GE(n_findings, 1000U);
}

}  // namespace
}  // namespace dbrx
