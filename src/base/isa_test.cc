#include "base/isa.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace dbrx {
namespace {

TEST(Isa, NamesAreReadBack) {
  for (int i = 0; i <= static_cast<int>(Isa::amx); ++i) {
    EXPECT_EQ(parse_isa(isa_name(static_cast<Isa>(i))), static_cast<Isa>(i));
  }
  EXPECT_THROW(parse_isa("sse9"), Error);
}

TEST(Isa, AnOverrideMayOnlyLower) {
  EXPECT_EQ(choose_isa("scalar"), Isa::scalar);
  EXPECT_EQ(choose_isa(isa_name(detect_isa())), detect_isa());
  if (detect_isa() < Isa::amx) {
    EXPECT_THROW(choose_isa("amx"), Error);
  }
}

}  // namespace
}  // namespace dbrx
