#include "server/structured_output.h"

#include <algorithm>
#include <initializer_list>

#include "server/api_error.h"
#include "server/openai_params.h"

namespace dbrx {
namespace json = boost::json;
namespace {

using Sources = std::vector<GrammarSource>;

constexpr const char* kObjectSchema = R"({"type": "object"})";

// A schema, as JSON or, with vLLM, as a text of JSON.
void add_schema(const json::value* value, const std::string& param, Sources& sources) {
  if (!value) return;
  if (const json::string* text = value->if_string()) {
    sources.push_back({GrammarKind::json_schema, std::string(*text), param});
  } else if (value->is_object() || value->is_bool()) {
    sources.push_back({GrammarKind::json_schema, json::serialize(*value), param});
  } else {
    bad_value(param, "a JSON schema", *value);
  }
}

void add_choice(const json::value* value, const std::string& param, Sources& sources) {
  if (!value) return;
  const bool valid =
      value->is_array() && !value->get_array().empty() &&
      std::all_of(value->get_array().begin(), value->get_array().end(),
                  [](const json::value& v) { return v.is_string() && !v.get_string().empty(); });
  if (!valid) bad_value(param, "a list of at least one string, none of them empty", *value);
  sources.push_back({GrammarKind::choice, json::serialize(*value), param});
}

void add_text(GrammarKind kind, const std::optional<std::string>& text, const std::string& param,
              Sources& sources) {
  if (!text) return;
  if (text->empty()) throw ApiError(400, param + ": is empty", param, "invalid_value");
  if (kind == GrammarKind::lark && text->find("::=") != std::string::npos) {
    throw ApiError(400,
                   param +
                       ": looks like GBNF (::=); this server reads Lark, where a rule is "
                       "written \"name: ...\" and the first one is \"start\"",
                   param, "invalid_value");
  }
  sources.push_back({kind, *text, param});
}

// Members that the format's type does not have would say something that does not hold.
void refuse_other_members(const JsonFields& format, const std::string& type,
                          std::initializer_list<std::string_view> others) {
  for (const std::string_view name : others) {
    if (!format.find(name)) continue;
    const std::string param = format.full_name(name);
    throw ApiError(400, param + ": has no effect on the type \"" + type + "\"; leave it out", param,
                   "invalid_value");
  }
}

void add_response_format(const json::value* value, Sources& sources,
                         std::vector<std::string>& ignored) {
  if (!value) return;
  if (!value->is_object()) bad_value("response_format", "an object with a type", *value);
  const json::object& object = value->get_object();
  const JsonFields format(object, "response_format.");
  note_unknown(object, "response_format.", {"type", "json_schema", "schema"}, ignored);
  const std::string type = format.string("type").value_or("");
  if (type == "text") return refuse_other_members(format, type, {"json_schema", "schema"});
  if (type != "json_object" && type != "json_schema") {
    const json::value* found = format.find("type");
    bad_value("response_format.type", R"("text", "json_object" or "json_schema")",
              found ? *found : json::value(nullptr));
  }
  if (const json::value* schema = format.find("schema")) {  // llama.cpp's form
    refuse_other_members(format, type, {"json_schema"});
    return add_schema(schema, "response_format.schema", sources);
  }
  if (type == "json_object") {
    refuse_other_members(format, type, {"json_schema"});
    sources.push_back({GrammarKind::json_schema, kObjectSchema, "response_format"});
    return;
  }
  const json::value* inner = format.find("json_schema");
  if (!inner || !inner->is_object() || !inner->get_object().contains("schema")) {
    bad_value("response_format.json_schema", "an object with a schema",
              inner ? *inner : json::value(nullptr));
  }
  note_unknown(inner->get_object(), "response_format.json_schema.",
               {"name", "description", "schema", "strict"}, ignored);
  const JsonFields fields(inner->get_object(), "response_format.json_schema.");
  fields.string("name");
  fields.boolean("strict");  // either way the answer satisfies the schema
  add_schema(fields.find("schema"), "response_format.json_schema.schema", sources);
}

void add_structured_outputs(const json::value* value, Sources& sources,
                            std::vector<std::string>& ignored) {
  if (!value) return;
  const char* expected = "an object with json, json_object, regex, choice or grammar";
  if (!value->is_object()) bad_value("structured_outputs", expected, *value);
  const size_t n_before = sources.size();
  const std::string prefix = "structured_outputs.";
  const JsonFields fields(value->get_object(), prefix);
  note_unknown(value->get_object(), prefix, {"json", "json_object", "regex", "choice", "grammar"},
               ignored);
  add_schema(fields.find("json"), prefix + "json", sources);
  if (fields.boolean("json_object").value_or(false)) {
    sources.push_back({GrammarKind::json_schema, kObjectSchema, prefix + "json_object"});
  }
  add_text(GrammarKind::regex, fields.string("regex"), prefix + "regex", sources);
  add_choice(fields.find("choice"), prefix + "choice", sources);
  add_text(GrammarKind::lark, fields.string("grammar"), prefix + "grammar", sources);
  if (sources.size() == n_before) bad_value("structured_outputs", expected, *value);
}

// The text's other member, verbosity, is a wish of style: only the usual one can be had.
void add_text_format(const json::value* value, Sources& sources,
                     std::vector<std::string>& ignored) {
  if (!value) return;
  if (!value->is_object()) bad_value("text", "an object with a format", *value);
  const JsonFields text(value->get_object(), "text.");
  note_unknown(text.object(), "text.", {"format", "verbosity"}, ignored);
  if (text.string("verbosity").value_or("medium") != "medium") {
    throw ApiError(400, "text.verbosity: not supported by this server; ask for it in instructions",
                   "text.verbosity", "unsupported_parameter");
  }
  const json::value* found = text.find("format");
  if (!found) return;
  if (!found->is_object()) bad_value("text.format", "an object with a type", *found);
  const JsonFields format(found->get_object(), "text.format.");
  note_unknown(format.object(), "text.format.", {"type", "name", "description", "schema", "strict"},
               ignored);
  const std::string type = format.string("type").value_or("");
  if (type == "text" || type == "json_object") refuse_other_members(format, type, {"schema"});
  if (type == "text") return;
  if (type == "json_object") {
    sources.push_back({GrammarKind::json_schema, kObjectSchema, "text.format"});
    return;
  }
  const json::value* schema = format.find("schema");
  if (type != "json_schema" || !schema) {
    bad_value(
        "text.format",
        R"({"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "schema": ...})",
        *found);
  }
  format.string("name");
  format.boolean("strict");  // either way the answer satisfies the schema
  add_schema(schema, "text.format.schema", sources);
}

