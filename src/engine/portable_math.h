// exp and log in double, written with additions and multiplications only, so that sampled tokens
// and logprobs have the same bits on every CPU: the C library picks other code where it finds FMA.
#pragma once

#include <bit>
#include <cstdint>

namespace dbrx {

// e^x for x <= 0; 0 below -708, where the result would be denormal. Relative error below 4e-16.
// k = x / ln 2 rounded to nearest, r = x - k ln 2 (ln 2 in two parts), Taylor of degree 13 in r by
// Horner, times 2^k.
inline double portable_exp(double x) {
  if (!(x > -708)) return 0;
  constexpr double kToInteger = 0x1.8p52;  // adding it rounds to an integer in the low bits
  const double shifted = x * 0x1.71547652b82fep+0 + kToInteger;
  const double k = shifted - kToInteger;
  const double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
  double sum = 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  const auto exponent = static_cast<int64_t>(k) + 1023;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(exponent) << 52);
}

// ln x for normal x > 0. Relative error below 4e-16 of max(1, |ln x|).
// x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = (m - 1) / (m + 1), ln m = 2 (f + f^3/3 + ... +
// f^21/21).
inline double portable_log(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffff) | uint64_t{1023} << 52);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double f = (m - 1) / (m + 1);
  const double f2 = f * f;
  double sum = 1.0 / 21;
  for (int odd = 19; odd >= 1; odd -= 2) sum = sum * f2 + 1.0 / odd;
  const auto e = static_cast<double>(exponent);
  return e * 0x1.62e42feep-1 + (e * 0x1.a39ef35793c76p-33 + 2 * f * sum);
}

}  // namespace dbrx
