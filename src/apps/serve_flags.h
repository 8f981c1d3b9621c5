// The flags of `dbrx serve`, in groups, with a variable of the environment for each.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "apps/loaded_model.h"
#include "server/server.h"

namespace dbrx {

struct ServeFlags {
  ModelFlags model;
  ServerOptions server;
  SafetyFlags safety;
  std::vector<std::string> api_keys;
  std::vector<std::string> admin_api_keys;
  std::vector<std::string> allowed_origins;
  std::string log_format = "text";
  std::string log_level = "info";
  // What probes and scrapers ask all day.
  std::vector<std::string> quiet_paths = {
      "/health", "/ping", "/livez", "/readyz", "/v1/health/live", "/v1/health/ready", "/metrics"};
  bool no_access_log = false;
  std::vector<std::string> trusted_proxies;
  double shutdown_delay_seconds = 0;
  double keep_alive_seconds = 120;
  double request_seconds = 60;
  double write_seconds = 30;
  double ping_seconds = 15;
  double shutdown_seconds = 30;
  double stall_seconds = 300;
  bool no_records = false;
  bool no_record_texts = false;
  std::string traces_endpoint;
  bool verify = false;
  bool check = false;
  bool no_keys = false;
  std::vector<std::string> variables;          // of the environment, one for each flag
  std::vector<std::string> ignored_variables;  // of these, for the log
  std::vector<std::string> unknown_variables;  // with what may have been meant, for the log
};

void add_serve_flags(CLI::App& app, ServeFlags& flags);

// The options as the server takes them: keys, origins, log and times. Throws Error, above all where
// somebody who meant to have keys would have none.
void complete_options(ServeFlags& flags);

}  // namespace dbrx
