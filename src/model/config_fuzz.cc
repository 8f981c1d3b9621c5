// Any text either parses as a configuration or ends in an Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "model/config.h"
#include "model/parameters.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const dbrx::ModelConfig config =
        dbrx::parse_config(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    dbrx::count_parameters(config);
    dbrx::n_expert_sets(config);
  } catch (const dbrx::Error&) {  // NOLINT(bugprone-empty-catch): how a bad file must end
  }
  return 0;
}
