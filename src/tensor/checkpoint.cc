#include "tensor/checkpoint.h"

#include <boost/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr size_t kMaxIndexBytes = size_t{64} << 20;

std::string foreign_file(const std::string& name) {
  if (name.ends_with(".gguf")) return "a GGUF file (" + name + ")";
  if (name == "quantize_config.json" || name.starts_with("gptq_model")) {
    return "a GPTQ checkpoint (" + name + ")";
  }
  if (name == "quant_config.json") return "an AWQ checkpoint (" + name + ")";
  if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) {
    return "a PyTorch pickle (" + name + ")";
  }
  if (name.ends_with(".npz")) return "an NPZ archive (" + name + ")";
  return "";
}

// tensor name -> shard file name
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string where = path.string();
  const json::object index = parse_json_object(read_text_file(path, kMaxIndexBytes), where);
  const json::value* map = index.if_contains("weight_map");
  if (map == nullptr || !map->is_object()) {
    throw Error(Code::corrupt, where + ": expected an object 'weight_map'");
  }
  std::map<std::string, std::string> files;
  for (const auto& entry : map->get_object()) {
    const json::string* file = entry.value().if_string();
    // A shard lies beside its index: a path that leaves the directory is an attack or an accident.
    if (file == nullptr || file->empty() || fs::path(file->c_str()).filename() != file->c_str()) {
      throw Error(Code::corrupt,
                  where + ": weight_map of '" + std::string(entry.key()) + "' is not a file name");
    }
    files[entry.key()] = file->c_str();
  }
  return files;
}

}  // namespace

std::string foreign_weights(const fs::path& path) {
  if (!fs::is_directory(path)) return foreign_file(path.filename().string());
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    const std::string name = foreign_file(entry.path().filename().string());
    if (!name.empty()) return name;
  }
  return "";
}

Checkpoint Checkpoint::open(const fs::path& dir) {
  if (!fs::is_directory(dir)) {
    throw Error(Code::not_found, dir.string() + ": no such model directory");
  }
  Checkpoint checkpoint;
  checkpoint.dir_ = dir;
  const fs::path single = dir / "model.safetensors";
  const fs::path index_path = dir / "model.safetensors.index.json";
  if (!fs::exists(index_path)) {
    if (!fs::exists(single)) {
      const std::string other = foreign_weights(dir);
      if (other.empty()) {
        throw Error(Code::not_found, dir.string() +
                                         ": neither model.safetensors nor "
                                         "model.safetensors.index.json is there");
      }
      throw Error(Code::unsupported,
                  dir.string() + ": holds " + other +
                      ", which is not supported yet: use a safetensors checkpoint");
    }
    checkpoint.add_file(single);
    return checkpoint;
  }
  const std::map<std::string, std::string> files = read_index(index_path);
  std::set<std::string> shards;
  for (const auto& [name, file] : files) shards.insert(file);
  for (const std::string& shard : shards) {
    if (!fs::exists(dir / shard)) {
      throw Error(Code::not_found,
                  (dir / shard).string() +
                      ": shard named by model.safetensors.index.json is missing: is "
                      "the download complete?");
    }
    checkpoint.add_file(dir / shard);
  }
  for (const auto& [name, file] : files) {
    const Tensor* tensor = checkpoint.find(name);
    if (tensor == nullptr || tensor->file->path().filename() != file) {
      throw Error(Code::corrupt, (dir / file).string() + ": tensor '" + name +
                                     "' expected here by model.safetensors.index.json, not found");
    }
  }
  return checkpoint;
}

void Checkpoint::add_file(const fs::path& path) {
  for (Tensor& tensor : open_safetensors(path)) {
    const std::string name = tensor.name;
    const auto [position, added] = tensors_.emplace(name, std::move(tensor));
    if (!added) {
      throw Error(Code::corrupt, path.string() + ": tensor '" + name + "' is also in " +
                                     position->second.file->path().string());
    }
  }
}

const Tensor* Checkpoint::find(const std::string& name) const {
  const auto position = tensors_.find(name);
  return position == tensors_.end() ? nullptr : &position->second;
}

void Checkpoint::replace_file(const MappedFile& before,
                              const std::shared_ptr<const MappedFile>& after) {
  CHECK_EQ(before.bytes().size(), after->bytes().size());
  std::shared_ptr<const MappedFile> kept;  // until the last tensor has left it
  for (auto& [name, tensor] : tensors_) {
    if (tensor.file.get() != &before) continue;
    const auto offset = static_cast<size_t>(tensor.bytes.data() - before.bytes().data());
    tensor.bytes = after->bytes().subspan(offset, tensor.bytes.size());
    kept = std::exchange(tensor.file, after);
  }
}

}  // namespace dbrx
