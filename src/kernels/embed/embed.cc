#include "kernels/embed/embed.h"

#include "base/error.h"

namespace dbrx {

void embed(Context& context, const EmbedArgs& args) {
  CHECK(args.table != nullptr);
  CHECK_EQ(args.y.rows, static_cast<int64_t>(args.tokens.size()));
  for (const int32_t token : args.tokens) {
    CHECK_LE(0, token);
    CHECK_LT(token, args.vocab);
  }
  const int64_t bytes = row_bytes(args.format, args.y.cols);
  context.pool.run(args.tokens.size(), [&](size_t row) {
    decode_row(args.format, args.table + args.tokens[row] * bytes, args.y.cols,
               args.y.row(static_cast<int64_t>(row)));
  });
}

}  // namespace dbrx
