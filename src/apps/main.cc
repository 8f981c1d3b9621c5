// dbrx: one program, one sub-command per file beside this one.
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <istream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/suggestion.h"
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

// A file of flags: lines "max-model-len = 4096" (TOML), for whichever command is run.
class FlagFile : public CLI::ConfigTOML {
 public:
  explicit FlagFile(const CLI::App& app) : app_(app) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    if (app_.get_subcommands().empty()) return {};  // which is an error of its own
    std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(in);
    for (CLI::ConfigItem& item : items) {
      std::replace(item.name.begin(), item.name.end(), '_', '-');
      if (item.parents.empty()) item.parents = {app_.get_subcommands().front()->get_name()};
    }
    return items;
  }

 private:
  const CLI::App& app_;
};

// What was not understood, with what may have been meant: the first unknown flag, or the command
// when there is none. Empty: all was.
std::string complaint(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  std::vector<std::string> known;
  if (app.get_subcommands().empty()) {
    if (unknown.empty() || unknown.front().starts_with("-")) return "";
    for (const Command& command : kCommands) known.emplace_back(command.name);
    return "there is no command '" + unknown.front() + "'" + suggestion(unknown.front(), known);
  }
  const auto flag = std::find_if(unknown.begin(), unknown.end(),
                                 [](const std::string& text) { return text.starts_with("--"); });
  if (flag == unknown.end()) return "";
  for (const CLI::Option* option : app.get_subcommands().front()->get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  return "there is no flag " + *flag + suggestion(flag->substr(0, flag->find('=')), known);
}

int run(int argc, char** argv) {
  CLI::App app("dbrx: DBRX and its sister models on the hardware you own", "dbrx");
  app.set_version_flag("--version", [] {
    return "dbrx " DBRX_VERSION ", instruction set " + std::string(isa_name(choose_isa({})));
  });
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, CommandMain>> commands;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    sub->fallthrough();  // --config
    commands.emplace_back(sub, command.setup(*sub));
  }
  app.set_config("--config", "", "file of the command's flags: lines NAME = VALUE (TOML)");
  app.config_formatter(std::make_shared<FlagFile>(app));
  app.allow_config_extras(CLI::config_extras_mode::error);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // An unknown name comes first: a missing flag or command is often that one, misspelt.
    const bool is_usage = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) ||
                          error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
    const std::string unknown = is_usage ? complaint(app) : "";
    if (unknown.empty()) return app.exit(error);
    return app.exit(CLI::ExtrasError(unknown, error.get_exit_code()));
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
