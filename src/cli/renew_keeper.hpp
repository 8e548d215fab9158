#pragma once

// Keeps several locks, taken by AcquireAll under one lease: renewed by us, a third of the ttl after the
// last grant or renewal was sent, and again after kRetry for as long as it fails. What happens meanwhile
// is learned from that alone: nothing is pushed.

#include "cli/keeper.hpp"

namespace holdfast::cli {

class RenewKeeper final : public Keeper {
public:
    RenewKeeper(std::string server,
                v1::AcquireAllRequest request,
                std::chrono::milliseconds obtain_within);

    std::optional<Told> turn() override;
    BootTime turn_at() const override;

    const std::string& lease_id() const override { return held_.response.lease_id(); }
    std::chrono::milliseconds ttl() const override;
    BootTime believe_until() const override { return held_.believe_until; }
    std::vector<std::uint64_t> tokens() const override;

private:
    enum class State { asking, held, over };

    std::optional<Told> ask();
    void renewed(const Held& held) override;
    BootTime renewal_due() const;

    const v1::AcquireAllRequest request_;
    const std::chrono::milliseconds obtain_within_;
    State state_ = State::asking;
    HeldAll held_;
};

}  // namespace holdfast::cli
