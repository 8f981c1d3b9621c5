#include "server/safety_report.h"

#include "server/json_fields.h"

namespace dbrx {
namespace json = boost::json;
namespace {

json::object finding_json(const SafetyFinding& finding) {
  json::object object;
  object["filter"] = to_json(finding.filter);
  object["category"] = to_json(finding.category);
  object["action"] = finding.action == SafetyAction::block ? "block" : "mask";
  object["begin"] = finding.begin;
  object["end"] = finding.end;
  return object;
}

json::object verdict_json(const ClassifierVerdict& verdict) {
  json::object object;
  object["name"] = to_json(verdict.classifier);
  object["of"] = verdict.of_output ? "output" : "input";
  if (!verdict.of_output) object[verdict.in_prompt ? "prompt" : "message"] = verdict.text;
  object["label"] = to_json(verdict.label);
  object["probability"] = verdict.probability;
  object["action"] = verdict.blocked ? "block" : "none";
  object["begin"] = verdict.begin;
  object["end"] = verdict.end;
  return object;
}

}  // namespace

json::object report_json(const SafetyReport& report) {
  json::array input;
  for (const InputFinding& found : report.input) {
    json::object object = finding_json(found.finding);
    object[found.in_prompt ? "prompt" : "message"] = found.text;
    input.push_back(std::move(object));
  }
  json::array output;
  for (const SafetyFinding& finding : report.output) output.push_back(finding_json(finding));
  json::object object;
  object["blocked"] = report.blocked;
  object["input"] = std::move(input);
  object["output"] = std::move(output);
  json::array classified;
  for (const ClassifierVerdict& verdict : report.classified) {
    classified.push_back(verdict_json(verdict));
  }
  if (!classified.empty()) object["classifier"] = std::move(classified);
  return object;
}

}  // namespace dbrx
