// Taking a set of locks. Renewing and releasing one: lock_sets.cpp.

#include "core/lock_sets.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::core {
namespace {

// A first grant that is younger than a tenth of its ttl needs no renewal before the set is told.
constexpr int kFreshFraction = 10;

}  // namespace

// One lock of the set; it listens to the watchdog on its shard's thread, and tells the set at home.
class LockSet::Lock final : public LeaseListener {
public:
    Lock(LockSet& set, LockName wanted) : name(std::move(wanted)), set_(set) {}

    const LockName name;
    std::optional<Grant> grant;      // held, and not given up
    LockManager::Ticket ticket = 0;  // of its acquire; its shard's thread alone

    void renewed(Instant) override {}
    void anchored(Instant, Ttl, Instant) override {}
    void converted(const Lease&, Instant) override {}  // of no use with a lease id of several
    void at_risk(Instant, std::string_view) override {}
    void recovered(Instant) override {}
    void revoke_requested(Instant, std::string_view) override {}
    bool hangs_on_stream() const override { return false; }
    void moving(Instant) override {}  // the set hears of the draining by its acquire, if it has one
    void lost(LossCause cause, std::string_view why) override {
        const bool store_away = cause == LossCause::deadline;
        tell(store_away ? Reason::store_unavailable : Reason::lease_lost, why);
    }
    void released(const Released&) override { tell(Reason::lease_lost, "it was released"); }

private:
    void tell(Reason reason, std::string_view why) {
        set_.at_home([this, reason, why = std::string{why}](LockSet& set) {
            set.on_lost(*this, reason, why);
        });
    }

    LockSet& set_;  // which owns this
};

LockSet::LockSet(const Clock& clock, Post post, SetRequest request)
    : clock_(clock),
      post_(std::move(post)),
      request_id_(std::move(request.request_id)),
      each_(std::move(request.each)) {
    std::sort(request.names.begin(), request.names.end(), [](const auto& a, const auto& b) {
        return a.text() < b.text();
    });
    if (request_id_) {
        secret_ = request_id_->secret_for(request.names);
    }
    for (LockName& name : request.names) {
        locks_.push_back(std::make_unique<Lock>(*this, std::move(name)));
    }
}

LockSet::~LockSet() = default;

void LockSet::start(Done<SetGrant> done) {
    done_ = std::move(done);
    post_(home(), [self = shared_from_this()](LockManager& manager) {
        if (!self->request_id_) {
            self->secret_ = manager.new_secret();
        }
        self->take_next();
    });
}

const LockName& LockSet::home() const {
    return locks_.front()->name;
}

template <class What>
void LockSet::at_home(What what) {
    post_(home(), [self = shared_from_this(), what = std::move(what)](LockManager&) mutable {
        what(*self);
    });
}

void LockSet::take_next() {
    Lock& lock = *locks_[next_];
    AcquireRequest request = each_;
    request.name = lock.name;
    request.holder = holder_in_set(secret_, lock.name);
    request.holder_is_new = !request_id_;
    request.max_hold = Milliseconds{0};  // counted from when all are held
    request.listener = {shared_from_this(), &lock};
    post_(lock.name,
          [self = shared_from_this(), &lock, request = std::move(request)](auto& manager) mutable {
              lock.ticket =
                  manager.acquire(std::move(request), [self, &lock](Result<Grant> granted) {
                      self->at_home([&lock, granted = std::move(granted)](LockSet& set) mutable {
                          set.on_answer(lock, std::move(granted));
                      });
                  });
          });
}

void LockSet::on_answer(Lock& lock, Result<Grant> granted) {
    if (granted) {
        lock.grant = *granted;
    }
    if (state_ != State::taking) {
        give_up();  // it came too late
    } else if (!granted) {
        refuse(lock, std::move(granted).error());
    } else if (++next_ < locks_.size()) {
        take_next();
    } else if (clock_.now() < first_sent_at() + each_.ttl.value / kFreshFraction) {
        hold();
    } else {
        renew_all();
    }
}

void LockSet::renew_all() {
    state_ = State::renewing;
    missing_ = locks_.size();
    for (const auto& place : locks_) {
        Lock& lock = *place;
        post_(lock.name,
              [self = shared_from_this(), &lock, lease = lock.grant->lease](LockManager& manager) {
                  manager.renew(
                      lease,
                      self->each_.ttl,
                      {self->each_.received_at, self->each_.call_deadline},
                      [self, &lock](Result<Grant> renewed) {
                          self->at_home([&lock, renewed = std::move(renewed)](LockSet& set) {
                              set.on_renewed(lock, renewed);
                          });
                      });
              });
    }
}

void LockSet::on_renewed(Lock& lock, Result<Grant> renewed) {
    if (state_ != State::renewing) {
        return;
    }
    if (!renewed) {
        refuse(lock, std::move(renewed).error());
        return;
    }
    lock.grant->sent_at = renewed->sent_at;
    if (--missing_ == 0) {
        hold();
    }
}

void LockSet::hold() {
    state_ = State::held;
    if (each_.max_hold == Milliseconds{0}) {
        stop_renewals();
    } else {
        for (const auto& lock : locks_) {
            post_(lock->name,
                  [self = shared_from_this(), &lock = *lock, lease = lock->grant->lease](
                      LockManager& manager) { manager.cap(lease, &lock, self->each_.max_hold); });
        }
    }
    std::exchange(done_, nullptr)(grant());
}

void LockSet::on_lost(Lock& lock, Reason reason, std::string_view why) {
    if (state_ == State::held) {
        state_ = State::over;
        stop_renewals();
    } else if (state_ != State::over) {
        refuse(lock,
               {reason,
                "it was lost again before all the others could be had: " + std::string{why} +
                    "; nothing is held; ask again"});
    }
}

void LockSet::stop_renewals() {
    for (const auto& lock : locks_) {
        post_(lock->name,
              [self = shared_from_this(), &lock = *lock, lease = lock->grant->lease](
                  LockManager& manager) { manager.detach(lease, &lock, Milliseconds{0}); });
    }
}

void LockSet::cancel() {
    at_home([](LockSet& set) {
        if (set.state_ == State::taking || set.state_ == State::renewing) {
            set.done_ = nullptr;
            set.give_up();
        }
    });
}

void LockSet::abandon() {
    at_home([](LockSet& set) { set.give_up(); });
}

void LockSet::give_up() {
    if (state_ == State::taking) {
        Lock& lock = *locks_[next_];
        post_(lock.name, [self = shared_from_this(), &lock](LockManager& manager) {
            manager.cancel_acquire(lock.ticket);  // of no effect if it has ended
        });
    }
    state_ = State::over;
    for (const auto& lock : locks_) {
        if (const auto grant = std::exchange(lock->grant, std::nullopt)) {
            post_(lock->name, [grant = *grant](LockManager& manager) { manager.abandon(grant); });
        }
    }
}

void LockSet::refuse(const Lock& lock, Error error) {
    give_up();
    std::exchange(done_, nullptr)(tl::unexpected(of_lock(lock.name, std::move(error))));
}

Instant LockSet::first_sent_at() const {
    Instant first = kNever;
    for (const auto& lock : locks_) {
        first = std::min(first, lock->grant->sent_at);
    }
    return first;
}

SetGrant LockSet::grant() const {
    SetGrant grant{{secret_, {}}, each_.ttl, first_sent_at()};
    for (const auto& lock : locks_) {
        grant.set.leases.push_back(lock->grant->lease);
    }
    return grant;
}

}  // namespace holdfast::core
