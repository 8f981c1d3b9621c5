// The routes of Databricks model serving: /serving-endpoints/..., and what its management interface
// tells of the endpoint. A served model is an endpoint. Called on the I/O thread.
#pragma once

#include <vector>

#include "server/router.h"
#include "server/services.h"

namespace dbrx {

// services outlives the routes; `admit` throws ApiError while no answers can be given.
std::vector<Route> databricks_routes(Services& services, const std::function<void()>& admit);

}  // namespace dbrx
