// dbrx: one program, one sub-command per file beside this one.
#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "base/error.h"
#include "base/isa.h"
#include "text/grammar_trial.h"

namespace dbrx {
namespace {

struct Command {
  const char* name;
  const char* help;
  CommandMain (*setup)(CLI::App& app);
};

constexpr std::array<Command, 8> kCommands = {{
    {"serve", "Serve a model over HTTP (OpenAI API)", setup_serve},
    {"chat", "Chat with a model in the terminal", setup_chat},
    {"quantize", "Pack a float checkpoint in int4 or int8", setup_quantize},
    {"verify", "Compare a packed checkpoint with its checksums", setup_verify},
    {"bench", "Measure speed as shares of what the machine can do", setup_bench},
    {"perplexity", "Measure how well a model predicts a text, and its distance from another",
     setup_perplexity},
    {"inspect", "Print a model's configuration, parameters and memory needs", setup_inspect},
    {"tokenize", "Turn text into token ids and back, as JSON lines", setup_tokenize},
}};

int run(int argc, char** argv) {
  CLI::App app("dbrx: DBRX and its sister models on the hardware you own", "dbrx");
  app.set_version_flag("--version", [] {
    return "dbrx " DBRX_VERSION ", instruction set " + std::string(isa_name(choose_isa({})));
  });
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, CommandMain>> commands;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    commands.emplace_back(sub, command.setup(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  for (const auto& [sub, main] : commands) {
    if (sub->parsed()) return main();
  }
  return 0;
}

}  // namespace
}  // namespace dbrx

int main(int argc, char** argv) {
  try {
    // `dbrx serve` runs this for itself; no command for people.
    if (argc == 2 && argv[1] == dbrx::kGrammarTrialCommand) dbrx::grammar_trial_main();
    return dbrx::run(argc, argv);
  } catch (const dbrx::Error& error) {
    std::fprintf(stderr, "dbrx: %s\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dbrx: unexpected failure: %s\n", error.what());
  }
  return 1;
}
