#include "kernels/embed/embed.h"

#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;
using testing::StoredMatrix;

TEST(Embed, DecodesTheRowOfEachToken) {
  std::mt19937 random(1);
  for (const Format format : {Format::f32, Format::bf16}) {
    const StoredMatrix table = testing::normal_stored(format, 11, 19, random);
    const std::vector<int32_t> tokens = {10, 0, 3, 3};
    Matrix<float> y(4, 19);
    Context context(Isa::scalar, 2);
    embed(context, {.tokens = tokens,
                    .table = table.bytes.data(),
                    .format = format,
                    .vocab = 11,
                    .y = y.view()});
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t c = 0; c < 19; ++c) {
        EXPECT_EQ(y.at(r, c), table.at(tokens[static_cast<size_t>(r)], c));
      }
    }
  }
}

TEST(EmbedDeathTest, ATokenOutsideTheVocabularyIsABug) {
  const std::vector<float> table(4);
  const std::vector<int32_t> tokens = {2};
  Matrix<float> y(1, 2);
  Context context(Isa::scalar, 1);
  EXPECT_DEATH(embed(context, {.tokens = tokens,
                               .table = reinterpret_cast<const std::byte*>(table.data()),
                               .vocab = 2,
                               .y = y.view()}),
               "token");
}

}  // namespace
}  // namespace dbrx
