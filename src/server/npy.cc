#include "server/npy.h"

#include <openssl/evp.h>

#include <limits>

#include "base/error.h"

namespace dbrx {
namespace {

// Magic, version and the length of the header that follows.
constexpr size_t kPreambleBytes = 10;
constexpr size_t kAlignment = 64;  // of the values, in the file

void append_little_endian(std::string& out, uint16_t value) {
  out.push_back(static_cast<char>(value & 0xFF));
  out.push_back(static_cast<char>(value >> 8));
}

}  // namespace

// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
std::string npy_file(std::span<const uint16_t> values, std::array<size_t, 3> shape,
                     uint16_t largest) {
  CHECK_EQ(values.size(), shape[0] * shape[1] * shape[2]);
  const bool narrow = largest <= std::numeric_limits<uint8_t>::max();
  std::string header = narrow ? "{'descr': '|u1'" : "{'descr': '<u2'";
  header += ", 'fortran_order': False, 'shape': (" + std::to_string(shape[0]) + ", " +
            std::to_string(shape[1]) + ", " + std::to_string(shape[2]) + "), }";
  const size_t n_used = kPreambleBytes + header.size() + 1;  // with the line's end
  header.append((kAlignment - n_used % kAlignment) % kAlignment, ' ');
  header.push_back('\n');

  std::string file("\x93NUMPY\x01\x00", 8);
  append_little_endian(file, static_cast<uint16_t>(header.size()));
  file += header;
  file.reserve(file.size() + values.size() * (narrow ? 1 : 2));
  for (const uint16_t value : values) {
    if (narrow) {
      file.push_back(static_cast<char>(value));
    } else {
      append_little_endian(file, value);
    }
  }
  return file;
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero
  CHECK_LE(text.size(), size_t{std::numeric_limits<int>::max()});
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(n));
  return text;
}

}  // namespace dbrx
