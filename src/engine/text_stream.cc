#include "engine/text_stream.h"

namespace dbrx {

TextStream::TextStream(const Tokenizer& tokenizer, const Request& request,
                       std::span<const StopPattern> stops)
    : min_tokens_(request.stop.min_tokens),
      decoder_(tokenizer, request.skip_special_tokens),
      matcher_(stops, request.stop.include_stop) {}

bool TextStream::push(int32_t token, int64_t n, std::string& out) {
  const std::string piece = decoder_.push(token);
  if (n > min_tokens_) return matcher_.push(piece, out);
  out += piece;
  return false;
}

bool TextStream::finish(std::string& out) {
  if (matcher_.push(decoder_.finish(), out)) return true;
  matcher_.finish(out);
  return false;
}

}  // namespace dbrx
