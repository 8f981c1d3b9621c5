// Refuses a request that can never run, before it is queued.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/request.h"

namespace dbrx {

constexpr int32_t kMaxChoices = 128;    // of one request
constexpr size_t kMaxStops = 16;        // stop strings of one request
constexpr size_t kMaxStopBytes = 1024;  // of one stop string

struct RequestLimits {
  int64_t vocab_size = 0;
  int64_t max_context = 0;  // tokens of one sequence, prompt and generated
  bool has_text = false;    // the engine has a tokenizer
  bool has_experts = false;
};

// Throws Error(invalid_argument) that names the field.
void validate_request(const Request& request, const RequestLimits& limits);

}  // namespace dbrx
