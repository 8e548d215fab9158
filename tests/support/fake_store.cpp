#include "support/fake_store.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace holdfast::test {

using namespace holdfast::core;

template <class Answer>
void FakeStore::submit(const char* what, std::function<Answer()> execute, StoreDone<Answer> done) {
    ++calls[what];
    Fate fate = usual;
    if (!fates.empty()) {
        fate = fates.front();
        fates.pop_front();
    }
    pending_.push_back([this, fate, execute, done = std::move(done)]() mutable {
        switch (fate) {
            case Fate::answer:
                done(execute());
                return;
            case Fate::refuse:
                done(tl::unexpected(StoreError{StoreFailure::not_executed, "refused"}));
                return;
            case Fate::lose_reply:
                execute();
                break;
            case Fate::late:
                late_.push_back([execute] { execute(); });
                break;
            case Fate::lose_request:
                break;
        }
        done(tl::unexpected(StoreError{StoreFailure::unknown, "lost"}));
    });
}

void FakeStore::deliver() {
    while (!pending_.empty()) {
        auto next = std::move(pending_.front());
        pending_.pop_front();
        next();
    }
}

void FakeStore::run_late() {
    for (const auto& execute : std::exchange(late_, {})) {
        execute();
    }
}

bool FakeStore::held(const std::string& name) const {
    const auto found = records.find(name);
    return found != records.end() && found->second.held && clock_.now() < found->second.expiry;
}

void FakeStore::take_by_other(const std::string& name, Duration for_how_long) {
    Record& record = records[name];
    record.holder.bytes.fill('o');
    record.held = true;
    record.owner = "other";
    ++record.token.value;
    record.expiry = clock_.now() + for_how_long;
}

void FakeStore::acquire(const AcquireCommand& command, StoreDone<AcquireAnswer> done) {
    const std::string name = command.name.text();
    const HolderId holder = command.holder;
    const HolderId call = command.call;
    const Duration keep = store_hold(command.ttl);
    const std::string owner{command.owner};
    submit<AcquireAnswer>(
        "acquire",
        [this, name, holder, call, keep, owner]() -> AcquireAnswer {
            Record& record = records[name];
            const Instant now = clock_.now();
            if (record.closed.contains(std::string{holder.view()}) ||
                record.closed.contains(std::string{call.view()})) {
                return Closed{};
            }
            if (held(name) && record.holder != holder) {
                const auto left = std::chrono::floor<Milliseconds>(record.expiry - now);
                return Busy{{record.owner, record.token, left}};
            }
            if (!held(name)) {
                ++record.token.value;
                acquired_by.push_back(owner);
                record.claim = call;
            } else if (record.claim != call) {
                record.claim.reset();
            }
            record.holder = holder;
            record.held = true;
            record.owner = owner;
            record.expiry = std::max(record.expiry, now + keep);
            return Granted{record.token};
        },
        std::move(done));
}

void FakeStore::release(const Lease& lease, Milliseconds, StoreDone<ReleaseAnswer> done) {
    submit<ReleaseAnswer>(
        "release",
        [this, lease]() -> ReleaseAnswer {
            Record& record = records[lease.name.text()];
            const bool ours = record.held && record.holder == lease.holder;
            record.closed.insert(std::string{lease.holder.view()});
            if (record.token > lease.token) {
                return Released{Verdict::superseded, record.token};
            }
            if (!ours) {
                return NoSuchLease{};
            }
            const bool in_time = held(lease.name.text());
            record.held = false;
            record.expiry = {};
            return Released{in_time ? Verdict::held_throughout : Verdict::already_expired, {}};
        },
        std::move(done));
}

void FakeStore::cancel(const LockName& name,
                       HolderId holder,
                       HolderId call,
                       Milliseconds,
                       StoreDone<std::monostate> done) {
    submit<std::monostate>(
        "cancel",
        [this, text = name.text(), holder, call] {
            Record& record = records[text];
            record.closed.insert(std::string{call.view()});
            if (record.held && record.holder == holder && record.claim == call) {
                record.held = false;
                record.expiry = {};
            }
            return std::monostate{};
        },
        std::move(done));
}

void FakeStore::renew(std::span<const RenewCommand> commands,
                      Milliseconds,
                      StoreDone<std::vector<RenewAnswer>> done) {
    renew_sizes.push_back(commands.size());
    const std::vector<RenewCommand> copies{commands.begin(), commands.end()};
    submit<std::vector<RenewAnswer>>(
        "renew",
        [this, copies] {
            std::vector<RenewAnswer> answers;
            for (const auto& [lease, ttl] : copies) {
                Record& record = records[lease.name.text()];
                const bool ours = held(lease.name.text()) && record.holder == lease.holder &&
                                  record.token == lease.token;
                if (ours) {
                    record.expiry = std::max(record.expiry, clock_.now() + store_hold(ttl));
                }
                answers.push_back({ours, record.token});
            }
            return answers;
        },
        std::move(done));
}

void FakeStore::inspect(const LockName& name,
                        Milliseconds,
                        StoreDone<std::optional<LockState>> done) {
    submit<std::optional<LockState>>(
        "inspect",
        [this, name]() -> std::optional<LockState> {
            const Record& record = records[name.text()];
            LockState state{name, record.token, {}};
            if (held(name.text())) {
                state.holder = HolderState{{record.owner, record.token, {}}, "", {}};
            }
            return state;
        },
        std::move(done));
}

void FakeStore::list(
    std::string_view, std::string_view, std::size_t, Milliseconds, StoreDone<LockPage> done) {
    submit<LockPage>(
        "list", [] { return LockPage{}; }, std::move(done));
}

}  // namespace holdfast::test
