#include "server/page.h"

#include <algorithm>
#include <string>

#include "server/api_error.h"
#include "server/http_text.h"

namespace dbrx {
namespace {

// Whether an Accept-Encoding names gzip, other than with q=0.
bool accepts_gzip(std::string_view header) {
  while (!header.empty()) {
    const size_t comma = std::min(header.find(','), header.size());
    std::string item(header.substr(0, comma));
    header.remove_prefix(std::min(comma + 1, header.size()));
    std::erase(item, ' ');
    const size_t semicolon = std::min(item.find(';'), item.size());
    if (!equals_ignoring_case(item.substr(0, semicolon), "gzip")) continue;
    const std::string quality = item.substr(semicolon);
    return !(quality.starts_with(";q=0") &&
             quality.find_first_not_of(";q=0.") == std::string::npos);
  }
  return false;
}

HttpResponse answer(const PageFile& file, const HttpRequest& request) {
  const bool is_index = file.path == "/";
  const bool is_packed = accepts_gzip(request.header("accept-encoding"));
  const std::string etag = "\"" + std::string(file.hash) + (is_packed ? "-gzip" : "") + "\"";
  HttpResponse response;
  response.headers = {
      {"ETag", etag},
      // The index names the other files by their hashes, so only it can change.
      {"Cache-Control", is_index ? "no-cache" : "public, max-age=31536000, immutable"},
      {"Vary", "Accept-Encoding"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Content-Security-Policy",
       "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
  };
  if (request.header("if-none-match").find(etag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  response.headers.push_back({"Content-Type", std::string(file.type)});
  if (is_packed) response.headers.push_back({"Content-Encoding", "gzip"});
  response.body = is_packed ? file.gzip : file.plain;
  return response;
}

}  // namespace

std::vector<Route> page_routes(std::span<const PageFile> files) {
  if (files.empty()) return {};
  const auto serve = [files](const std::string& path, const Call& call) {
    const auto file = std::ranges::find(files, path, &PageFile::path);
    if (file == files.end()) {
      throw ApiError(404, "the page has no file " + sanitize_token(path, 200), "", "unknown_url");
    }
    call.reply->send(answer(*file, *call.request));
  };
  return {{"GET", "/", "the Playground, a page for a browser",
           [serve](const Call& call) { serve("/", call); }, Scope::none},
          {"GET", "/assets/{file}", "what that page is made of",
           [serve](const Call& call) { serve("/assets/" + call.rest, call); }, Scope::none}};
}

}  // namespace dbrx
