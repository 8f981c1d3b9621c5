#include "server/tokenize_routes.h"

#include <boost/json.hpp>
#include <utility>

#include "server/anthropic_parse.h"
#include "server/api_error.h"
#include "server/json_fields.h"
#include "server/logprobs_format.h"
#include "server/openai.h"
#include "server/openai_messages.h"
#include "server/openai_params.h"
#include "server/prompt_tokens.h"
#include "server/responses_parse.h"
#include "server/tools.h"

namespace dbrx {
namespace json = boost::json;
namespace {

using Ignored = std::vector<std::string>;  // names of what has no effect

void refuse_other_templates(const JsonFields& fields) {
  for (const char* name : {"continue_final_message", "chat_template", "chat_template_kwargs"}) {
    const json::value* value = fields.find(name);
    if (!value || asks_for_nothing(*value, "[]")) continue;
    throw ApiError(400, std::string(name) + ": not supported by this server", name,
                   "unsupported_parameter");
  }
}

json::object tokenize(const Services& services, const std::string& body, Ignored& ignored) {
  const json::value document = parse_json_object(body);
  const JsonFields fields(document.get_object());
  note_unknown(fields.object(), "",
               {"model", "prompt", "messages", "add_special_tokens", "add_generation_prompt",
                "continue_final_message", "chat_template", "chat_template_kwargs", "tools",
                "tool_choice", "parallel_tool_calls", "return_token_strs"},
               ignored);
  services.require_model(fields.string("model"));
  fields.boolean("add_special_tokens");  // the tokenizers of the served families add none
  std::vector<int32_t> ids;
  if (fields.find("messages")) {
    refuse_other_templates(fields);
    CompletionRequest request;
    request.ignored = std::move(ignored);
    request.messages = parse_messages(fields, services.parse.max_context, request.ignored);
    parse_openai_tools(fields, ToolForm::nested, request);
    ignored = std::move(request.ignored);
    ids = chat_tokens(services, request.messages,
                      fields.boolean("add_generation_prompt").value_or(true));
  } else if (const std::optional<std::string> prompt = fields.string("prompt")) {
    ids = text_tokens(services, *prompt);
  } else {
    throw ApiError(400, "prompt: this field, or messages, is required", "prompt", "missing_field");
  }
  json::array tokens(ids.begin(), ids.end());
  json::value texts = nullptr;
  if (fields.boolean("return_token_strs").value_or(false)) {
    json::array& list = texts.emplace_array();
    for (const int32_t id : ids) {
      list.push_back(json::string(token_text(services.tokenizer.token_bytes(id))));
    }
  }
  json::object answer;
  answer["count"] = ids.size();
  answer["max_model_len"] = services.engine.max_context();
  answer["tokens"] = std::move(tokens);
  answer["token_strs"] = std::move(texts);
  return answer;
}

json::object detokenize(const Services& services, const std::string& body, Ignored& ignored) {
  const json::value document = parse_json_object(body);
  const JsonFields fields(document.get_object());
  note_unknown(fields.object(), "", {"model", "tokens"}, ignored);
  services.require_model(fields.string("model"));
  const json::value* tokens = fields.find("tokens");
  if (!tokens) throw ApiError(400, "tokens: this field is required", "tokens", "missing_field");
  if (!tokens->is_array()) bad_value("tokens", "a list of token ids", *tokens);
  const int64_t context = services.engine.max_context();
  if (static_cast<int64_t>(tokens->get_array().size()) > context) {
    throw ApiError(400,
                   "tokens: at most " + std::to_string(context) +
                       " ids, as many as the context of this model has, may be asked for at a time",
                   "tokens", "context_length_exceeded");
  }
  const std::vector<int32_t> ids =
      parse_token_ids(tokens->get_array(), "tokens", services.parse.n_ids);
  json::object answer;
  answer["prompt"] = json::string(services.tokenizer.decode(ids, /*skip_special=*/false));
  return answer;
}

size_t n_input_tokens(const Services& services, const CompletionRequest& request,
                      Ignored& ignored) {
  ignored = request.ignored;
  services.require_model(request.model);
  return chat_tokens(services, request.messages, /*add_generation_prompt=*/true,
                     request.names.messages)
      .size();
}

json::object count_message_tokens(const Services& services, const std::string& body,
                                  Ignored& ignored) {
  json::object answer;
  answer["input_tokens"] = n_input_tokens(
      services, parse_anthropic_request(body, services.parse, /*count_only=*/true), ignored);
  return answer;
}

json::object count_response_tokens(const Services& services, const std::string& body,
                                   Ignored& ignored) {
  json::object answer;
  answer["object"] = "response.input_tokens";
  answer["input_tokens"] =
      n_input_tokens(services, parse_responses_request(body, services.parse), ignored);
  return answer;
}

using Work = json::object (*)(const Services&, const std::string&, Ignored&);

void answer_by_worker(Services& services, std::shared_ptr<const HttpRequest> request,
                      std::shared_ptr<Reply> reply, Work work) {
  check_content_type(*request);
  const uint64_t client = request->client->id;
  services.workers.post(client,
                        [&services, work, request = std::move(request), reply = std::move(reply)] {
                          HttpResponse response;
                          try {
                            Ignored ignored;
                            response = json_response(work(services, request->body, ignored));
                            refuse_ignored(ignored, services.parse.strict_params);
                            name_ignored(response, ignored);
                          } catch (...) {
                            response = error_response(current_api_error(request->id));
                          }
                          reply->post([reply, response = std::move(response)]() mutable {
                            reply->send(std::move(response));
                          });
                        });
}

}  // namespace

void handle_tokenize(Services& services, std::shared_ptr<const HttpRequest> request,
                     std::shared_ptr<Reply> reply) {
  answer_by_worker(services, std::move(request), std::move(reply), tokenize);
}

void handle_detokenize(Services& services, std::shared_ptr<const HttpRequest> request,
                       std::shared_ptr<Reply> reply) {
  answer_by_worker(services, std::move(request), std::move(reply), detokenize);
}

void handle_count_tokens(Services& services, Dialect dialect,
                         std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply) {
  answer_by_worker(services, std::move(request), std::move(reply),
                   dialect == Dialect::responses ? count_response_tokens : count_message_tokens);
}

}  // namespace dbrx
