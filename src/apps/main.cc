// dbrx: one program, one sub-command per file beside this one.
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <istream>
#include <memory>
#include <numeric>
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

// How many letters to insert, remove or replace.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

// "; did you mean --port?" for the first flag that is unknown, or nothing.
std::string suggestion(const CLI::App& app) {
  constexpr size_t kMaxDistance = 3;
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const auto flag = std::find_if(unknown.begin(), unknown.end(),
                                 [](const std::string& text) { return text.starts_with("--"); });
  if (flag == unknown.end()) return "";
  const std::string name = flag->substr(2, flag->find('=') - 2);
  std::string nearest;
  size_t distance = kMaxDistance + 1;
  for (const CLI::App* command : app.get_subcommands()) {
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& known : option->get_lnames()) {
        const size_t d = edit_distance(name, known);
        if (d < distance) nearest = known;
        distance = std::min(distance, d);
      }
    }
  }
  return nearest.empty() ? "" : "; did you mean --" + nearest + "?";
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
  } catch (const CLI::ExtrasError& error) {
    return app.exit(CLI::ExtrasError(error.what() + suggestion(app), error.get_exit_code()));
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
