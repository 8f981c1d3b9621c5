// `dbrx quantize`: from a float checkpoint to a packed one.
#include "model/quantize.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "base/context.h"

namespace dbrx {
namespace {

struct QuantizeFlags {
  std::string source;
  std::string out;
  std::string format = "int4";
  int threads = 0;
};

int quantize(const QuantizeFlags& flags) {
  QuantizeOptions options;
  options.experts = find_format(flags.format).value();
  const bool is_terminal = isatty(STDERR_FILENO) != 0;
  int last = -1;
  options.progress = [is_terminal, last](double done) mutable {
    const int percent = static_cast<int>(done * 100);
    const int step = is_terminal ? 1 : 10;
    if (percent / step == last) return;
    last = percent / step;
    std::fprintf(stderr, "%s%d %%%s", is_terminal ? "\r" : "", percent,
                 !is_terminal || percent == 100 ? "\n" : "");
  };
  Context context(choose_isa({}), flags.threads > 0 ? flags.threads : available_cpus());
  quantize_checkpoint(context, flags.source, flags.out, options);
  std::printf("%s: experts %s, attention, head and embedding int8\n", flags.out.c_str(),
              flags.format.c_str());
  return 0;
}

}  // namespace

CommandMain setup_quantize(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  app.add_option("-m,--model", flags->source, "float checkpoint directory")->required();
  app.add_option("--out", flags->out, "new directory")->required();
  app.add_option("--format", flags->format, "of the experts: int4 or int8")
      ->check(CLI::IsMember({"int4", "int8"}))
      ->capture_default_str();
  app.add_option("-t,--threads", flags->threads, "default: all CPUs, within the quota")
      ->check(CLI::Range(1, 4096));
  return [flags] { return quantize(*flags); };
}

}  // namespace dbrx
