// A matrix that somebody else owns. Copied by value.
#pragma once

#include <cstdint>

namespace dbrx {

// Row-major; rows may be further apart than they are long.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // values from one row to the next, >= cols

  [[gnu::always_inline]] T* row(int64_t i) const { return data + i * stride; }
  [[gnu::always_inline]] MatrixView columns(int64_t first, int64_t n) const {
    return {data + first, rows, n, stride};
  }
  [[gnu::always_inline]] MatrixView rows_from(int64_t first, int64_t n) const {
    return {data + first * stride, n, cols, stride};
  }
  // A view of const values where one of mutable values is at hand.
  [[gnu::always_inline]] operator MatrixView<const T>()
      const {  // NOLINT(google-explicit-constructor)
    return {data, rows, cols, stride};
  }
};

}  // namespace dbrx
