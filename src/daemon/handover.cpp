#include "daemon/handover.hpp"

#include <vector>

namespace holdfast::daemon {
namespace {

constexpr core::Milliseconds kAgain{300};
// At a time: some 300 kB of messages, and as many scripts at whoever takes them.
constexpr std::size_t kAtOnce = 1000;

}  // namespace

void Handover::begin() {
    peers_.leave([this] {
        offering_ = true;
        offer();
    });
}

void Handover::offer() {
    std::vector<store::Offers::Offer> leases;
    for (const auto& one : manager_.unattended(kAtOnce)) {
        leases.push_back({one.lease, one.ttl, store_.store_time(one.until)});
    }
    alone_ = !leases.empty() && !peers_.offer(leases);
    again_.set(clock_.now() + kAgain, [this] { offer(); });  // calls under way may still bring some
}

bool Handover::over() const {
    return offering_ && (alone_ || left() == 0);
}

std::size_t Handover::left() const {
    return manager_.unattended(kAtOnce).size();
}

}  // namespace holdfast::daemon
