#include "kernels/matmul/packed_tensor.h"

#include <optional>
#include <utility>

#include "base/error.h"

namespace dbrx {
namespace {

// Of the layout that linear.h describes. Files of another version are made again, not converted.
constexpr std::string_view kLayoutVersion = "1";

[[noreturn]] void fail(Code code, const Tensor& tensor, const std::string& what) {
  throw Error(code, tensor.file->path().string() + ": tensor '" + tensor.name + "': " + what);
}

void check_version(const Tensor& tensor, std::string_view key) {
  const std::string version(note_word(tensor.note, key).value_or(""));
  if (version == kLayoutVersion) return;
  fail(Code::unsupported, tensor,
       "expected packed layout version " + std::string(kLayoutVersion) + ", found '" + version +
           "': make the file again with dbrx quantize");
}

void check_bytes(const Tensor& tensor, int64_t expected) {
  const auto found = static_cast<int64_t>(tensor.bytes.size());
  if (tensor.dtype == "U8" && found == expected) return;
  fail(Code::corrupt, tensor,
       "expected " + std::to_string(expected) + " bytes of U8, found " + std::to_string(found) +
           " of " + tensor.dtype);
}

std::string sizes_text(int64_t out_features, int64_t in_features) {
  return std::to_string(out_features) + "x" + std::to_string(in_features);
}

}  // namespace

bool is_packed(const Tensor& tensor) { return note_word(tensor.note, "panels").has_value(); }

Linear packed_linear(const Tensor& tensor, int64_t out_features, int64_t in_features) {
  check_version(tensor, "panels");
  const std::string_view name = note_word(tensor.note, "format").value_or("");
  const std::optional<Format> format = find_format(name);
  if (!format || (!is_integer(*format) && *format != Format::bf16)) {
    fail(Code::unsupported, tensor, "unknown packed format '" + std::string(name) + "'");
  }
  const std::string_view sizes = note_word(tensor.note, "sizes").value_or("");
  if (sizes != sizes_text(out_features, in_features)) {
    fail(Code::corrupt, tensor,
         "expected " + sizes_text(out_features, in_features) + " (outputs x inputs), found " +
             std::string(sizes));
  }
  Linear linear;
  linear.out_features = out_features;
  linear.in_features = in_features;
  linear.format = *format;
  check_bytes(tensor, linear.n_panels() * linear.panel_bytes());
  if (reinterpret_cast<uintptr_t>(tensor.bytes.data()) % kAlignment != 0) {
    fail(Code::corrupt, tensor, "its data do not begin at a multiple of 64 bytes");
  }
  linear.bytes = tensor.bytes;
  linear.file = tensor.file;
  return linear;
}

Tensor packed_rows(const Tensor& tensor, int64_t n_rows, int64_t n_cols) {
  check_version(tensor, kRowsNote);
  const std::string_view name = note_word(tensor.note, "format").value_or("");
  if (name != format_info(Format::int8).name) {
    fail(Code::unsupported, tensor, "unknown format of rows '" + std::string(name) + "'");
  }
  check_bytes(tensor, n_rows * row_bytes(Format::int8, n_cols));
  Tensor table = tensor;
  table.format = Format::int8;
  return table;
}

StoredTensor stored_rows(std::string name, Format format, int64_t n_rows, int64_t n_cols) {
  return {.name = std::move(name),
          .dtype = "U8",
          .shape = {n_rows, row_bytes(format, n_cols)},
          .n_bytes = n_rows * row_bytes(format, n_cols),
          .note = std::string(kRowsNote) + "=" + std::string(kLayoutVersion) +
                  " format=" + std::string(format_info(format).name)};
}

StoredTensor stored_linear(std::string name, const Linear& linear) {
  return {.name = std::move(name),
          .dtype = "U8",
          .shape = {linear.n_panels(), linear.panel_bytes()},
          .n_bytes = linear.n_panels() * linear.panel_bytes(),
          .note = "panels=" + std::string(kLayoutVersion) +
                  " format=" + std::string(format_info(linear.format).name) +
                  " sizes=" + sizes_text(linear.out_features, linear.in_features)};
}

}  // namespace dbrx
