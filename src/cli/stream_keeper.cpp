#include "cli/stream_keeper.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskAgain{200};
constexpr milliseconds kFirstReopen{50};
constexpr milliseconds kLongestReopen{2000};  // between two tries to open a stream that broke
constexpr milliseconds kLeastPatience{1000};  // with a stream that was opened and does not answer

}  // namespace

StreamKeeper::StreamKeeper(std::string server, v1::AcquireRequest request, BootTime obtain_by)
    : Keeper(std::move(server)), request_(std::move(request)), obtain_by_(obtain_by) {}

std::optional<Told> StreamKeeper::turn() {
    wake_.clear();  // before the look, so that what comes after it wakes again
    std::optional<Told> told = look();
    if (told && told->kind == Told::Kind::over) {
        state_ = State::over;
        stream_.reset();
    }
    return told;
}

std::optional<Told> StreamKeeper::look() {
    if (state_ == State::over) {
        return {};
    }
    if (stream_) {
        if (auto event = stream_->next()) {
            return on_event(*std::move(event));
        }
        if (const auto status = stream_->ended()) {
            stream_.reset();
            return on_end(*status);
        }
    }
    return on_time(boot_now());
}

BootTime StreamKeeper::turn_at() const {
    const BootTime reopen = connected_ ? BootTime::max() : stream_ ? open_until_ : open_at_;
    switch (state_) {
        case State::asking:
            return stream_ ? obtain_by_ : std::min(open_at_, obtain_by_);
        case State::held:
            return std::min({reopen, renewal_due(), believe_until()});
        case State::over:
            break;
    }
    return BootTime::max();
}

void StreamKeeper::open() {
    v1::AcquireRequest resume;
    if (state_ == State::held) {
        resume.set_resume_lease_id(lease_id());
        resume.set_ttl_ms(view_.lease().ttl_ms());
        resume.set_on_disconnect(request_.on_disconnect());
        resume.set_grace_ms(request_.grace_ms());
    }
    stream_ =
        std::make_unique<HoldStream>(server(), state_ == State::held ? resume : request_, wake_);
    open_until_ = stream_->sent_at() + std::max(ttl() / 2, kLeastPatience);
}

std::optional<Told> StreamKeeper::on_event(v1::LeaseEvent event) {
    switch (event.event_case()) {
        case v1::LeaseEvent::kGranted:
            return on_granted(std::move(event));
        case v1::LeaseEvent::kLost: {
            const std::string why = event.lost().why();
            return over(lost(why), std::move(event));
        }
        case v1::LeaseEvent::kReleased:
            return over({}, std::move(event));
        default:
            moving_ = moving_ || event.has_moving();
            view_.told(event);
            return Told{Told::Kind::event, std::move(event), {}};
    }
}

std::optional<Told> StreamKeeper::on_granted(v1::LeaseEvent event) {
    view_.opened(stream_->sent_at());
    view_.told(event);
    connected_ = true;
    moving_ = false;
    tries_ = 0;
    if (std::exchange(state_, State::held) == State::held) {
        return Told{Told::Kind::resumed, std::move(event), {}};
    }
    // It waited for long, or came late: too little is left to begin with.
    if (safe_for() < ttl() / 2) {
        if (auto gone = renew()) {
            return gone;
        }
    }
    return Told{Told::Kind::granted, std::move(event), {}};
}

std::optional<Told> StreamKeeper::on_end(const grpc::Status& status) {
    Failure failure = failure_of(status, server());
    const BootTime now = boot_now();
    if (state_ == State::asking) {
        open_at_ = now + kAskAgain;
        const bool again = failure.retry && !request_.request_id().empty() &&
                           request_.wait_ms() > 0 && open_at_ < obtain_by_;
        return again ? std::nullopt : std::optional{over(std::move(failure))};
    }
    if (failure.code == ExitCode::lost || failure.code == ExitCode::not_found) {
        return over(lost(failure.message));
    }
    if (request_.on_disconnect() == v1::ON_DISCONNECT_RELEASE_NOW && !moving_) {
        return over(lost("the connection broke, and the lock was to be released then"));
    }
    open_at_ = now + std::min(kFirstReopen * (1 << std::min(tries_++, 10)), kLongestReopen);
    if (!std::exchange(connected_, false)) {
        return on_time(now);  // it was told already
    }
    return Told{Told::Kind::broke, {}, std::move(failure)};
}

std::optional<Told> StreamKeeper::on_time(BootTime now) {
    if (state_ == State::asking) {
        if (now >= obtain_by_) {
            return over(failure_of({grpc::StatusCode::DEADLINE_EXCEEDED, ""}, server()));
        }
        if (!stream_ && now >= open_at_) {
            open();
        }
        return {};
    }
    if (now >= believe_until()) {
        return over(lost("it could not be renewed in time"));
    }
    if (!connected_ && stream_ && now >= open_until_) {
        stream_.reset();
    }
    if (!stream_ && now >= open_at_) {
        open();
    }
    return now >= renewal_due() ? renew() : std::nullopt;
}

void StreamKeeper::renewed(const Held& held) {
    view_.renewed(held.lease, held.sent_at);
}

// What the daemon renews is known at a third of the ttl.
BootTime StreamKeeper::renewal_due() const {
    const BootTime due = believe_until() - (connected_ ? ttl() / 2 : ttl() * 2 / 3);
    return renew_at(std::min(due, view_.new_anchor_at()));
}

}  // namespace holdfast::cli
