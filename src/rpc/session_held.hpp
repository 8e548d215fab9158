#pragma once

// One lease of a session, for the part that has it. Its grant is told by the result of its operation, and so
// is its release if this session asked for it; all else by events.

#include "rpc/session_part.hpp"

#include <memory>
#include <string>
#include <utility>

namespace holdfast::rpc {

class SessionPart::Held final : public StreamedLease {
public:
    Held(const std::shared_ptr<SessionPart>& part,
         Disconnect on_disconnect,
         std::uint64_t operation)
        : StreamedLease(part->clock_, part->anchor_, on_disconnect),
          part_(part),
          operation_(operation) {}

    using StreamedLease::grant;
    bool releasing = false;
    bool over = false;
    std::string owner;
    unsigned entered = 1;  // so many acquires have it, and so many releases end it

    // Adds the lease as it stands.
    void show(v1::Pong& pong) {
        if (!fill_lease(*pong.add_leases(), grant()->deadline())) {
            pong.mutable_leases()->RemoveLast();
        }
    }

    bool listens() const override {
        const auto part = part_.lock();
        return part && !part->broke_after_;
    }

private:
    core::Instant anchor() const override {
        const auto part = part_.lock();
        return part ? part->anchor() : StreamedLease::anchor();
    }

    std::size_t emit(v1::LeaseEvent event, End end) override {
        const auto part = part_.lock();
        if (!part || over) {
            return SessionCall::kNotSent;
        }
        if (event.has_granted()) {
            part->finish(result_of(std::move(*event.mutable_granted()->mutable_lease())));
        } else if (!(releasing && end == End::released)) {
            part->tell(std::move(event));
        }
        if (end != End::none) {
            over = true;
            part->forget(*this);
        }
        return SessionCall::kNotSent;  // until it is flushed
    }

    v1::OperationResult result_of(v1::Lease lease) const {
        v1::OperationResult result;
        result.set_id(operation_);
        *(known_before() ? result.mutable_resumed() : result.mutable_acquire()->mutable_lease()) =
            std::move(lease);
        return result;
    }

    const std::weak_ptr<SessionPart> part_;
    const std::uint64_t operation_;
};

}  // namespace holdfast::rpc
