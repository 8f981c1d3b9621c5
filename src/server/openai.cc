#include "server/openai.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/completion.h"
#include "server/http_text.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxKnownNames = 256;

json::object model_json(const Services& services, const std::string& name) {
  json::object object;
  object["id"] = json::string(name);
  object["object"] = "model";
  object["created"] = services.created;
  object["owned_by"] = "dbrx.cpp";
  object["root"] = json::string(services.model_names.front());
  object["parent"] = nullptr;
  object["max_model_len"] = services.engine.max_context();
  object["permission"] = json::array();
  return object;
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "\"" : ", \"") + name + "\"";
  return out;
}

}  // namespace

void check_content_type(const HttpRequest& request) {
  std::string_view type = request.header("content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  if (!equals_ignoring_case(type, "application/json")) {
    throw ApiError(415, "the request needs the header Content-Type: application/json");
  }
  std::string_view encoding = request.header("content-encoding");
  if (!encoding.empty() && !equals_ignoring_case(encoding, "identity")) {
    throw ApiError(415, "the request body must not be compressed (Content-Encoding)");
  }
}

HttpResponse json_response(const json::object& object) {
  HttpResponse response;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = json::serialize(object);
  return response;
}

void name_ignored(HttpResponse& response, const std::vector<std::string>& ignored) {
  constexpr size_t kMaxNames = 16;
  if (ignored.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(ignored.size(), kMaxNames); ++i) {
    names += (i > 0 ? ", " : "") + sanitize_token(ignored[i], 64);
  }
  response.headers.push_back({"x-dbrx-ignored", names});
}

void UnknownNames::log_new(const std::vector<std::string>& names) {
  std::lock_guard lock(mutex_);
  for (const std::string& name : names) {
    std::string safe = sanitize_token(name, 64);
    if (known_.size() >= kMaxKnownNames || !known_.insert(safe).second) continue;
    spdlog::info("requests use the parameter {}, which is unknown here and ignored", safe);
  }
}

std::string Services::require_model(const std::optional<std::string>& name) const {
  if (!name) return model_names.front();
  if (std::find(model_names.begin(), model_names.end(), *name) != model_names.end()) return *name;
  throw ApiError(
      404, "the model \"" + *name + "\" is not served here; served: " + quoted_list(model_names),
      "model", "model_not_found");
}

void handle_completion(Services& services, CompletionRoute route,
                       std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply) {
  check_content_type(*request);
  auto completion = std::make_shared<Completion>(services, reply, *request, route);
  reply->on_abort([weak = std::weak_ptr(completion)] {
    if (auto alive = weak.lock()) alive->abort();
  });
  services.open_calls.add(completion);
  const uint64_t client = request->client->id;
  services.workers.post(client, [completion, route = std::move(route), request = std::move(request),
                                 reply = std::move(reply)] {
    completion->start(route, request->body);
    reply->post([reply] { reply->release_body(); });  // an answer may take minutes
  });
}

HttpResponse list_models(const Services& services) {
  json::array data;
  for (const std::string& name : services.model_names) data.push_back(model_json(services, name));
  json::object object;
  object["object"] = "list";
  object["data"] = std::move(data);
  return json_response(object);
}

HttpResponse describe_model(const Services& services, const std::string& name) {
  const std::vector<std::string>& names = services.model_names;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw ApiError(404, "the model \"" + sanitize_token(name, 200) + "\" is not served here",
                   "model", "model_not_found");
  }
  return json_response(model_json(services, name));
}

}  // namespace dbrx
