// A plain driver for fuzz targets where libFuzzer is not at hand: seeded mutations of the seed
// files, a fixed number of them, so that every run of the tests is the same. Usage: fuzz_x COUNT
// SEED_FILE...
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

// NOLINTBEGIN(readability-identifier-naming): names that libFuzzer calls, the second where there is
// one
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);
// NOLINTEND(readability-identifier-naming)

namespace {

using Random = std::mt19937_64;

size_t pick(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

// One small change: a flipped bit, a changed byte, a cut, a repeated piece, or a number's digit.
void mutate(Random& random, std::string& bytes) {
  const size_t at = pick(random, bytes.size());
  switch (random() % 5) {
    case 0:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      return;
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<char>(random());
      return;
    case 2:
      bytes.erase(at, pick(random, bytes.size() - at) % 64);
      return;
    case 3:
      bytes.insert(at, bytes.substr(at, random() % 64));
      return;
    default:
      bytes.insert(at, 1, "0123456789-.eE\"{}[],:"[random() % 21]);
      return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s COUNT SEED_FILE...\n", argv[0]);
    return 2;
  }
  std::vector<std::string> seeds;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: can't open\n", argv[i]);
      return 2;
    }
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    // The start of a large file is its header, which is what parsers read.
    if (seeds.back().size() > 20000) seeds.back().resize(20000);
  }
  Random random(1);
  const long count = std::strtol(argv[1], nullptr, 10);
  for (long i = 0; i < count; ++i) {
    std::string bytes = seeds[pick(random, seeds.size())];
    for (uint64_t changes = random() % 8 + 1; changes > 0; --changes) mutate(random, bytes);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("%ld inputs, none broke the target\n", count);
  return 0;
}
