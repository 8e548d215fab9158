#include "core/flight_recorder.hpp"

namespace holdfast::core {

const char* to_string(Happening what) {
    switch (what) {
        case Happening::granted:
            return "granted";
        case Happening::released:
            return "released";
        case Happening::expired:
            return "expired";
        case Happening::lost:
            return "lost";
        case Happening::revoked:
            return "revoked";
        case Happening::moved:
            return "moved";
        case Happening::cancelled:
            return "cancelled";
    }
    return "?";
}

Happening happening_of(LossCause cause) {
    switch (cause) {
        case LossCause::deadline:
        case LossCause::max_hold:
            return Happening::expired;
        case LossCause::taken:
            return Happening::lost;
        case LossCause::revoked:
            return Happening::revoked;
        case LossCause::moved:
            return Happening::moved;
    }
    return Happening::lost;
}

FlightRecorder::FlightRecorder(std::size_t slots) : size_(slots) {
    slots_.reserve(size_);
}

void FlightRecorder::record(
    Instant at, Happening what, const LockName& name, FencingToken token, std::string_view owner) {
    if (slots_.size() < size_) {
        slots_.emplace_back();
    }
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % size_;
    slot.at = at;
    slot.what = what;
    slot.token = token;
    slot.name.assign(name.text());
    slot.owner.assign(owner);
}

std::vector<FlightRecorder::Transition> FlightRecorder::of(const LockName& name,
                                                           std::size_t most) const {
    std::vector<Transition> found;
    for (std::size_t back = 1; back <= slots_.size(); ++back) {
        const Slot& slot = slots_[(next_ + size_ - back) % size_];
        if (slot.name != name.text()) {
            continue;
        }
        if (slot.what == Happening::granted) {
            for (Transition& later : found) {
                if (later.token == slot.token && later.owner.empty()) {
                    later.owner = slot.owner;
                }
            }
        }
        if (found.size() < most) {
            found.push_back({slot.at, slot.what, slot.token, slot.owner});
        }
    }
    return found;
}

}  // namespace holdfast::core
