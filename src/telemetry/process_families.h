// The series that Prometheus' own clients have of any process, under their names.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace dbrx {

// Read from /proc and the system now. What can't be read, as without file descriptors, is missing.
std::vector<prometheus::MetricFamily> process_families();

}  // namespace dbrx
