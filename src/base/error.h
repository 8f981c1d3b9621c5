// Errors of the two kinds that the house knows. A bug (our own mistake) fails a CHECK, prints both
// values and aborts. The world (file, flag, request, memory) throws Error with a message that says
// what, where and what to do. Error is caught in four places only: main, the HTTP handler, a step
// of the engine, and the admission of one request.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace dbrx {

enum class Code {
  invalid_argument,    // the caller can mend it: flag, request, config value
  not_found,           // a file, tensor or model that is not there
  unsupported,         // valid, but this program can't do it (yet)
  corrupt,             // a file whose content contradicts itself or its header
  resource_exhausted,  // memory, queue, file descriptors
  unavailable,         // shutting down, still loading
  internal,            // a failure that the user can't mend
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

namespace check_detail {

[[noreturn]] void fail(const char* file, int line, const std::string& what);

template <typename A, typename B>
std::string describe(const char* text, const A& a, const B& b) {
  std::ostringstream out;
  out << text << " (" << a << " vs " << b << ")";
  return out.str();
}

}  // namespace check_detail
}  // namespace dbrx

// Aborts when the condition, an invariant of our own code, does not hold.
#define CHECK(cond) \
  ((cond) ? (void)0 : ::dbrx::check_detail::fail(__FILE__, __LINE__, "CHECK failed: " #cond))
#define CHECK_OP(a, op, b)                  \
  (((a)op(b)) ? (void)0                     \
              : ::dbrx::check_detail::fail( \
                    __FILE__, __LINE__,     \
                    ::dbrx::check_detail::describe("CHECK failed: " #a " " #op " " #b, a, b)))
#define CHECK_EQ(a, b) CHECK_OP(a, ==, b)
#define CHECK_LE(a, b) CHECK_OP(a, <=, b)
#define CHECK_LT(a, b) CHECK_OP(a, <, b)
