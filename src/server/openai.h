// Handlers of the OpenAI routes, called on the I/O thread, and what all dialects share.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "server/http.h"
#include "server/services.h"

namespace dbrx {

// Chat and text completions in either dialect. Hands the body to a text worker and returns.
void handle_completion(Services& services, CompletionRoute route,
                       std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply);

// Browsers send cross-site requests without asking first unless the type is one like JSON's:
// insisting on it keeps web pages from using a server on their visitor's machine. Throws
// ApiError(415).
void check_content_type(const HttpRequest& request);

HttpResponse json_response(const boost::json::object& object);

// The header that names parameters which had no effect, if there were any: the first 16.
void name_ignored(HttpResponse& response, const std::vector<std::string>& ignored);

// GET /v1/models and /v1/models/{name}; throws ApiError(404).
HttpResponse list_models(const Services& services);
HttpResponse describe_model(const Services& services, const std::string& name);

}  // namespace dbrx
