#include "text/end_ids.h"

#include <gtest/gtest.h>

#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

using Ids = std::vector<int32_t>;

// tiny_tokenizer.h: the order of its added tokens.
const int32_t kEndOfText = tiny::added_id(0);
const int32_t kImStart = tiny::added_id(2);
const int32_t kImEnd = tiny::added_id(3);

Ids complete(const Ids& declared, bool chats) {
  return complete_end_ids(declared, Tokenizer::from_json(tiny::tokenizer_json(), "test"), chats);
}

TEST(EndIds, AChatEndsAtItsTurnWhateverTheFilesLeaveOut) {
  EXPECT_EQ(complete({}, true), (Ids{kEndOfText, kImStart, kImEnd}));
  EXPECT_EQ(complete({kEndOfText}, true), (Ids{kEndOfText, kImStart, kImEnd}));
  EXPECT_EQ(complete({kImEnd, kEndOfText}, true), (Ids{kEndOfText, kImStart, kImEnd}));
}

TEST(EndIds, ABaseModelEndsWhereItsFilesSayOrElseAtTheEndOfText) {
  EXPECT_EQ(complete({7}, false), Ids{7});
  EXPECT_EQ(complete({}, false), Ids{kEndOfText});
}

TEST(EndIds, ATokenizerWithoutSuchTokensAddsNone) {
  const Tokenizer plain = Tokenizer::from_json(tiny::tokenizer_json({.added = {}}), "test");
  EXPECT_EQ(complete_end_ids({}, plain, true), Ids{});
}

}  // namespace
}  // namespace dbrx
