// What the server tells of itself: metrics, numbers for pages, recent requests.
#pragma once

#include <functional>
#include <vector>

#include "server/router.h"
#include "server/services.h"

namespace dbrx {

// is_draining: streams of numbers end then.
std::vector<Route> telemetry_routes(Services& services, std::function<bool()> is_draining);

}  // namespace dbrx
