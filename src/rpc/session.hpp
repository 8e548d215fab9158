#pragma once

// One Session: many leases and operations on one stream.
//
//   open      a message is read, its operations are checked and go to the shards of their locks, in one
//             task for each; then the next message is read. Results and events go out as they come:
//             what gathers while a write is under way leaves together (merge())
//             -> draining: once the shards have drained, the stream ends with DRAINING
//             -> closing:  the client sends no more. Leases go on until it cancels or ends
//   over      the stream is gone: each shard cancels what is under way and lets go of what is held
//             (streamed_lease.hpp)
//
// What a shard knows of a session is its SessionPart, touched by that shard alone. What the parts share
// is SessionLink: the way out, and the operations that are under way, which are counted and have
// distinct ids. It lives as long as anything that may answer.
//
// A ping is a new anchor: each shard takes it up, in the order of messages, and adds its leases to the
// pong; the last one sends it.

#include "core/shards.hpp"
#include "rpc/session_part.hpp"

#include <mutex>
#include <vector>

namespace holdfast::rpc {

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(std::shared_ptr<SessionCall> call,
            const core::Clock& clock,
            const core::Limits& limits,
            core::Shards& shards,
            const Streams& streams);

    void start();
    // To be called when the shards have been told to drain. From any thread.
    void drain();

    static bool merge(v1::SessionEvent& waiting, v1::SessionEvent& next);

private:
    using Job = SessionPart::Job;
    using Jobs = std::vector<std::vector<Job>>;  // by shard

    void on_message(v1::SessionRequest& request);
    void add(v1::Operation& operation, Jobs& jobs);
    void refuse(std::uint64_t id, const core::Error& error);
    core::Result<Job> job_of(v1::Operation& operation, std::size_t& shard);
    template <class Act>
    core::Result<Job> with_any_lease(const std::string& lease_id, std::size_t& shard, Act act);
    void ping(std::uint64_t id, Jobs& jobs);
    void post(Jobs jobs);
    void post_to_all(const std::function<void(SessionPart&, core::LockManager&)>& job);

    const std::shared_ptr<SessionCall> call_;
    const core::Limits& limits_;
    core::Shards& shards_;
    const core::Clock& clock_;
    const std::shared_ptr<SessionLink> link_;
    std::vector<std::shared_ptr<SessionPart>> parts_;  // by shard
};

}  // namespace holdfast::rpc
