#include "mixed_load.hpp"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace holdfast::e2e {
namespace {

using std::chrono::milliseconds;
using Time = Hold::Time;

// Until when a lease may be believed whose anchor is `sent_at`.
template <class Told>
Time deadline(Time sent_at, const Told& told) {
    return sent_at + milliseconds{told.elapsed_ms() + told.safe_for_ms()};
}

std::string name_of(const Answer& answer) {
    if (!answer.reason.empty()) {
        return answer.reason;
    }
    return answer.ok() ? "ok" : "status " + std::to_string(answer.status.error_code());
}

}  // namespace

// What one Hold stream has told so far. A thread of its own reads it to its end.
class MixedLoad::Streamed {
public:
    Streamed(MixedLoad& load, HoldStream& stream, Hold& hold)
        : load_(load), stream_(stream), hold_(hold), reader_([this] { read(); }) {}
    ~Streamed() { reader_.join(); }

    bool over() const { return over_; }
    Time told() const {
        const std::lock_guard lock{mutex_};
        return hold_.told;
    }

private:
    void read() {
        for (Event kind = stream_.next(); kind != Event::EVENT_NOT_SET; kind = stream_.next()) {
            const Time now = Steady::now();
            const std::lock_guard lock{mutex_};
            note(kind, now);
        }
        over_ = true;
    }

    void note(Event kind, Time now) {
        const pb::LeaseEvent& event = stream_.event;
        if (kind == Event::kRenewed) {
            hold_.told = deadline(stream_.sent_at, event.renewed().lease());
            load_.saw("renewed");
        } else if (kind == Event::kAtRisk) {
            hold_.told = deadline(stream_.sent_at, event.at_risk());
            load_.saw("at risk");
        } else if (kind == Event::kRecovered) {
            hold_.told = deadline(stream_.sent_at, event.recovered().lease());
            load_.saw("recovered");
        } else if (kind == Event::kLost) {
            hold_.lost = now;
            load_.saw("lost");
            if (event.lost().cause() == pb::LOSS_CAUSE_TAKEN) {
                hold_.denied = now;
            }
        }
    }

    MixedLoad& load_;
    HoldStream& stream_;
    Hold& hold_;
    mutable std::mutex mutex_;  // of hold_, until over_
    std::atomic<bool> over_{false};
    std::thread reader_;
};

class MixedLoad::Worker {
public:
    Worker(MixedLoad& load, int home, unsigned seed)
        : load_(load),
          home_(home),
          random_(seed),
          at_home_(load.daemons_[static_cast<std::size_t>(home)]),
          away_(load.daemons_[static_cast<std::size_t>(1 - home)]) {}

    void work() {
        while (!load_.stopping_) {
            const pb::AcquireRequest request = what();
            if (one_in(2)) {
                use_unary(request);
            } else {
                use_stream(request);
            }
        }
    }

private:
    bool one_in(unsigned n) { return n > 0 && random_() % n == 0; }
    bool leaves() { return one_in(load_.options_.leaves_one_in); }

    pb::AcquireRequest what() {
        static const char* const names[] = {"shared", "permits", "one", "two", "three"};
        const auto which = random_() % 5;
        auto request = Client::request(names[which], load_.options_.ttl, load_.options_.wait);
        if (which == 0) {
            request.set_mode(one_in(4) ? pb::MODE_EXCLUSIVE : pb::MODE_SHARED);
        } else if (which == 1) {
            request.set_mode(pb::MODE_PERMIT);
            request.set_permits(1 + random_() % 2);
            request.set_limit(3);
        } else {
            request.set_mode(pb::MODE_EXCLUSIVE);
        }
        return request;
    }

    static Hold hold_of(const pb::AcquireRequest& request, Time asked) {
        Hold hold;
        hold.name = request.name();
        hold.mode = request.mode();
        hold.permits = request.permits();
        hold.limit = request.limit();
        hold.asked = asked;
        return hold;
    }

