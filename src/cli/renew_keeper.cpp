#include "cli/renew_keeper.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::cli {

using std::chrono::milliseconds;

RenewKeeper::RenewKeeper(std::string server,
                         v1::AcquireAllRequest request,
                         milliseconds obtain_within)
    : Keeper(std::move(server)), request_(std::move(request)), obtain_within_(obtain_within) {}

std::optional<Told> RenewKeeper::turn() {
    std::optional<Told> told;
    switch (state_) {
        case State::asking:
            told = ask();
            break;
        case State::held:
            if (boot_now() >= believe_until()) {
                told = over(lost("it could not be renewed in time"));
            } else if (boot_now() >= renewal_due()) {
                told = renew();
            }
            break;
        case State::over:
            break;
    }
    if (told && told->kind == Told::Kind::over) {
        state_ = State::over;
    }
    return told;
}

BootTime RenewKeeper::turn_at() const {
    return state_ == State::held ? std::min(renewal_due(), believe_until()) : BootTime::max();
}

milliseconds RenewKeeper::ttl() const {
    milliseconds shortest = milliseconds::max();
    for (const v1::Lease& lease : held_.response.leases()) {
        shortest = std::min(shortest, milliseconds{lease.ttl_ms()});
    }
    return shortest;
}

std::vector<std::uint64_t> RenewKeeper::tokens() const {
    std::vector<std::uint64_t> tokens;
    for (const v1::Lease& lease : held_.response.leases()) {
        tokens.push_back(lease.fencing_token());
    }
    return tokens;
}

std::optional<Told> RenewKeeper::ask() {
    auto held = Client{server(), obtain_within_}.acquire_all(request_);
    if (!held) {
        return over(held.error());
    }
    if (held->response.leases_size() != request_.names_size()) {
        return over(Failure{ExitCode::failed, "PROTOCOL", "the daemon granted other locks", {}});
    }
    held_ = *std::move(held);
    state_ = State::held;
    if (safe_for() < ttl() / 2) {  // it came late: too little is left to begin with
        if (auto gone = renew()) {
            return gone;
        }
    }
    return Told{Told::Kind::granted, {}, {}};
}

void RenewKeeper::renewed(const Held& held) {
    held_.believe_until = std::max(held_.believe_until, held.believe_until);
}

BootTime RenewKeeper::renewal_due() const {
    return renew_at(believe_until() - ttl() * 2 / 3);
}

}  // namespace holdfast::cli
