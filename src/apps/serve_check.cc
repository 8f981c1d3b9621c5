#include "apps/serve_check.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "server/server_files.h"
#include "server/tls_files.h"

namespace dbrx {
namespace {

void print_line(const char* subject, const std::string& text) {
  std::printf("%-9s %s\n", subject, text.c_str());
}

std::string model_line(const ServeFlags& flags, const LoadedModel& loaded, bool has_template) {
  const ModelConfig& config = loaded.config;
  return fmt::format("{} as {}: {} of {} layers and {} experts, {}", flags.model.model_dir,
                     fmt::join(flags.server.model_names, ", "), config.family, config.n_layers,
                     config.n_experts,
                     has_template ? "with a chat template" : "without a chat template");
}

std::string address_line(const ServerOptions& options) {
  const std::string where = fmt::format("{} port {}", options.host, options.port);
  if (options.tls.certificate.empty()) return where + ", HTTP";
  const std::time_t expiry = check_tls_files(options.tls);
  return where +
         fmt::format(", HTTPS with a certificate that expires {:%Y-%m-%d}", fmt::gmtime(expiry));
}

std::string keys_line(const ServerOptions& options) {
  if (!options.has_keys()) return "none: everybody who reaches the address may use the model";
  const size_t n = read_keys(options).size();
  return fmt::format(
      "{}{}", n, options.key_file.empty() ? "" : ", those of " + options.key_file + " included");
}

std::string safety_line(const SafetyFlags& safety) {
  if (safety.mode == "off") return "off";
  return fmt::format("{}: personal data {}, keywords {}, classifier {}", safety.mode, safety.pii,
                     safety.keywords.empty() ? "none" : safety.keywords,
                     safety.classifier.empty() ? "none" : safety.classifier);
}

}  // namespace

void print_check(const ServeFlags& flags, const LoadedModel& loaded, bool has_chat_template) {
  const ServerOptions& options = flags.server;
  print_line("model", model_line(flags, loaded, has_chat_template));
  print_line("engine",
             fmt::format("{}, sequences of {} tokens at most, {} of them at a time, {}",
                         options.system_fingerprint, loaded.engine->max_context(),
                         std::min(flags.model.max_sequences, flags.model.max_batched_tokens),
                         describe(loaded.threads)));
  print_line("memory", describe(loaded.memory));
  print_line("address", address_line(options));
  print_line("keys", keys_line(options));
  print_line("safety", safety_line(flags.safety));
  for (const std::string& name : flags.unknown_variables) {
    print_line("ignored", "no flag has the variable " + name);
  }
  std::printf("all is well: a start would read the weights now\n");
}

}  // namespace dbrx
