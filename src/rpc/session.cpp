#include "rpc/session.hpp"

#include "rpc/status.hpp"

#include <atomic>
#include <string>
#include <utility>

namespace holdfast::rpc {
namespace {

constexpr int kMaxOperations = 1000;  // in one message of the client
// What leaves in one message, about: gRPC clients take up to 4 MiB by default.
constexpr int kMaxMerged = 1000;

core::Error shutting_down() {
    return {core::Reason::draining,
            "this daemon is shutting down; open a session at another and resume its leases"};
}

// The lock on whose shard an operation on these leases begins and ends.
const core::LockName& home_of(const core::LeaseSet& set) {
    return set.leases.front().name;
}
const core::LockName& home_of(const core::Lease& lease) {
    return lease.name;
}

// A session of many leases has them in several messages.
void send_pong(SessionLink& link, v1::Pong pong) {
    const auto begun = [&pong] {
        v1::SessionEvent event;
        event.mutable_pong()->set_id(pong.id());
        event.mutable_pong()->set_anchor(pong.anchor());
        return event;
    };
    v1::SessionEvent event = begun();
    for (v1::Lease& lease : *pong.mutable_leases()) {
        if (event.pong().leases_size() == kMaxMerged) {
            event.mutable_pong()->set_more(true);
            link.send(std::exchange(event, begun()));
        }
        *event.mutable_pong()->add_leases() = std::move(lease);
    }
    link.send(std::move(event));
}

}  // namespace

Session::Session(std::shared_ptr<SessionCall> call,
                 const core::Clock& clock,
                 const core::Limits& limits,
                 core::Shards& shards,
                 const Streams& streams)
    : call_(std::move(call)),
      limits_(limits),
      shards_(shards),
      clock_(clock),
      link_(std::make_shared<SessionLink>(call_, limits, streams)) {
    for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        parts_.push_back(
            std::make_shared<SessionPart>(link_, clock, shards, shard, call_->received_at()));
    }
}

void Session::start() {
    const auto self = shared_from_this();
    call_->on_over = [self](std::size_t begun) {
        self->link_->closed();
        self->post_to_all([begun](SessionPart& part, core::LockManager& manager) {
            part.stream_broke(manager, begun);
        });
    };
    call_->on_read = [self](v1::SessionRequest* request) {
        if (request == nullptr) {
            return;
        }
        self->on_message(*request);
        self->call_->read_next();
    };
    call_->read_next();
}

void Session::drain() {
    // Behind what each shard says of its draining.
    const auto left = std::make_shared<std::atomic<std::size_t>>(parts_.size());
    post_to_all([call = call_, left](SessionPart&, core::LockManager&) {
        if (--*left == 0) {
            call->end(to_status(shutting_down()));
        }
    });
}

bool Session::merge(v1::SessionEvent& waiting, v1::SessionEvent& next) {
    if (waiting.has_pong() || next.has_pong() ||
        waiting.results_size() + waiting.events_size() >= kMaxMerged) {
        return false;
    }
    for (auto& result : *next.mutable_results()) {
        *waiting.add_results() = std::move(result);
    }
    for (auto& event : *next.mutable_events()) {
        *waiting.add_events() = std::move(event);
    }
    return true;
}

void Session::on_message(v1::SessionRequest& request) {
    if (request.operations_size() > kMaxOperations) {
        call_->end(to_status({core::Reason::invalid_argument,
                              "operations has " + std::to_string(request.operations_size()) +
                                  " entries; a message carries at most 1000",
                              "operations"}));
        return;
    }
    Jobs jobs(parts_.size());
    if (request.has_ping()) {
        ping(request.ping().id(), jobs);
    }
    for (v1::Operation& operation : *request.mutable_operations()) {
        add(operation, jobs);
    }
    post(std::move(jobs));
}

void Session::add(v1::Operation& operation, Jobs& jobs) {
    const std::uint64_t id = operation.id();
    std::size_t shard = 0;
    auto job = job_of(operation, shard);
    if (!job) {
        refuse(id, job.error());
    } else if (const auto begun = link_->begin(id, shard); !begun) {
        refuse(id, begun.error());
    } else {
        jobs[shard].push_back(*std::move(job));
    }
}

void Session::refuse(std::uint64_t id, const core::Error& error) {
    v1::SessionEvent event;
    *event.add_results() = failed(id, error);
    link_->send(std::move(event));
}

