// W3C Trace Context: how programs tell each other of which trace a request is a part.
#pragma once

#include <string>
#include <string_view>

#include "telemetry/request_record.h"

namespace dbrx {

// The header `traceparent`, "00-<32 hex>-<16 hex>-<flags>"; without ids when it is missing or
// malformed, as the standard asks.
TraceParent parse_traceparent(std::string_view header);

// n random hexadecimal digits, not all of them 0.
std::string random_trace_hex(size_t n);

}  // namespace dbrx
