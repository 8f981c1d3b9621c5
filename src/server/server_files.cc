#include "server/server_files.h"

#include <memory>
#include <string>
#include <utility>

#include "safety/keywords.h"
#include "server/http.h"
#include "server/key_file.h"
#include "server/router.h"
#include "server/server.h"
#include "server/services.h"

namespace dbrx {
namespace {

WatchedFiles::File watched_keywords(const FileWatch& file, Services& services) {
  return {.name = "keywords", .parts = {file}, .read = [&services, path = file.path()] {
            return [&services, filter = load_keyword_filter(path)] {
              auto safety = std::make_shared<ReadySafety>(*services.safety);
              safety->policy.rules.back().filter = filter;
              services.safety = std::move(safety);
            };
          }};
}

WatchedFiles::File watched_classifier(const FileWatch& file, Services& services) {
  return {.name = "classifier", .parts = {file}, .read = [&services, path = file.path()] {
            return [&services, ready = make_ready(services, load_safety_classifier(path))] {
              auto safety = std::make_shared<ReadySafety>(*services.safety);
              safety->policy.classifier = ready.classifier;
              safety->classifier = ready;
              services.safety = std::move(safety);
            };
          }};
}

}  // namespace

ApiKeys read_keys(const ServerOptions& options) {
  ApiKeys keys = options.keys;
  if (!options.key_file.empty()) add_key_file(options.key_file, keys);
  return keys;
}

std::vector<WatchedFiles::File> files_to_watch(const ServerOptions& options, Services& services,
                                               Router& router, HttpServer& http) {
  std::vector<WatchedFiles::File> files;
  if (!options.key_file.empty()) {
    files.push_back(
        {.name = "keys", .parts = {FileWatch(options.key_file)}, .read = [&options, &router] {
           return [&router, keys = read_keys(options)] { router.set_keys(keys); };
         }});
  }
  if (!options.tls.certificate.empty()) {
    files.push_back({.name = "certificate",
                     .parts = {FileWatch(options.tls.certificate), FileWatch(options.tls.key)},
                     .read = [&http] { return http.read_certificate(); }});
  }
  const SafetyPolicy& safety = options.safety;
  if (!safety.keywords_file.path().empty()) {
    files.push_back(watched_keywords(safety.keywords_file, services));
  }
  if (!safety.classifier_file.path().empty()) {
    files.push_back(watched_classifier(safety.classifier_file, services));
  }
  return files;
}

}  // namespace dbrx
