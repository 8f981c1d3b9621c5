#include "model/families.h"

#include <array>

#include "base/error.h"
#include "model/dbrx.h"

namespace dbrx {
namespace {

constexpr std::array<Family, 1> kFamilies = {{
    {.model_type = "dbrx",
     .parse_config = parse_dbrx_config,
     .tensors = dbrx_tensors,
     .load = load_dbrx,
     .packed_parts = dbrx_packed_parts},
}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family& find_family(std::string_view model_type, const std::string& where) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  throw Error(Code::unsupported, where + ": model_type '" + std::string(model_type) +
                                     "' is not supported; known families: " + known);
}

OpenedModel open_model(const std::filesystem::path& model_dir, const LoadOptions& options) {
  const ModelConfig config = load_config(model_dir);
  const Family& family = find_family(config.family, model_dir.string());
  OpenedModel opened{.model = nullptr, .checkpoint = Checkpoint::open(model_dir), .report = {}};
  if (!config.is_packed) {
    if (options.load != "auto") {
      throw Error(Code::invalid_argument,
                  model_dir.string() + ": --load " + options.load +
                      " is for packed checkpoints (dbrx quantize): this one is packed into memory "
                      "while it is read");
    }
    opened.model = family.load(config, opened.checkpoint, options);
    opened.checkpoint = {};
    return opened;
  }
  // The files are read first; building the model then only looks at headers.
  opened.report = load_files(opened.checkpoint, choose_load_mode(options.load, options.threads),
                             options.threads, options.progress);
  opened.model =
      family.load(config, opened.checkpoint, {.activations = options.activations, .progress = {}});
  return opened;
}

std::unique_ptr<Model> load_model(const std::filesystem::path& model_dir,
                                  const LoadOptions& options) {
  return open_model(model_dir, options).model;
}

}  // namespace dbrx
