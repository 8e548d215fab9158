#pragma once

#include "core/clock.hpp"

namespace holdfast::test {

// A clock that a test moves.
class ManualClock final : public core::Clock {
public:
    core::Instant now() const noexcept override { return now_; }
    void advance(core::Duration by) { now_ += by; }
    void set(core::Instant to) { now_ = to; }

private:
    core::Instant now_{std::chrono::hours{1}};
};

}  // namespace holdfast::test
