#include "tensor/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "tensor/checksum.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr size_t kDataAlignment = 4096;
constexpr std::string_view kNoChecksum = "0000000000000000";  // its place until finish()

std::string header_of(const std::vector<StoredTensor>& tensors,
                      const std::vector<std::string>& checksums) {
  json::object header;
  json::object notes;
  int64_t at = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& tensor = tensors[i];
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", json::value_from(tensor.shape)},
                           {"data_offsets", {at, at + tensor.n_bytes}}};
    notes[tensor.name] = tensor.note + (tensor.note.empty() ? "" : " ") +
                         std::string(kChecksumKey) + "=" + checksums[i];
    at += tensor.n_bytes;
  }
  header["__metadata__"] = std::move(notes);
  std::string text = json::serialize(header);
  const size_t begin = sizeof(uint64_t) + text.size();
  text.append(round_up(begin, kDataAlignment) - begin, ' ');
  return text;
}

}  // namespace

struct SafetensorsWriter::State {
  std::filesystem::path path;
  std::filesystem::path part;
  std::vector<StoredTensor> tensors;
  std::vector<std::string> checksums;
  int fd = -1;
  size_t current = 0;     // tensor that is being written
  int64_t n_written = 0;  // bytes of it
  XXH3_state_t* hash = XXH3_createState();

  ~State() {
    XXH3_freeState(hash);
    if (fd < 0) return;
    ::close(fd);
    ::unlink(part.c_str());  // a file that was not finished
  }

  [[noreturn]] void fail(const char* what) const {
    throw Error(Code::resource_exhausted,
                part.string() + ": can't " + what + ": " + std::generic_category().message(errno));
  }

  void write_all(const void* data, size_t n, off_t at) const {
    const char* bytes = static_cast<const char*>(data);
    while (n > 0) {
      const ssize_t done = ::pwrite(fd, bytes, n, at);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail("write");
      bytes += done;
      at += done;
      n -= static_cast<size_t>(done);
    }
  }

  size_t write_header() const {
    const std::string header = header_of(tensors, checksums);
    const uint64_t length = header.size();
    write_all(&length, sizeof length, 0);
    write_all(header.data(), header.size(), sizeof length);
    return sizeof length + header.size();
  }

  off_t at = 0;  // where the next bytes go
};

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<StoredTensor> tensors)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.part = path;
  s.part += ".part";
  s.path = std::move(path);
  s.tensors = std::move(tensors);
  s.checksums.assign(s.tensors.size(), std::string(kNoChecksum));
  s.fd = ::open(s.part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (s.fd < 0) s.fail("create");
  s.at = static_cast<off_t>(s.write_header());
  XXH3_64bits_reset(s.hash);
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  State& s = *state_;
  CHECK_LT(s.current, s.tensors.size());
  const StoredTensor& tensor = s.tensors[s.current];
  CHECK_LE(s.n_written + static_cast<int64_t>(bytes.size()), tensor.n_bytes);
  s.write_all(bytes.data(), bytes.size(), s.at);
  XXH3_64bits_update(s.hash, bytes.data(), bytes.size());
  s.at += static_cast<off_t>(bytes.size());
  s.n_written += static_cast<int64_t>(bytes.size());
  if (s.n_written < tensor.n_bytes) return;
  s.checksums[s.current] = checksum_text(XXH3_64bits_digest(s.hash));
  XXH3_64bits_reset(s.hash);
  s.n_written = 0;
  ++s.current;
}

void SafetensorsWriter::finish() {
  State& s = *state_;
  CHECK_EQ(s.current, s.tensors.size());
  s.write_header();
  if (::fsync(s.fd) != 0) s.fail("flush");
  if (::rename(s.part.c_str(), s.path.c_str()) != 0) s.fail("rename");
  ::close(s.fd);
  s.fd = -1;
}

std::optional<std::string_view> note_word(std::string_view note, std::string_view key) {
  while (!note.empty()) {
    const std::string_view word = note.substr(0, note.find(' '));
    note.remove_prefix(std::min(word.size() + 1, note.size()));
    if (word.starts_with(key) && word.substr(key.size()).starts_with('=')) {
      return word.substr(key.size() + 1);
    }
  }
  return std::nullopt;
}

}  // namespace dbrx
