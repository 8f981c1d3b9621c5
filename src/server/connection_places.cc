#include "server/connection_places.h"

#include <algorithm>
#include <utility>

namespace dbrx {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using boost::asio::ip::make_address_v4;
using boost::asio::ip::v4_mapped;

// A request that was sent at once has come by then: a busy server must not close one new connection
// for the next.
constexpr std::chrono::milliseconds kGrace{1000};

// An IPv6 host has all addresses of its network's first half.
std::string bytes_of(const address& peer) {
  const auto text = [](const auto& bytes, size_t n) {
    return std::string(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
  };
  if (peer.is_v4()) return text(peer.to_v4().to_bytes(), 4);
  if (peer.to_v6().is_v4_mapped())
    return text(make_address_v4(v4_mapped, peer.to_v6()).to_bytes(), 4);
  return text(peer.to_v6().to_bytes(), 8);
}

bool is_this_machine(const address& peer) {
  if (peer.is_v6() && peer.to_v6().is_v4_mapped()) {
    return make_address_v4(v4_mapped, peer.to_v6()).is_loopback();
  }
  return peer.is_loopback();
}

}  // namespace

ConnectionPlaces::Place::Place(ConnectionPlaces& places, std::string peer, Lack lack)
    : places_(places), peer_(std::move(peer)), lack_(lack) {
  if (is_spare()) {
    ++places_.n_spare_;
  } else {
    ++places_.n_of_peer_[peer_];
    ++places_.n_regular_;
  }
  begin(State::idle);
}

void ConnectionPlaces::Place::handshake_failed() {
  if (state_ != State::left) ++places_.counts_.failed_handshakes;
}

std::string ConnectionPlaces::Place::reason() const {
  if (lack_ == Lack::of_peer) {
    return "your address has as many connections as one may have (--max-connections-per-peer): "
           "try again later";
  }
  return "the server has " + std::to_string(places_.all_) +
         " connections, as many as it takes (--max-connections): try again later";
}

void ConnectionPlaces::Place::enter(State state) {
  if (state_ == State::left) return;  // it made room, and its connection has not seen that yet
  end();
  begin(state);
}

void ConnectionPlaces::Place::leave() {
  if (state_ == State::left) return;
  end();
  state_ = State::left;
  if (is_spare()) {
    --places_.n_spare_;
    if (!served_) places_.count_refusal(lack_);
    return;
  }
  --places_.n_regular_;
  const auto found = places_.n_of_peer_.find(peer_);
  if (--found->second == 0) places_.n_of_peer_.erase(found);
}

void ConnectionPlaces::Place::begin(State state) {
  state_ = state;
  since_ = Clock::now();
  ++(state == State::idle ? places_.counts_.idle : places_.counts_.active);
  if (state != State::working) in_line_ = line().insert(line().end(), this);
}

void ConnectionPlaces::Place::end() {
  --(state_ == State::idle ? places_.counts_.idle : places_.counts_.active);
  if (state_ != State::working) line().erase(in_line_);
}

ConnectionPlaces::Line& ConnectionPlaces::Place::line() {
  return is_spare() ? places_.spare_line_ : places_.regular_line_;
}

std::unique_ptr<ConnectionPlaces::Place> ConnectionPlaces::take(const address& peer_address) {
  ++counts_.accepted;
  const std::string peer = bytes_of(peer_address);
  const int64_t bound = bound_of(peer_address);
  const auto found = n_of_peer_.find(peer);
  const int64_t n = found == n_of_peer_.end() ? 0 : found->second;
  Lack lack = Lack::none;
  if (bound > 0 && n >= bound && !make_room(regular_line_, peer, kGrace)) {
    lack = Lack::of_peer;
  } else if (n_regular_ >= all_ && !make_room(regular_line_, "", kGrace)) {
    lack = Lack::of_places;
  }
  const bool has_place = lack == Lack::none || n_spare_ < kSpare ||
                         make_room(spare_line_, "", std::chrono::milliseconds(0));
  if (!has_place) {
    count_refusal(lack);
    return nullptr;
  }
  return std::make_unique<Place>(*this, peer, lack);
}

int64_t ConnectionPlaces::bound_of(const address& peer) const {
  if (per_peer_) return *per_peer_;
  return is_this_machine(peer) ? 0 : std::max<int64_t>(all_ / 2, 1);
}

// Closes the one of the peer (empty: of all) that has waited longest, and for so long at least.
bool ConnectionPlaces::make_room(Line& line, const std::string& peer,
                                 std::chrono::milliseconds grace) {
  const auto now = Place::Clock::now();
  for (Place* place : line) {
    if (now - place->since_ < grace) return false;  // and all behind it
    if (!peer.empty() && place->peer_ != peer) continue;
    if (!place->is_spare()) ++counts_.closed_for_room;
    place->leave();
    place->close_();
    return true;
  }
  return false;
}

void ConnectionPlaces::count_refusal(Lack lack) {
  ++(lack == Lack::of_peer ? counts_.refused_of_peer : counts_.refused_full);
}

std::string ConnectionPlaces::news() {
  const HttpSample now = sample();
  std::string text;
  const auto tell = [&](int64_t n, const std::string& what) {
    if (n > 0) text += (text.empty() ? "" : "; ") + std::to_string(n) + " " + what;
  };
  tell(now.refused_full - told_.refused_full,
       "turned away: all " + std::to_string(all_) + " are in use (--max-connections)");
  tell(now.refused_of_peer - told_.refused_of_peer,
       "turned away: their peer has as many as one may have (--max-connections-per-peer)");
  tell(now.closed_for_room - told_.closed_for_room, "that waited closed to make room");
  told_ = now;
  return text;
}

HttpSample ConnectionPlaces::sample() const {
  return {.idle_connections = counts_.idle,
          .active_connections = counts_.active,
          .accepted = counts_.accepted,
          .refused_full = counts_.refused_full,
          .refused_of_peer = counts_.refused_of_peer,
          .failed_handshakes = counts_.failed_handshakes,
          .closed_for_room = counts_.closed_for_room};
}

}  // namespace dbrx
