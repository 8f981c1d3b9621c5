#include "base/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

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
  EXPECT_EQ(lowered_isa(Isa::avx512, "avx2", "--isa"), Isa::avx2);
  EXPECT_EQ(lowered_isa(Isa::avx512, "avx512", "--isa"), Isa::avx512);
  EXPECT_THROW(lowered_isa(Isa::avx512, "amx", "--isa"), Error);
  EXPECT_EQ(choose_isa("scalar"), Isa::scalar);
}

TEST(Isa, TheEnvironmentDecidesWhereNothingIsRequested) {
  const char* before = std::getenv("DBRX_ISA");
  const std::string kept = before == nullptr ? "" : before;
  setenv("DBRX_ISA", "scalar", 1);
  EXPECT_EQ(choose_isa({}), Isa::scalar);
  EXPECT_EQ(choose_isa(isa_name(detect_isa())), detect_isa());
  setenv("DBRX_ISA", "sse9", 1);
  EXPECT_THROW(choose_isa({}), Error);
  setenv("DBRX_ISA", kept.c_str(), 1);
}

}  // namespace
}  // namespace dbrx
