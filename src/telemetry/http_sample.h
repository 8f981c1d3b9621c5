// The counters of the HTTP server at one moment.
#pragma once

#include <cstdint>
#include <functional>

namespace dbrx {

struct HttpSample {
  int64_t idle_connections = 0;  // that wait for a request, or have not finished their handshake
  int64_t active_connections = 0;
  int64_t accepted = 0;           // since the start, as all below
  int64_t refused_full = 0;       // all connections were taken
  int64_t refused_of_peer = 0;    // the peer had as many as one may have
  int64_t failed_handshakes = 0;  // of TLS
  int64_t closed_for_room = 0;    // idle ones, for new ones
  int64_t body_bytes = 0;         // of requests that arrive, or were not read by their handlers yet
  int64_t bodies_refused = 0;     // for want of memory
};

// May be called from any thread.
using SampleHttp = std::function<HttpSample()>;

}  // namespace dbrx
