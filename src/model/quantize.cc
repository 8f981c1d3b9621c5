#include "model/quantize.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "model/config.h"
#include "model/families.h"
#include "tensor/checkpoint.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr size_t kMaxConfigBytes = size_t{4} << 20;
constexpr const char* kStateFile = "quantize.state";  // there until the last file is

// Raised when the same weights are rounded to other bits: an unfinished run of an older program is
// not gone on with.
constexpr int kRounding = 2;

// What a user of the packed checkpoint needs besides weights.
constexpr std::array kCopied = {"generation_config.json", "tokenizer.json", "tokenizer_config.json",
                                "special_tokens_map.json", "chat_template.jinja"};

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Error(Code::resource_exhausted, path.string() + ": can't write");
}

// Everything that was written is on the disk from here on: only then may the mark of an unfinished
// run go.
void sync_files(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = fd >= 0 && ::syncfs(fd) == 0;
  const std::string why = std::generic_category().message(errno);
  if (fd >= 0) ::close(fd);
  if (!done)
    throw Error(Code::resource_exhausted, dir.string() + ": can't be written to the disk: " + why);
}

std::string state_text(const fs::path& source, const QuantizeOptions& options) {
  return fs::canonical(source).string() + "\n" + std::string(format_info(options.experts).name) +
         " " + std::string(format_info(options.dense).name) + " rounding " +
         std::to_string(kRounding) + "\n";
}

// An empty directory begins a run, one of the same source and options goes on with it.
void begin(const fs::path& out, const std::string& state) {
  fs::create_directories(out);
  const fs::path path = out / kStateFile;
  if (fs::exists(path)) {
    if (read_text_file(path, kMaxConfigBytes) == state) return;
    throw Error(
        Code::invalid_argument,
        out.string() +
            ": holds an unfinished run of another model, other formats or another version of dbrx: "
            "remove it or choose another --out");
  }
  if (!fs::is_empty(out)) {
    throw Error(Code::invalid_argument, out.string() + ": not empty: choose another --out");
  }
  write_text(path, state);
}

void write_config(const fs::path& source, const fs::path& out, const QuantizeOptions& options) {
  const fs::path path = source / "config.json";
  json::object config = parse_json_object(read_text_file(path, kMaxConfigBytes), path.string());
  config["quantization_config"] = {{"quant_method", "dbrx"},
                                   {"experts", format_info(options.experts).name},
                                   {"dense", format_info(options.dense).name}};
  write_text(out / "config.json", json::serialize(config) + "\n");
}

void write_index(const fs::path& out, const std::vector<PackedPart>& parts) {
  json::object map;
  for (const PackedPart& part : parts) {
    for (const Tensor& tensor : open_safetensors(out / part.file)) map[tensor.name] = part.file;
  }
  write_text(out / "model.safetensors.index.json",
             json::serialize(json::object{{"weight_map", map}}) + "\n");
}

}  // namespace

void quantize_checkpoint(Context& context, const fs::path& source_dir, const fs::path& out_dir,
                         const QuantizeOptions& options) {
  const ModelConfig config = load_config(source_dir);
  const Checkpoint checkpoint = Checkpoint::open(source_dir);
  if (config.is_packed) {
    throw Error(Code::invalid_argument,
                source_dir.string() + ": is packed already: start from the float checkpoint");
  }
  const std::vector<PackedPart> parts =
      find_family(config.family, source_dir.string()).packed_parts(config, checkpoint, options);
  begin(out_dir, state_text(source_dir, options));
  context.pool.enter();  // all threads round subnormal weights alike
  int64_t total = 0;
  for (const PackedPart& part : parts) total += part.n_weights;
  int64_t done = 0;
  const auto wrote = [&](int64_t n_weights) {
    done += n_weights;
    if (options.progress) {
      options.progress(static_cast<double>(done) / static_cast<double>(total));
    }
  };
  for (const PackedPart& part : parts) {
    const fs::path path = out_dir / part.file;
    if (fs::exists(path)) {
      wrote(part.n_weights);
    } else {
      part.write(context, path, wrote);
    }
  }
  for (const char* name : kCopied) {
    if (!fs::exists(source_dir / name)) continue;
    fs::copy_file(source_dir / name, out_dir / name, fs::copy_options::overwrite_existing);
  }
  write_index(out_dir, parts);
  write_config(source_dir, out_dir, options);
  sync_files(out_dir);
  fs::remove(out_dir / kStateFile);
}

}  // namespace dbrx
