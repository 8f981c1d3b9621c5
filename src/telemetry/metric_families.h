// The series that are read from the engine at each scrape.
#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>

#include <vector>

#include "telemetry/engine_sample.h"
#include "telemetry/metrics.h"

namespace dbrx {

std::vector<prometheus::MetricFamily> engine_families(const EngineSample& sample,
                                                      const MetricsOptions& options,
                                                      const prometheus::Labels& labels);

}  // namespace dbrx
