// Who may have a connection. There are places for all together and a bound for each peer's address.
// Where none is left, the connection that has waited longest for a request is closed for the new
// one. Who finds no place even so gets a spare one, on which probes are answered and others are
// told why they are not. The I/O thread's, but for sample(). Included by http*.cc only.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "telemetry/http_sample.h"

namespace dbrx {

class ConnectionPlaces {
 public:
  // per_peer: none: half of all, for peers other than this machine; 0: no bound.
  ConnectionPlaces(int64_t all, std::optional<int64_t> per_peer) : all_(all), per_peer_(per_peer) {}

  enum class Lack { none, of_places, of_peer };

  // One connection's. Idle at first.
  class Place {
   public:
    Place(ConnectionPlaces& places, std::string peer, Lack lack);
    ~Place() { leave(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Closes the connection; called when it has to make room.
    void set_close(std::function<void()> close) { close_ = std::move(close); }

    // What the connection does from now on: it waits for a request; or reads a head or ends, and
    // may be closed for others as before; or works, and may not.
    void wait() { enter(State::idle); }
    void be_closable() { enter(State::closable); }
    void work() { enter(State::working); }

    bool is_spare() const { return lack_ != Lack::none; }
    // Of a spare place: it has answered a probe, so its client was not refused.
    void has_served() { served_ = true; }
    void handshake_failed();
    // Why there was no other, in words for the client.
    std::string reason() const;
    // Of the peer, the same for all addresses that one bound is for.
    const std::string& peer() const { return peer_; }

   private:
    friend class ConnectionPlaces;
    using Clock = std::chrono::steady_clock;
    enum class State { idle, closable, working, left };

    void enter(State state);
    void leave();  // for good
    void begin(State state);
    void end();
    std::list<Place*>& line();

    ConnectionPlaces& places_;
    const std::string peer_;
    const Lack lack_;
    bool served_ = false;
    State state_ = State::idle;
    Clock::time_point since_;
    std::list<Place*>::iterator in_line_;  // while idle or closable
    std::function<void()> close_;
  };

  // Null: there is not even a spare place, and the connection can only be closed.
  std::unique_ptr<Place> take(const boost::asio::ip::address& peer);

  // How many spare places there are, beside all others.
  static constexpr int64_t kSpare = 64;

  // What happened since the last call, for the log; empty: nothing that an operator should know.
  std::string news();

  HttpSample sample() const;  // without bodies. Any thread

 private:
  using Line = std::list<Place*>;  // that may be closed, who came first in front
  struct Counts {
    std::atomic<int64_t> idle{0}, active{0}, accepted{0}, refused_full{0}, refused_of_peer{0},
        failed_handshakes{0}, closed_for_room{0};
  };

  int64_t bound_of(const boost::asio::ip::address& peer) const;  // 0: none
  bool make_room(Line& line, const std::string& peer, std::chrono::milliseconds grace);
  void count_refusal(Lack lack);

  const int64_t all_;
  const std::optional<int64_t> per_peer_;
  int64_t n_regular_ = 0;
  int64_t n_spare_ = 0;
  std::map<std::string, int64_t> n_of_peer_;  // of regular places
  Line regular_line_, spare_line_;
  Counts counts_;
  HttpSample told_;  // at the last news()
};

}  // namespace dbrx
