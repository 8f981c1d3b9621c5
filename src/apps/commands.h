// The commands of the program, one file each. setup_<name> adds the command's flags to its CLI11
// sub-app and returns the function that runs it: 0 is success, an Error tells the user what is
// wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace dbrx {

using CommandMain = std::function<int()>;

CommandMain setup_bench(CLI::App& app);
CommandMain setup_chat(CLI::App& app);
CommandMain setup_inspect(CLI::App& app);
CommandMain setup_perplexity(CLI::App& app);
CommandMain setup_quantize(CLI::App& app);
CommandMain setup_serve(CLI::App& app);
CommandMain setup_tokenize(CLI::App& app);
CommandMain setup_verify(CLI::App& app);

}  // namespace dbrx
