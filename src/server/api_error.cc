#include "server/api_error.h"

#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <new>

namespace dbrx {
namespace json = boost::json;
namespace {

std::string_view error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// Databricks' name of the kind of error.
std::string_view databricks_code(int status) {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "RESOURCE_DOES_NOT_EXIST";
    case 429:
      return "REQUEST_LIMIT_EXCEEDED";
    case 503:
      return "TEMPORARILY_UNAVAILABLE";
    default:
      return status >= 500 ? "INTERNAL_ERROR" : "BAD_REQUEST";
  }
}

json::value text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::string(text);
}

}  // namespace

ApiError to_api_error(const Error& error, const std::string& param) {
  switch (error.code()) {
    case Code::invalid_argument:
    case Code::unsupported:
      return ApiError(400, error.what(), param, "invalid_value");
    case Code::not_found:
      return ApiError(404, error.what(), param);
    case Code::unavailable:
      return ApiError(503, error.what(), "", "unavailable");
    case Code::resource_exhausted:
      return ApiError(503, error.what(), "", "resource_exhausted");
    case Code::corrupt:
    case Code::internal:
      break;
  }
  return ApiError(500, error.what(), "", "internal_error");
}

ApiError current_api_error(const std::string& id) {
  try {
    throw;
  } catch (const ApiError& e) {
    return e;
  } catch (const Error& e) {
    return to_api_error(e, "");
  } catch (const std::bad_alloc&) {
    return ApiError(503, "out of memory", "", "resource_exhausted");
  } catch (const std::exception& e) {
    spdlog::error("{}: {}", id, e.what());
    return ApiError(500, "internal error", "", "internal_error");
  }
}

std::string error_json(const ApiError& error) {
  json::object inner;
  inner["message"] = error.what();
  inner["type"] = error_type(error.status);
  inner["param"] = text_or_null(error.param);
  inner["code"] = text_or_null(error.code);
  json::object outer;
  outer["type"] = "error";
  outer["error_code"] = databricks_code(error.status);
  outer["message"] = error.what();
  outer["error"] = std::move(inner);
  return json::serialize(outer);
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.headers.push_back({"Content-Type", "application/json"});
  if (error.status == 429 || error.status == 503) {
    const int64_t ms = error.retry_after.count();
    response.headers.push_back({"Retry-After", std::to_string((ms + 999) / 1000)});
    response.headers.push_back({"retry-after-ms", std::to_string(ms)});  // as OpenAI's SDKs read
  }
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  response.body = error_json(error);
  return response;
}

}  // namespace dbrx
