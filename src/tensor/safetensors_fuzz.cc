// Any bytes either parse or end in an Error; tensors that parse can be read to their last byte.
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "tensor/safetensors.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    unsigned sum = 0;
    for (const dbrx::Tensor& tensor :
         dbrx::parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "fuzz")) {
      for (const std::byte value : tensor.bytes) sum += static_cast<unsigned>(value);
      if (tensor.format) (void)dbrx::find_non_finite(tensor);
    }
    volatile unsigned used = sum;  // so that the reads are not optimised away
    (void)used;
  } catch (const dbrx::Error&) {  // NOLINT(bugprone-empty-catch): how a bad file must end
  }
  return 0;
}