std::optional<GrammarSource> only_one(Sources& sources) {
  if (sources.empty()) return std::nullopt;
  if (sources.size() > 1) {
    throw ApiError(400,
                   sources[1].param + ": the answer is bound by " + sources[0].param +
                       " already; give one of them",
                   sources[1].param, "invalid_value");
  }
  return std::move(sources.front());
}

}  // namespace

std::optional<GrammarSource> parse_structured_output(const JsonFields& fields,
                                                     std::vector<std::string>& ignored) {
  Sources sources;
  add_response_format(fields.find("response_format"), sources, ignored);
  add_structured_outputs(fields.find("structured_outputs"), sources, ignored);
  add_schema(fields.find("guided_json"), "guided_json", sources);
  add_text(GrammarKind::regex, fields.string("guided_regex"), "guided_regex", sources);
  add_choice(fields.find("guided_choice"), "guided_choice", sources);
  add_text(GrammarKind::lark, fields.string("guided_grammar"), "guided_grammar", sources);
  add_schema(fields.find("json_schema"), "json_schema", sources);
  return only_one(sources);
}

std::optional<GrammarSource> parse_responses_output(const JsonFields& fields,
                                                    std::vector<std::string>& ignored) {
  Sources sources;
  add_text_format(fields.find("text"), sources, ignored);
  add_structured_outputs(fields.find("structured_outputs"), sources, ignored);
  return only_one(sources);
}

}  // namespace dbrx
