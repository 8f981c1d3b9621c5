#include "tensor/safetensors.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "tensor/json.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own reader

constexpr std::array<std::pair<std::string_view, int>, 14> kDtypeBytes = {{{"F64", 8},
                                                                           {"F32", 4},
                                                                           {"F16", 2},
                                                                           {"BF16", 2},
                                                                           {"I64", 8},
                                                                           {"I32", 4},
                                                                           {"I16", 2},
                                                                           {"I8", 1},
                                                                           {"U64", 8},
                                                                           {"U32", 4},
                                                                           {"U16", 2},
                                                                           {"U8", 1},
                                                                           {"F8_E4M3", 1},
                                                                           {"BOOL", 1}}};

std::optional<int> dtype_bytes(std::string_view dtype) {
  for (const auto& [name, bytes] : kDtypeBytes) {
    if (name == dtype) return bytes;
  }
  return std::nullopt;
}

[[noreturn]] void corrupt(const std::string& where, const std::string& what) {
  throw Error(Code::corrupt, where + ": " + what);
}

// A non-negative JSON integer; Boost.JSON keeps small ones signed.
std::optional<uint64_t> as_unsigned(const json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
  return std::nullopt;
}

std::optional<uint64_t> multiply(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::string note_of(const json::value* metadata, std::string_view name) {
  const json::object* notes = metadata == nullptr ? nullptr : metadata->if_object();
  const json::value* note = notes == nullptr ? nullptr : notes->if_contains(name);
  return note == nullptr || !note->is_string() ? "" : std::string(note->get_string());
}

// Places and checks what one header entry describes.
class EntryParser {
 public:
  EntryParser(std::span<const std::byte> data, const std::string& where)
      : data_(data), where_(where) {}

  Tensor parse(std::string_view name, const json::value& value) {
    name_ = name;
    const json::object* entry = value.if_object();
    if (entry == nullptr) fail("expected an object with dtype, shape and data_offsets");
    Tensor tensor;
    tensor.name = name_;
    tensor.dtype = parse_dtype(*entry);
    tensor.format = format_from_safetensors(tensor.dtype);
    tensor.shape = parse_shape(*entry);
    tensor.bytes = parse_range(*entry, tensor);
    return tensor;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    corrupt(where_, "tensor '" + name_ + "': " + what);
  }

  std::string parse_dtype(const json::object& entry) const {
    const json::value* dtype = entry.if_contains("dtype");
    if (dtype == nullptr || !dtype->is_string()) fail("dtype is missing or not a string");
    std::string text(dtype->get_string());
    if (!dtype_bytes(text))
      fail("expected a known dtype (BF16, F16, F32, ...), found '" + text + "'");
    return text;
  }

  std::vector<int64_t> parse_shape(const json::object& entry) const {
    const json::value* shape = entry.if_contains("shape");
    if (shape == nullptr || !shape->is_array()) fail("shape is missing or not a list");
    std::vector<int64_t> sizes;
    for (const json::value& size : shape->get_array()) {
      const auto n = as_unsigned(size);
      if (!n || *n > uint64_t{1} << 62) fail("shape holds something that is not a size");
      sizes.push_back(static_cast<int64_t>(*n));
    }
    return sizes;
  }

  std::span<const std::byte> parse_range(const json::object& entry, const Tensor& tensor) const {
    const json::value* offsets = entry.if_contains("data_offsets");
    const json::array* pair = offsets == nullptr ? nullptr : offsets->if_array();
    if (pair == nullptr || pair->size() != 2) fail("data_offsets is missing or not a pair");
    const auto begin = as_unsigned((*pair)[0]);
    const auto end = as_unsigned((*pair)[1]);
    if (!begin || !end || *begin > *end) fail("data_offsets are not an ascending pair of sizes");
    if (*end > data_.size()) {
      fail("expected data up to byte " + std::to_string(*end) +
           " of the data section, found only " + std::to_string(data_.size()) +
           " bytes: the file is truncated");
    }
    std::optional<uint64_t> expected = static_cast<uint64_t>(*dtype_bytes(tensor.dtype));
    for (const int64_t size : tensor.shape) {
      if (expected) expected = multiply(*expected, static_cast<uint64_t>(size));
    }
    if (!expected || *expected != *end - *begin) {
      fail("expected " + (expected ? std::to_string(*expected) : std::string("more than 2^64")) +
           " bytes for " + tensor.dtype + " " + shape_text(tensor.shape) + ", found " +
           std::to_string(*end - *begin));
    }
    return data_.subspan(*begin, *end - *begin);
  }

  std::span<const std::byte> data_;
  const std::string& where_;
  std::string name_;
};

// The tensors must tile the data section: no overlap, no hole.
void check_tiling(std::span<const std::byte> data, const std::vector<Tensor>& tensors,
                  const std::string& where) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : tensors) {
    if (!tensor.bytes.empty()) order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(),
            [](const Tensor* a, const Tensor* b) { return a->bytes.data() < b->bytes.data(); });
  const std::byte* expected = data.data();
  const Tensor* previous = nullptr;
  for (const Tensor* tensor : order) {
    const int64_t gap = tensor->bytes.data() - expected;
    if (gap < 0) {
      corrupt(where, "tensor '" + tensor->name + "' overlaps tensor '" + previous->name + "' by " +
                         std::to_string(-gap) + " bytes");
    }
    if (gap > 0) {
      corrupt(where, std::to_string(gap) + " bytes before tensor '" + tensor->name +
                         "' belong to no tensor");
    }
    expected = tensor->bytes.data() + tensor->bytes.size();
    previous = tensor;
  }
  const int64_t rest = data.data() + data.size() - expected;
  if (rest > 0) corrupt(where, std::to_string(rest) + " bytes at the end belong to no tensor");
}

}  // namespace

std::vector<Tensor> parse_safetensors(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < kLengthBytes) {
    corrupt(where, "expected at least 8 bytes of header length, found " +
                       std::to_string(file.size()) + ": the file is truncated");
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    corrupt(where, "expected a header of at most " + std::to_string(kMaxHeaderBytes) +
                       " bytes, found a length of " + std::to_string(header_bytes) +
                       ": not a safetensors file?");
  }
  if (header_bytes > file.size() - kLengthBytes) {
    corrupt(where, "expected a header of " + std::to_string(header_bytes) + " bytes, found only " +
                       std::to_string(file.size() - kLengthBytes) + ": the file is truncated");
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                                header_bytes);
  const json::object entries = parse_json_object(header, where + " (header)");
  const std::span<const std::byte> data = file.subspan(kLengthBytes + header_bytes);
  std::vector<Tensor> tensors;
  const json::value* metadata = entries.if_contains("__metadata__");
  EntryParser parser(data, where);
  for (const auto& entry : entries) {
    if (entry.key() == "__metadata__") continue;
    tensors.push_back(parser.parse(entry.key(), entry.value()));
    tensors.back().note = note_of(metadata, entry.key());
  }
  check_tiling(data, tensors, where);
  return tensors;
}

std::vector<Tensor> open_safetensors(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  std::vector<Tensor> tensors = parse_safetensors(file->bytes(), path.string());
  for (Tensor& tensor : tensors) tensor.file = file;
  return tensors;
}

}  // namespace dbrx
