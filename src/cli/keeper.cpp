#include "cli/keeper.hpp"

#include <algorithm>
#include <poll.h>
#include <utility>

namespace holdfast::cli {

using std::chrono::milliseconds;

bool may_be_anothers(const Told& over) {
    switch (over.event.lost().cause()) {
        case v1::LOSS_CAUSE_DEADLINE:
        case v1::LOSS_CAUSE_REVOKED:
        case v1::LOSS_CAUSE_MAX_HOLD:
            return false;
        default:  // what this program does not know, too
            return true;
    }
}

milliseconds Keeper::safe_for() const {
    return std::max(milliseconds{0},
                    std::chrono::floor<milliseconds>(believe_until() - boot_now()));
}

void Keeper::wait() const {
    const auto left = std::chrono::ceil<milliseconds>(turn_at() - boot_now());
    pollfd watched{fd(), POLLIN, 0};
    poll(&watched, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000)));
}

std::optional<Told> Keeper::renew() {
    const auto usual = std::clamp(ttl() / 6, kRetry, kLongestCall);
    const auto left = safe_for();  // nothing to believe yet: the grant came late
    const auto timeout = left > milliseconds{0} ? std::min(usual, left) : usual;
    const auto held = Client{server_, timeout}.renew(lease_id(), ttl());
    if (held) {
        not_before_ = BootTime{};
        renewed(*held);
        return {};
    }
    not_before_ = boot_now() + kRetry;
    const bool gone =
        held.error().code == ExitCode::lost || held.error().code == ExitCode::not_found;
    if (held.error().metadata.contains("revoked")) {  // still good until the deadline
        v1::LeaseEvent event;
        event.mutable_lost()->set_cause(v1::LOSS_CAUSE_REVOKED);
        return over(lost("it was revoked"), std::move(event));
    }
    return gone ? std::optional{over(lost("it is another's now, or the store forgot it"))}
                : std::nullopt;
}

Told Keeper::over(std::optional<Failure> failure, v1::LeaseEvent event) {
    return {Told::Kind::over, std::move(event), std::move(failure)};
}

Failure Keeper::lost(const std::string& why) {
    return {ExitCode::lost, "LEASE_LOST", why, {}};
}

}  // namespace holdfast::cli
