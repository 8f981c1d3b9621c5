// The files that HTTPS needs.
#pragma once

#include <cstdint>
#include <string>

namespace dbrx {

// PEM files; both or none.
struct TlsFiles {
  std::string certificate;  // its chain included
  std::string key;          // without a password: there is nobody to ask
};

// Throws Error that names the file which can't be used. Returns when the first certificate of the
// chain expires, in seconds since 1970.
int64_t check_tls_files(const TlsFiles& files);

}  // namespace dbrx
