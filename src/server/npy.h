// Arrays in NumPy's file format, as texts that JSON can hold. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dbrx {

// A .npy file (format 1.0, C order) of an array of unsigned integers: of 8 bits if all integers up
// to `largest` fit, else of 16. No value is larger; there are as many as the shape says.
std::string npy_file(std::span<const uint16_t> values, std::array<size_t, 3> shape,
                     uint16_t largest);

// RFC 4648, padded.
std::string base64(std::string_view bytes);

}  // namespace dbrx
