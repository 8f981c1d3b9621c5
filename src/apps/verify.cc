// `dbrx verify`: reads a packed checkpoint and compares every tensor with its checksum.
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "tensor/checkpoint.h"
#include "tensor/checksum.h"

namespace dbrx {
namespace {

int verify(const std::string& model_dir) {
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  int64_t n_bytes = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    verify_checksum(tensor);
    n_bytes += static_cast<int64_t>(tensor.bytes.size());
  }
  std::printf("%s: %zu tensors, %.2f GB, all as written\n", model_dir.c_str(),
              checkpoint.tensors().size(), static_cast<double>(n_bytes) / 1e9);
  return 0;
}

}  // namespace

CommandMain setup_verify(CLI::App& app) {
  auto model_dir = std::make_shared<std::string>();
  app.add_option("-m,--model", *model_dir, "packed checkpoint directory")->required();
  return [model_dir] { return verify(*model_dir); };
}

}  // namespace dbrx
