// Requests as spans, in OTLP's JSON encoding, with the attribute names of OpenTelemetry's
// conventions for generative AI. Times are theirs: nanoseconds since 1970.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>

#include "telemetry/request_record.h"

namespace dbrx {

struct TraceResource {
  std::string service;  // "dbrx"
  std::string version;
};

// The spans of one request: itself, and for each of its first choices the time it waited, computed
// its prompt and generated.
boost::json::array request_spans(const RequestRecord& record);

// How many these are.
int64_t count_spans(const RequestRecord& record);

// The body of a POST to /v1/traces.
std::string traces_body(const TraceResource& resource, boost::json::array&& spans);

}  // namespace dbrx