    void waited(const pb::AcquireRequest& request, Time asked, Time answered) {
        load_.history.add(
            Wait{request.name(), home_, asked, asked + milliseconds{request.wait_ms()}, answered});
    }

    // Mostly short; now and then so long that the lease has to be renewed.
    Time work_end() {
        const auto ttl = static_cast<unsigned>(load_.options_.ttl.count());
        return Steady::now() + milliseconds{one_in(load_.options_.long_one_in)
                                                ? ttl / 2 + random_() % ttl
                                                : random_() % 20};
    }

    void pause_after(const Answer& answer) {
        load_.saw(name_of(answer));
        if (answer.status.error_code() == grpc::StatusCode::UNAVAILABLE) {
            const Time again = Steady::now() + 20ms;
            eventually([&] { return Steady::now() >= again; });
        }
    }

    void use_unary(const pb::AcquireRequest& request) {
        const Time asked = Steady::now();
        const Answer answer = at_home_.acquire(request);
        const Time answered = Steady::now();
        waited(request, asked, answered);
        if (!answer.ok()) {
            pause_after(answer);
            return;
        }
        load_.saw("granted");
        const pb::Lease lease = at_home_.lease;
        Hold hold = hold_of(request, asked);
        hold.token = lease.fencing_token();
        hold.granted = answered;
        hold.told = at_home_.believe_until();
        const Time end = work_end();
        // Some do not renew: they work up to the deadline.
        const auto interval = one_in(2) ? load_.options_.ttl / 3 : 2 * load_.options_.ttl;
        for (Time renew_at = answered + interval; work(std::min(end, renew_at), hold);
             renew_at += interval) {
            if (Steady::now() >= end || !renew(lease, hold)) {
                break;
            }
        }
        hold.ended = std::min(Steady::now(), hold.told);
        if (!leaves()) {
            release(lease.lease_id(), hold);
        }
        load_.history.add(hold);
    }

    // True if the lease can still be believed then.
    static bool work(Time until, const Hold& hold) {
        eventually([&] { return Steady::now() >= std::min(until, hold.told); }, 60s);
        return Steady::now() < hold.told;
    }

    // False if the lease is no more.
    bool renew(const pb::Lease& lease, Hold& hold) {
        Client& where = one_in(4) ? away_ : at_home_;
        const Answer answer = where.renew(lease.lease_id(), load_.options_.ttl);
        if (answer.ok()) {
            hold.told = where.believe_until();
            hold.token_later = where.lease.fencing_token();
            load_.saw("renewed by the client");
        } else if (answer.reason == "LEASE_LOST") {
            hold.denied = Steady::now();
        }
        return answer.reason != "LEASE_LOST";
    }

    void release(const std::string& lease_id, Hold& hold) {
        Client* where = one_in(4) ? &away_ : &at_home_;
        Answer answer = where->release(lease_id);
        if (answer.status.error_code() == grpc::StatusCode::UNAVAILABLE) {
            where = where == &away_ ? &at_home_ : &away_;
            answer = where->release(lease_id);
        }
        const Time now = Steady::now();
        if (!answer.ok()) {
            load_.saw("release: " + name_of(answer));
        } else if (where->released.verdict() == pb::VERDICT_HELD_THROUGHOUT) {
            hold.freed = now;
        } else {
            hold.denied = now;
        }
    }

