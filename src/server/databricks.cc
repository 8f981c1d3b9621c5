#include "server/databricks.h"

#include <boost/json.hpp>
#include <utility>

#include "server/openai.h"

namespace dbrx {
namespace json = boost::json;
namespace {

// As GET /api/2.0/serving-endpoints describes an endpoint that serves one foundation model.
json::object endpoint_json(const Services& services, const std::string& name) {
  json::object model;
  model["name"] = json::string(services.model_names.front());
  model["display_name"] = json::string(services.model_names.front());
  json::object entity;
  entity["name"] = json::string(name);
  entity["foundation_model"] = std::move(model);
  json::object route;
  route["served_model_name"] = json::string(name);
  route["traffic_percentage"] = 100;
  json::object traffic;
  traffic["routes"] = json::array({std::move(route)});
  json::object config;
  config["served_entities"] = json::array({std::move(entity)});
  config["traffic_config"] = std::move(traffic);
  json::object state;
  state["ready"] = "READY";
  state["config_update"] = "NOT_UPDATING";
  json::object endpoint;
  endpoint["id"] = json::string(name);
  endpoint["name"] = json::string(name);
  endpoint["creator"] = "dbrx.cpp";
  endpoint["creation_timestamp"] = services.created * 1000;
  endpoint["last_updated_timestamp"] = services.created * 1000;
  endpoint["task"] = services.chat_template ? "llm/v1/chat" : "llm/v1/completions";
  endpoint["state"] = std::move(state);
  endpoint["config"] = std::move(config);
  return endpoint;
}

HttpResponse list_endpoints(const Services& services) {
  json::array endpoints;
  for (const std::string& name : services.model_names) {
    endpoints.push_back(endpoint_json(services, name));
  }
  json::object answer;
  answer["endpoints"] = std::move(endpoints);
  return json_response(answer);
}

}  // namespace

std::vector<Route> databricks_routes(Services& services, const std::function<void()>& admit) {
  // The model is named in the path, or else in the body.
  const auto query = [&services, admit](std::optional<Endpoint> endpoint) {
    return [&services, admit, endpoint](const Call& call) {
      admit();
      handle_completion(services,
                        {.endpoint = endpoint, .dialect = Dialect::databricks, .model = call.rest},
                        call.request, call.reply);
    };
  };
  const auto respond = [&services, admit](const Call& call) {
    admit();
    handle_completion(services, {.endpoint = Endpoint::chat, .dialect = Dialect::responses},
                      call.request, call.reply);
  };
  return {
      {"POST", "/serving-endpoints/chat/completions", "as /v1/chat/completions, for Databricks",
       query(Endpoint::chat)},
      {"POST", "/serving-endpoints/completions", "as /v1/completions, for Databricks",
       query(Endpoint::completions)},
      {"POST", "/serving-endpoints/v1/chat/completions", "the same", query(Endpoint::chat)},
      {"POST", "/serving-endpoints/v1/completions", "the same", query(Endpoint::completions)},
      {"POST", "/serving-endpoints/responses", "as /v1/responses", respond},
      {"POST", "/serving-endpoints/v1/responses", "the same", respond},
      {"POST", "/serving-endpoints/{name}/invocations", "messages or a prompt to a model",
       query(std::nullopt)},
      {"GET", "/api/2.0/serving-endpoints", "the models served, as endpoints",
       [&services](const Call& call) { call.reply->send(list_endpoints(services)); }},
      {"GET", "/api/2.0/serving-endpoints/{name}", "one of them",
       [&services](const Call& call) {
         call.reply->send(
             json_response(endpoint_json(services, services.require_model(call.rest))));
       }},
  };
}

}  // namespace dbrx
