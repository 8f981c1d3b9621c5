// Functions that a model may call: how a prompt shows them and the grammar that binds the calls
// (docs/api.md, "Function calls"). Pure.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/openai_parse.h"

namespace dbrx {

struct Tool {
  std::string name;
  std::optional<std::string> description;
  boost::json::object parameters;  // a JSON schema of an object
};

// Checks a function's name, which stands in prompts and grammars as it is, and that no other one in
// `tools` has it; the parameters, null for none, must describe an object. Throws ApiError(400).
void check_tool(const Tool& tool, const std::vector<Tool>& tools, const std::string& param);
boost::json::object parse_tool_parameters(const boost::json::value* value,
                                          const std::string& param);

struct ToolChoice {
  enum class Use { none, automatic, required };

  Use use = Use::automatic;
  std::string name = {};  // the only function that may be called; empty: any
  bool parallel = true;   // several calls in one answer
};

// Shows the functions to the model and binds its answer, as far as the choice is not `none`.
// Throws ApiError(400): an unknown name, or an answer that is bound already.
void add_tools(CompletionRequest& request, const std::vector<Tool>& tools,
               const ToolChoice& choice);

// Where a function's members stand: {"type": "function", "function": {"name": ...}} in OpenAI's
// chat completions, {"type": "function", "name": ...} in its Responses.
enum class ToolForm { nested, flat };

// OpenAI's fields tools, tool_choice and parallel_tool_calls. Throws ApiError(400); adds unknown
// members to request.ignored.
void parse_openai_tools(const JsonFields& fields, ToolForm form, CompletionRequest& request);

// JSON in the form that prompts have it: with a space after each comma and colon.
std::string prompt_json(const boost::json::value& value);

}  // namespace dbrx
