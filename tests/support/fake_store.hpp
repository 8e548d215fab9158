#pragma once

// LockStore in memory, obeying the port, for tests that decide the fate of each command. Nothing is
// answered before deliver().

#include "core/lock_store.hpp"

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

namespace holdfast::test {

enum class Fate {
    answer,        // executed and answered
    refuse,        // not_executed
    lose_request,  // unknown; never executed
    lose_reply,    // executed, but unknown to the caller
    late,          // unknown; executed by run_late()
};

class FakeStore final : public core::LockStore {
public:
    explicit FakeStore(const core::Clock& clock) : clock_(clock) {}

    std::deque<Fate> fates;  // of the next commands; when used up, `usual`
    Fate usual = Fate::answer;

    // Decides every command that was given so far, and those that are given meanwhile.
    void deliver();
    void run_late();
    std::size_t pending() const { return pending_.size(); }

    struct Record {
        core::HolderId holder;
        std::optional<core::HolderId> claim;  // empty: claimed by several calls
        bool held = false;
        core::FencingToken token;
        core::Instant expiry{};
        std::string owner;
        std::set<std::string> closed;
    };
    std::map<std::string, Record> records;
    bool held(const std::string& name) const;
    // Somebody else takes the lock, or what was there ends.
    void take_by_other(const std::string& name, core::Duration for_how_long);
    void free(const std::string& name) { records[name].held = false; }

    std::map<std::string, int> calls;      // by operation
    std::vector<std::size_t> renew_sizes;  // commands in each renew
    std::vector<std::string> acquired_by;  // owners, in the order of the grants

    void acquire(const core::AcquireCommand& command,
                 core::StoreDone<core::AcquireAnswer> done) override;
    void release(const core::Lease& lease,
                 core::Milliseconds timeout,
                 core::StoreDone<core::ReleaseAnswer> done) override;
    void cancel(const core::LockName& name,
                core::HolderId holder,
                core::HolderId call,
                core::Milliseconds timeout,
                core::StoreDone<std::monostate> done) override;
    void renew(std::span<const core::RenewCommand> commands,
               core::Milliseconds timeout,
               core::StoreDone<std::vector<core::RenewAnswer>> done) override;
    void inspect(const core::LockName& name,
                 core::Milliseconds timeout,
                 core::StoreDone<std::optional<core::LockState>> done) override;
    void list(std::string_view prefix,
              std::string_view from,
              std::size_t limit,
              core::Milliseconds timeout,
              core::StoreDone<core::LockPage> done) override;

private:
    // Queues a command: `execute` changes the records and gives the answer.
    template <class Answer>
    void submit(const char* what, std::function<Answer()> execute, core::StoreDone<Answer> done);

    const core::Clock& clock_;
    std::deque<absl::AnyInvocable<void()>> pending_;
    std::vector<std::function<void()>> late_;
};

}  // namespace holdfast::test
