#include "model/config.h"

#include <boost/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"
#include "model/config_reader.h"
#include "model/families.h"
#include "tensor/checkpoint.h"
#include "tensor/json.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr size_t kMaxConfigBytes = size_t{4} << 20;

constexpr std::string_view kOwnMethod = "dbrx";  // what dbrx quantize writes

// What the config says of quantization, if it says anything.
std::optional<std::string> quant_method(const json::object& config) {
  const json::value* value = config.if_contains("quantization_config");
  if (value == nullptr || value->is_null()) return std::nullopt;
  const json::object* object = value->if_object();
  const json::value* name = object == nullptr ? nullptr : object->if_contains("quant_method");
  if (name == nullptr || !name->is_string()) return "an unnamed method";
  return std::string(name->get_string());
}

// Files of quantizers that we can't read yet say so in their config.
void refuse_quantized(const json::object& config, const std::string& where) {
  const std::optional<std::string> method = quant_method(config);
  if (method && *method != kOwnMethod) {
    throw Error(Code::unsupported,
                where + ": the checkpoint is quantized with " + *method +
                    " (quantization_config), which is not supported yet: use the bf16 checkpoint");
  }
  if (const json::value* quantization = config.if_contains("quantization")) {
    if (quantization->is_object()) {
      throw Error(Code::unsupported,
                  where +
                      ": an MLX-quantized checkpoint ('quantization'), which is not supported "
                      "yet: use the bf16 checkpoint");
    }
  }
}

void read_eos(const json::value& value, const std::string& where, const ModelConfig& config,
              std::vector<int32_t>& out) {
  const auto add = [&](const json::value& id) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= config.vocab_size) {
      throw Error(Code::corrupt, where + ": eos_token_id: expected token ids from 0 to " +
                                     std::to_string(config.vocab_size - 1) + ", found " +
                                     json::serialize(id));
    }
    out.push_back(static_cast<int32_t>(id.get_int64()));
  };
  if (value.is_null()) return;
  if (value.is_array()) {
    for (const json::value& id : value.get_array()) add(id);
  } else {
    add(value);
  }
}

}  // namespace

ModelConfig parse_config(const std::string& text, const std::string& where) {
  const json::object object = parse_json_object(text, where);
  refuse_quantized(object, where);
  const ConfigReader reader(object, where);
  const std::string model_type = reader.text("model_type");
  ModelConfig config = find_family(model_type, where).parse_config(reader);
  config.family = model_type;
  config.is_packed = quant_method(object).has_value();  // by us, or it had been refused
  return config;
}

ModelConfig load_config(const std::filesystem::path& model_dir) {
  const bool is_directory = std::filesystem::is_directory(model_dir);
  const std::filesystem::path path = model_dir / "config.json";
  const bool has_config = is_directory && std::filesystem::exists(path);
  // Formats that carry their own configuration, or that come as one file.
  if (!has_config && std::filesystem::exists(model_dir)) {
    if (const std::string foreign = foreign_weights(model_dir); !foreign.empty()) {
      throw Error(Code::unsupported,
                  model_dir.string() + ": " + foreign +
                      ", which is not supported yet: use a safetensors checkpoint directory");
    }
  }
  if (!is_directory) {
    throw Error(Code::not_found, model_dir.string() + ": no such model directory");
  }
  if (!has_config) {
    throw Error(
        Code::not_found,
        path.string() + ": not found: a model directory needs it (is the download complete?)");
  }
  return parse_config(read_text_file(path, kMaxConfigBytes), path.string());
}

GenerationConfig load_generation_config(const std::filesystem::path& model_dir,
                                        const ModelConfig& config) {
  GenerationConfig generation;
  for (const std::string_view name : {"generation_config.json", "config.json"}) {
    const std::filesystem::path path = model_dir / name;
    if (!std::filesystem::exists(path)) continue;
    const json::object object =
        parse_json_object(read_text_file(path, kMaxConfigBytes), path.string());
    if (const json::value* eos = object.if_contains("eos_token_id")) {
      read_eos(*eos, path.string(), config, generation.eos_token_ids);
    }
    if (!generation.eos_token_ids.empty()) break;
  }
  return generation;
}

}  // namespace dbrx
