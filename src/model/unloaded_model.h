// A model without weights: what it takes to find out whether everything around it makes sense.
#pragma once

#include <memory>

#include "model/config.h"
#include "model/model.h"
#include "tensor/checkpoint.h"

namespace dbrx {

// Its format is that of the checkpoint's largest tensor. It has no step.
std::unique_ptr<Model> unloaded_model(const ModelConfig& config, const Checkpoint& checkpoint);

}  // namespace dbrx