    void use_stream(const pb::AcquireRequest& request) {
        HoldStream stream{at_home_, request};
        Hold hold = hold_of(request, stream.sent_at);
        Event kind = stream.next();
        if (kind == Event::kQueued) {
            hold.queued = Steady::now();
            if (leaves()) {
                return;  // cancels it
            }
            kind = stream.next();
        }
        hold.granted = Steady::now();
        waited(request, hold.asked, hold.granted);
        if (kind != Event::kGranted) {
            pause_after(stream.finish());
            return;
        }
        load_.saw("granted on a stream");
        hold.token = stream.lease.fencing_token();
        hold.told = deadline(stream.sent_at, stream.lease);
        if (hold.told < hold.granted + load_.options_.ttl / 2) {
            // The request was long under way, as it is to a daemon that stands still: counted from its
            // sending, every deadline on this stream would be too early. A client renews, or gives up.
            load_.saw("of no use");
            hold.ended = hold.granted;
        } else if (follow(stream, hold)) {
            resume(stream.lease.lease_id(), hold);
        }
        load_.history.add(hold);
    }

    // From the grant to the end of the stream. True if that broke, and the lease may still be believed.
    bool follow(HoldStream& stream, Hold& hold) {
        Streamed streamed{load_, stream, hold};
        const Time end = work_end();
        eventually(
            [&] { return streamed.over() || Steady::now() >= std::min(end, streamed.told()); },
            60s);
        const bool broken = streamed.over();
        const Time ended = std::min(Steady::now(), streamed.told());
        const bool expired = !broken && ended == streamed.told();
        Hold released;
        if (!broken && (expired || !leaves())) {
            if (!expired) {
                release(stream.lease.lease_id(), released);
            }
            if (!eventually([&] { return streamed.over(); }, 5s)) {
                load_.saw(expired ? "silent after the deadline" : "silent after the release");
            }
        }
        const bool listens = expired && !streamed.over();  // it is still open, and says nothing
        stream.cancel();
        eventually([&] { return streamed.over(); }, 60s);
        if (released.freed) {
            // Who was released elsewhere hears of it by pub/sub, or as a loss.
            hold.freed = released.freed;
            hold.lost = hold.denied = std::nullopt;
        } else {
            hold.denied = hold.denied ? hold.denied : released.denied;
        }
        hold.listens = listens || hold.lost;
        hold.ended = std::min(ended, hold.lost.value_or(ended));
        return broken && !hold.lost;
    }

    // The daemon has gone: the other takes the lease over.
    void resume(const std::string& lease_id, Hold& hold) {
        pb::AcquireRequest request;
        request.set_resume_lease_id(lease_id);
        request.set_ttl_ms(static_cast<std::uint64_t>(load_.options_.ttl.count()));
        HoldStream stream{away_, request};
        if (stream.next() == Event::kGranted) {
            load_.saw("resumed");
            hold.token_later = stream.lease.fencing_token();
            hold.told = deadline(stream.sent_at, stream.lease);
            hold.ended = std::min(Steady::now(), hold.told);
            release(lease_id, hold);
        } else if (stream.finish().reason == "LEASE_LOST") {
            hold.denied = Steady::now();
        }
    }

    MixedLoad& load_;
    const int home_;
    std::minstd_rand random_;
    Client at_home_;
    Client away_;
};

MixedLoad::MixedLoad(std::vector<std::string> daemons, Options options)
    : daemons_(std::move(daemons)), options_(options) {
    for (int i = 0; i < 2 * options.clients; ++i) {
        threads_.emplace_back([this, i] {
            Worker{*this, i % 2, options_.seed * 1000 + static_cast<unsigned>(i)}.work();
        });
    }
}

void MixedLoad::stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
        if (thread.joinable()) {
            thread.join();
        }
    }
}

void MixedLoad::saw(const std::string& what) {
    const std::lock_guard lock{mutex_};
    ++counts_[what];
}

int MixedLoad::count(const std::string& what) const {
    const std::lock_guard lock{mutex_};
    const auto found = counts_.find(what);
    return found == counts_.end() ? 0 : found->second;
}

std::string MixedLoad::summary() const {
    const std::lock_guard lock{mutex_};
    std::string text = "seed " + std::to_string(options_.seed);
    for (const auto& [what, count] : counts_) {
        text += ", " + what + " " + std::to_string(count);
    }
    return text;
}

}  // namespace holdfast::e2e