// What `act` does with the lease, or the set, that a lease id stands for.
template <class Act>
core::Result<Session::Job> Session::with_any_lease(const std::string& lease_id,
                                                   std::size_t& shard,
                                                   Act act) {
    return core::decode_any_lease_id(lease_id).map([&](auto any) {
        return std::visit(
            [&](auto& lease) {
                shard = shards_.shard_of(home_of(lease));
                return Job{[act, lease = std::move(lease)](auto& part, auto& manager) mutable {
                    act(part, manager, std::move(lease));
                }};
            },
            any);
    });
}

core::Result<Session::Job> Session::job_of(v1::Operation& operation, std::size_t& shard) {
    using core::LockManager;
    const std::uint64_t id = operation.id();
    switch (operation.operation_case()) {
        case v1::Operation::kAcquire: {
            if (!operation.acquire().resume_lease_id().empty()) {
                return core::invalid("resume_lease_id",
                                     "on a session, use the resume operation instead");
            }
            return parse_hold(*operation.mutable_acquire(), limits_).map([&](HoldRequest request) {
                shard = shards_.shard_of(request.acquire.name);
                return Job{[id, request = std::move(request)](auto& part, auto& manager) mutable {
                    part.acquire(manager, id, std::move(request));
                }};
            });
        }
        case v1::Operation::kResume:
            return parse_resume(operation.resume(), limits_).map([&](HoldRequest request) {
                shard = shards_.shard_of(request.acquire.name);
                return Job{[id, request = std::move(request)](auto& part, auto& manager) mutable {
                    part.acquire(manager, id, std::move(request));
                }};
            });
        case v1::Operation::kRelease:
            return with_any_lease(
                operation.release().lease_id(), shard, [id](auto& part, auto& manager, auto lease) {
                    part.release(manager, id, std::move(lease));
                });
        case v1::Operation::kRenew: {
            const auto ttl = limits_.check_ttl(operation.renew().ttl_ms());
            if (!ttl) {
                return tl::unexpected(ttl.error());
            }
            return with_any_lease(operation.renew().lease_id(),
                                  shard,
                                  [id, ttl = *ttl](auto& part, auto& manager, auto lease) {
                                      part.renew(manager, id, std::move(lease), ttl);
                                  });
        }
        case v1::Operation::kCancel: {
            const std::uint64_t which = operation.cancel().operation_id();
            shard = link_->shard_of(which).value_or(0);
            return Job{[id, which](auto& part, auto& manager) { part.cancel(manager, id, which); }};
        }
        case v1::Operation::kConvert:
            return parse(operation.convert(), limits_)
                .map([&](LockManager::ConvertRequest request) {
                    shard = shards_.shard_of(request.lease.name);
                    return Job{
                        [id, request = std::move(request)](auto& part, auto& manager) mutable {
                            part.convert(manager, id, std::move(request));
                        }};
                });
        case v1::Operation::OPERATION_NOT_SET:
            break;
    }
    return core::invalid("operation",
                         "the operation is not set, or of a kind this daemon does not know");
}

void Session::ping(std::uint64_t id, Jobs& jobs) {
    struct Gathered {
        std::mutex mutex;
        v1::SessionEvent event;
        std::size_t missing;
    };
    const auto gathered = std::make_shared<Gathered>();
    gathered->missing = parts_.size();
    gathered->event.mutable_pong()->set_id(id);
    const core::Instant anchor = clock_.now();
    gathered->event.mutable_pong()->set_anchor(anchor_number(anchor));
    for (std::vector<Job>& job : jobs) {
        job.emplace_back([gathered, anchor, link = link_](SessionPart& part, core::LockManager&) {
            v1::Pong own;
            part.ping(anchor, own);
            const std::lock_guard lock{gathered->mutex};
            for (v1::Lease& lease : *own.mutable_leases()) {
                *gathered->event.mutable_pong()->add_leases() = std::move(lease);
            }
            if (--gathered->missing == 0) {
                send_pong(*link, std::move(*gathered->event.mutable_pong()));
            }
        });
    }
}

void Session::post(Jobs jobs) {
    for (std::size_t shard = 0; shard < jobs.size(); ++shard) {
        if (!jobs[shard].empty()) {
            shards_.post_to(shard,
                            [part = parts_[shard],
                             jobs = std::move(jobs[shard])](core::LockManager& manager) mutable {
                                for (Job& job : jobs) {
                                    job(*part, manager);
                                }
                            });
        }
    }
}

void Session::post_to_all(const std::function<void(SessionPart&, core::LockManager&)>& job) {
    for (std::size_t shard = 0; shard < parts_.size(); ++shard) {
        shards_.post_to(shard, [part = parts_[shard], job](core::LockManager& manager) {
            job(*part, manager);
        });
    }
}

}  // namespace holdfast::rpc
