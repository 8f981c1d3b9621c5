// What a client is told when its request fails: the status and an error object.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/http.h"

namespace dbrx {

struct ApiError : std::runtime_error {
  ApiError(int status_in, const std::string& message, std::string param_in = "",
           std::string code_in = "")
      : std::runtime_error(message),
        status(status_in),
        param(std::move(param_in)),
        code(std::move(code_in)) {}

  int status;         // 4xx or 5xx
  std::string param;  // the request's field at fault; empty: null
  std::string code;   // for programs: "context_length_exceeded"; empty: null
  // Of a 429 or 503. One second: short enough not to idle a free server, long enough not to storm
  // a busy one.
  std::chrono::milliseconds retry_after{1000};
};

// An Error of the floors below: the caller's fault or ours, by its code.
ApiError to_api_error(const Error& error, const std::string& param);

// What the client is told of the exception that is being handled; what is our fault is logged with
// the id of the request. To be called in a catch block.
ApiError current_api_error(const std::string& id);

// One object that clients of all dialects understand, OpenAI's, Databricks' and Anthropic's:
// {"type": "error", "error_code", "message", "error": {"message", "type", "param", "code"}};
// error_code and the inner type follow from the status.
std::string error_json(const ApiError& error);

// The whole response, Retry-After included where the status asks for one.
HttpResponse error_response(const ApiError& error);

}  // namespace dbrx
