// For tests of parsers: how a request was refused.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "server/api_error.h"

namespace dbrx {

// The error of a call that must fail with 400, as "param|message", or "accepted".
template <typename F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const ApiError& e) {
    EXPECT_EQ(e.status, 400);
    return e.param + "|" + e.what();
  }
  return "accepted";
}

}  // namespace dbrx
