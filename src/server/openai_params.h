// Which fields of a request do what: one table (openai_params_data.cc) drives the parser, the
// refusals and the check of docs/api.md. A field is never accepted and silently without its effect.
#pragma once

#include <boost/json.hpp>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

enum class Endpoint { chat, completions };

// Whose habits an answer has: those of OpenAI's and vLLM's completions, Databricks', Anthropic's,
// or of OpenAI's Responses.
enum class Dialect { openai, databricks, anthropic, responses };

enum class Support {
  used,       // does what it says
  refused,    // known, not offered here: 400 naming it, unless its value asks for nothing
  no_effect,  // accepted: it would not change the answer
};

struct Parameter {
  std::string_view name;
  Support chat;
  Support completions;
  // Refused parameters: values besides null, false, "", [] and {} that ask for nothing, as a JSON
  // list. Where true is one of them, false does ask for something.
  std::string_view neutral = "[]";
  std::string_view hint = "";  // what to do instead
};

std::span<const Parameter> parameter_table();

// Adds the name of an unknown field, once each and 256 names at most: who looks at them sees fewer.
void add_ignored(std::vector<std::string>& ignored, std::string name);

// Adds the members of an object that are not known and not null, each as prefix + its name.
void note_unknown(const boost::json::object& object, const std::string& prefix,
                  std::initializer_list<std::string_view> known, std::vector<std::string>& ignored);

// Checks all names of a request. Throws ApiError(400) for a refused one, and with `strict` for one
// that is not in the table. Returns the unknown names (add_ignored).
std::vector<std::string> check_parameters(std::span<const Parameter> table, Endpoint endpoint,
                                          const boost::json::object& fields, bool strict);

// With `strict`, throws ApiError(400) for a name among `ignored`.
void refuse_ignored(const std::vector<std::string>& ignored, bool strict);

// Whether the value of a refused parameter asks for nothing; neutral as in Parameter.
bool asks_for_nothing(const boost::json::value& value, std::string_view neutral);

}  // namespace dbrx
