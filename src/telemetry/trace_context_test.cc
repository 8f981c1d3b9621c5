#include "telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <set>

namespace dbrx {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kSpan = "00f067aa0ba902b7";

TEST(TraceContext, ReadsTheStandardsExample) {
  const TraceParent parent = parse_traceparent("00-" + kTrace + "-" + kSpan + "-01");
  EXPECT_EQ(parent.trace_id, kTrace);
  EXPECT_EQ(parent.span_id, kSpan);
  EXPECT_TRUE(parent.sampled);
  EXPECT_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-00").sampled);
  EXPECT_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-0a").sampled);
}

TEST(TraceContext, TakesLongerHeadersOfLaterVersionsOnly) {
  EXPECT_EQ(parse_traceparent("cc-" + kTrace + "-" + kSpan + "-01-more").trace_id, kTrace);
  EXPECT_EQ(parse_traceparent("00-" + kTrace + "-" + kSpan + "-01-more").trace_id, "");
  EXPECT_EQ(parse_traceparent("cc-" + kTrace + "-" + kSpan + "-01.more").trace_id, "");
}

TEST(TraceContext, AMalformedHeaderIsAsNone) {
  const std::string zeros(32, '0');
  for (const std::string& header :
       {std::string(), std::string("00"), "00-" + kTrace + "-" + kSpan,
        "00-" + zeros + "-" + kSpan + "-01", "00-" + kTrace + "-0000000000000000-01",
        "ff-" + kTrace + "-" + kSpan + "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kSpan + "-01",
        "00_" + kTrace + "-" + kSpan + "-01"}) {
    const TraceParent parent = parse_traceparent(header);
    EXPECT_EQ(parent.trace_id + parent.span_id, "") << header;
    EXPECT_TRUE(parent.sampled) << header;
  }
}

TEST(TraceContext, DrawsDifferentIds) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(random_trace_hex(16));
  EXPECT_EQ(ids.size(), 1000U);
  EXPECT_EQ(ids.begin()->size(), 16U);
}

}  // namespace
}  // namespace dbrx
