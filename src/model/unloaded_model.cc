#include "model/unloaded_model.h"

#include "base/error.h"

namespace dbrx {
namespace {

class UnloadedModel : public Model {
 public:
  UnloadedModel(const ModelConfig& config, Format format) : config_(config), format_(format) {}

  const ModelConfig& config() const override { return config_; }
  Format weight_format() const override { return format_; }
  WeightBytes weight_bytes() const override { return {}; }
  StepResult forward(Context&, const Batch&, KvCache&, StepOutput&) override {
    throw Error(Code::internal, "a model without weights can't compute");
  }

 private:
  ModelConfig config_;
  Format format_;
};

}  // namespace

std::unique_ptr<Model> unloaded_model(const ModelConfig& config, const Checkpoint& checkpoint) {
  Format format = Format::f32;
  size_t largest = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!tensor.format || tensor.bytes.size() <= largest) continue;
    largest = tensor.bytes.size();
    format = *tensor.format;
  }
  return std::make_unique<UnloadedModel>(config, format);
}

}  // namespace dbrx
