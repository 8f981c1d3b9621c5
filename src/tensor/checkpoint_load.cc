#include "tensor/checkpoint_load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file_reader.h"
#include "base/huge_pages.h"
#include "base/limits.h"
#include "base/memory.h"

namespace dbrx {
namespace {

// Of one request. Larger ones are slower: when a reader asks for a huge page, the kernel fetches
// the next one too, and the readers should be there, not far ahead of it.
constexpr size_t kPieceBytes = kHugePage;
constexpr int kReaders = 16;  // requests on their way: disks like many

struct LoadedFile {
  std::shared_ptr<const MappedFile> mapped;
  std::shared_ptr<const MappedFile> copy;  // with --load copy
  std::span<std::byte> room;               // of the copy
  std::vector<int> nodes;                  // of its pieces; empty: they are placed already
  std::unique_ptr<FileReader> reader;
};

struct Piece {
  const LoadedFile* file = nullptr;
  size_t offset = 0;
  size_t n_bytes = 0;

  // Where it should be touched first; -1: anywhere.
  int node() const { return file->nodes.empty() ? -1 : file->nodes[offset / kPieceBytes]; }
};

using Files = std::map<const MappedFile*, LoadedFile>;

Files files_of(const Checkpoint& checkpoint) {
  Files files;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    files[tensor.file.get()].mapped = tensor.file;
  }
  return files;
}

int64_t total_bytes(const Files& files) {
  int64_t total = 0;
  for (const auto& [key, file] : files) total += static_cast<int64_t>(file.mapped->bytes().size());
  return total;
}

// Not all of the memory can hold weights: the program and what it computes need some, too.
bool fits(int64_t n_bytes) {
  const int64_t memory = available_memory();
  return n_bytes < memory - memory / 32;
}

void read_piece(const Piece& piece, const ThreadPlan& plan) {
  if (piece.node() >= 0) run_on_node(plan, piece.node());
  const LoadedFile& file = *piece.file;
  if (file.copy != nullptr) {
    const bool cached = file.mapped->is_cached(piece.offset, piece.n_bytes);
    file.reader->read(piece.offset, file.room.subspan(piece.offset, piece.n_bytes), cached);
  } else if (!file.mapped->populate(piece.offset, piece.n_bytes)) {
    throw Error(Code::corrupt, file.mapped->path().string() + ": can't be read near byte " +
                                   std::to_string(piece.offset) + ": a damaged disk?");
  }
}

// Reads the pieces in order, several at a time; this thread reports. The first failure ends it.
void read_all(const std::vector<Piece>& pieces, const ThreadPlan& plan, int64_t total,
              const std::function<void(int64_t, int64_t)>& progress) {
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  std::atomic<int> n_readers{kReaders};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto read = [&] {
    try {
      for (size_t i = next++; i < pieces.size(); i = next++) {
        read_piece(pieces[i], plan);
        done += static_cast<int64_t>(pieces[i].n_bytes);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = pieces.size();
    }
    --n_readers;
  };
  std::vector<std::jthread> readers;
  try {
    for (int i = 0; i < kReaders; ++i) readers.emplace_back(read);
  } catch (const std::system_error&) {  // no more threads: some will do
    n_readers -= kReaders - static_cast<int>(readers.size());
    if (readers.empty()) throw Error(Code::resource_exhausted, "can't start a thread to read with");
  }
  while (progress && n_readers > 0) {
    progress(std::min(done.load(), total - 1), total);  // the end is said once
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  readers.clear();  // joins them
  if (failure) std::rethrow_exception(failure);
  if (progress) progress(total, total);
}

// Says for each piece of a file on which node the matrix's share in it is read. Pieces are pages of
// ranges.
void choose_nodes(LoadedFile& file, std::span<const std::byte> matrix, const ThreadPlan& plan) {
  file.nodes.resize((file.room.size() + kPieceBytes - 1) / kPieceBytes, plan.nodes.front());
  const auto first = static_cast<size_t>(matrix.data() - file.room.data());
  for (const NodeRange& range : node_ranges(plan, first, matrix.size(), kPieceBytes)) {
    for (size_t at = (first + range.begin) / kPieceBytes; at * kPieceBytes < first + range.end;
         ++at) {
      file.nodes[at] = range.node;
    }
  }
}

// Memory for each file, each matrix's shares on the nodes that read them. False: that is forbidden,
// and left to the readers.
bool make_room(Files& files, const Checkpoint& checkpoint, const ThreadPlan& plan) {
  for (auto& [key, file] : files) {
    file.copy = MappedFile::make_copy(*file.mapped, file.room);
    file.reader = std::make_unique<FileReader>(file.mapped->path());
  }
  bool placed = true;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    LoadedFile& file = files.at(tensor.file.get());
    const auto offset = static_cast<size_t>(tensor.bytes.data() - file.mapped->bytes().data());
    const std::span<std::byte> matrix = file.room.subspan(offset, tensor.bytes.size());
    if (placed) placed = place_on_nodes(matrix, plan);
    if (!placed) choose_nodes(file, matrix, plan);
  }
  return placed;
}

}  // namespace

LoadMode choose_load_mode(std::string_view name, const ThreadPlan& plan) {
  if (name == "map") return LoadMode::map;
  if (name == "copy") return LoadMode::copy;
  if (name == "auto") return plan.nodes.size() > 1 ? LoadMode::copy : LoadMode::map;
  throw Error(Code::invalid_argument,
              "unknown way to load '" + std::string(name) + "': use auto, map or copy");
}

LoadReport load_files(Checkpoint& checkpoint, LoadMode mode, const ThreadPlan& plan,
                      const std::function<void(int64_t, int64_t)>& progress) {
  Files files = files_of(checkpoint);
  LoadReport report{.mode = mode, .n_bytes = total_bytes(files)};
  report.fits_memory = fits(report.n_bytes);
  if (!report.fits_memory && mode == LoadMode::copy) {
    throw Error(Code::resource_exhausted,
                checkpoint.dir().string() + ": " + std::to_string(report.n_bytes) +
                    " bytes do not fit the memory that this process may use (" +
                    std::to_string(available_memory()) + " bytes): use --load map");
  }
  if (!report.fits_memory) return report;
  if (mode == LoadMode::copy) report.placed = make_room(files, checkpoint, plan);
  std::vector<Piece> pieces;
  for (const auto& [key, file] : files) {
    const size_t size = file.mapped->bytes().size();
    for (size_t at = 0; at < size; at += kPieceBytes) {
      pieces.push_back({.file = &file, .offset = at, .n_bytes = std::min(kPieceBytes, size - at)});
    }
  }
  read_all(pieces, plan, report.n_bytes, progress);
  for (const auto& [key, file] : files) {
    if (file.copy != nullptr) checkpoint.replace_file(*file.mapped, file.copy);
    report.huge_bytes +=
        huge_mapped_bytes((file.copy != nullptr ? file.copy : file.mapped)->bytes());
  }
  return report;
}

}  // namespace dbrx
