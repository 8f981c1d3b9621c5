// The series of the server itself.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "telemetry/metrics.h"

namespace dbrx {

std::vector<prometheus::MetricFamily> server_families(const MetricsOptions& options);

}  // namespace dbrx
