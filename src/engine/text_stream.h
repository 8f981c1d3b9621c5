// The text of one choice: tokens -> bytes -> whole characters -> what no stop string can still take
// back.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/request.h"
#include "engine/stop_matcher.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace dbrx {

class TextStream {
 public:
  // All outlive the stream. stops: of the request's stop strings.
  TextStream(const Tokenizer& tokenizer, const Request& request,
             std::span<const StopPattern> stops);

  // Appends to `out` the text that is certain after the choice's n-th token (n from 1; min_tokens
  // of them are not searched for stop strings). True when a stop string is complete: the text is
  // over.
  bool push(int32_t token, int64_t n, std::string& out);

  // The end of the choice: appends what was held back. True when that completes a stop string.
  bool finish(std::string& out);

  std::string_view found_stop() const { return matcher_.found(); }

 private:
  int64_t min_tokens_;
  StreamDecoder decoder_;
  StopMatcher matcher_;
};

}  // namespace dbrx
