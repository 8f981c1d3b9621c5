#include "apps/bench_start.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/memory.h"
#include "model/kv_cache.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDiskThreads = 8;
constexpr int64_t kDiskBlock = 1 << 20;
constexpr int64_t kDiskBytes = int64_t{1} << 31;  // of one measurement, at most
constexpr int64_t kLeastFetched = 16 << 20;       // less says nothing about the disk

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Descriptor {
  explicit Descriptor(const std::filesystem::path& path, int flags)
      : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

std::vector<std::filesystem::path> weight_files(const std::filesystem::path& model_dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(model_dir)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void drop_from_page_cache(const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& path : files) {
    const Descriptor file(path, 0);
    if (file.fd < 0 || posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
      throw Error(Code::unsupported, path.string() + ": can't drop it from the page cache");
    }
  }
}

// Bytes that this process has fetched from storage so far, by reads and page faults.
int64_t fetched_bytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  for (int64_t value = 0; io >> name >> value;) {
    if (name == "read_bytes:") return value;
  }
  throw Error(Code::unsupported, "/proc/self/io: has no read_bytes; leave out --test start");
}

// Bytes per second of whole blocks, past the page cache; 0 where the file system refuses that.
double disk_rate(const std::vector<std::filesystem::path>& files) {
  Block memory(static_cast<size_t>(kDiskThreads * kDiskBlock));
  int64_t bytes = 0;
  const Clock::time_point start = Clock::now();
  for (const std::filesystem::path& path : files) {
    if (bytes >= kDiskBytes) break;
    const Descriptor file(path, O_DIRECT);
    if (file.fd < 0) return 0;
    const int64_t left = kDiskBytes - bytes;
    const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
    const int64_t n_blocks = std::min(size, left) / kDiskBlock;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < kDiskThreads; ++t) {
      threads.emplace_back([&, t] {
        std::byte* buffer = memory.data() + t * kDiskBlock;
        for (int64_t i = next++; i < n_blocks; i = next++) {
          if (pread(file.fd, buffer, kDiskBlock, i * kDiskBlock) != kDiskBlock) failed = true;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (failed) return 0;
    bytes += n_blocks * kDiskBlock;
  }
  return static_cast<double>(bytes) / seconds_since(start);
}

// Takes as much memory as the files have bytes, and gives it back. The host of a virtual machine
// may have taken free memory away (free page reporting); it returns it slower than a disk reads,
// which says nothing about the start of a model.
void fetch_memory(Context& context, const std::vector<std::filesystem::path>& files) {
  size_t bytes = 0;
  for (const std::filesystem::path& path : files) bytes += std::filesystem::file_size(path);
  Block memory(bytes);
  context.pool.run((bytes + kHugePage - 1) / kHugePage, [&](size_t i) {
    const size_t end = std::min(bytes, (i + 1) * kHugePage);
    for (size_t at = i * kHugePage; at < end; at += kPage) memory.data()[at] = std::byte{1};
  });
}

void one_token(Context& context, Model& model, Format kv_format) {
  KvCache cache(model.config(), kv_format, 1);
  StepOutput output;
  const Batch batch = {.tokens = {0},
                       .positions = {0},
                       .spans = {{.first_row = 0, .n_rows = 1, .n_past = 0, .blocks = {0}}},
                       .logit_rows = {0}};
  if (model.forward(context, batch, cache, output) != StepResult::ok) {
    throw Error(Code::internal, "a step failed");
  }
}

}  // namespace

std::vector<BenchTest> start_tests(Context& context, const std::filesystem::path& model_dir,
                                   const LoadOptions& options, Format kv_format) {
  const bool copies = choose_load_mode(options.load, options.threads) == LoadMode::copy;
  const auto run = [&context, model_dir, options, kv_format, copies](bool cold, bool token) {
    const std::vector<std::filesystem::path> files = weight_files(model_dir);
    double disk = 0;
    if (cold) {
      drop_from_page_cache(files);
      disk = disk_rate(files);
    }
    if (cold || copies) fetch_memory(context, files);
    const int64_t before = fetched_bytes();
    const Clock::time_point start = Clock::now();
    const std::unique_ptr<Model> model = load_model(model_dir, options);
    if (token) one_token(context, *model, kv_format);
    Sample sample = {.value = seconds_since(start), .share = {}};
    const int64_t fetched = fetched_bytes() - before;
    if (disk > 0 && fetched >= kLeastFetched) {
      disk = (disk + disk_rate(files)) / 2;
      sample.share = {.share = static_cast<double>(fetched) / sample.value / disk, .roof = "disk"};
    }
    return sample;
  };
  std::vector<BenchTest> tests;
  for (const bool cold : {false, true}) {
    for (const bool token : {false, true}) {
      RowName name;
      name.test = "start";
      name.shape = std::string(cold ? "cold" : "warm") + (token ? " token" : " ready");
      tests.push_back({.name = std::move(name), .unit = "s", .run = [=](const Roof&) {
                         return run(cold, token);
                       }});
    }
  }
  return tests;
}

}  // namespace dbrx
