#include "store/quorum_lock_store.hpp"

#include "store/letters.hpp"
#include "store/lua_scripts.hpp"
#include "store/quorum_attempt.hpp"
#include "store/replies.hpp"

#include <chrono>
#include <utility>

namespace holdfast::store {
namespace {

using core::Milliseconds;
using core::StoreError;
using core::StoreFailure;

std::int64_t system_time() {
    return std::chrono::floor<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string letter_of_revocation(core::Revocation how) {
    switch (how) {
        case core::Revocation::yield:
            return "r";
        case core::Revocation::lost:
            return "f";
        case core::Revocation::at_once:
            return "i";
    }
    return "";
}

constexpr const char* kExclusiveOnly =
    "a quorum keeps exclusive locks only: shared locks, permits and conversions are refused; use "
    "one Redis, Sentinel or Cluster for those";

}  // namespace

QuorumLockStore::QuorumLockStore(const std::vector<redis::Client*>& clients,
                                 const core::Clock& clock,
                                 core::TimerQueue& timers,
                                 core::HolderIdSource& ids,
                                 Options options)
    : clock_(clock),
      timers_(timers),
      ids_(ids),
      prefix_(options.nodes.prefix),
      station_(std::move(options.station)),
      wall_clock_(options.wall_clock ? std::move(options.wall_clock) : system_time),
      nodes_(clients, clock, ids, std::move(options.nodes)),
      random_(options.seed),
      undos_at_(clients.size()),
      try_(kLua_quorum_try),
      commit_(kLua_quorum_commit),
      undo_(kLua_quorum_undo),
      cancel_(kLua_quorum_cancel),
      release_(kLua_quorum_release),
      renew_(kLua_quorum_renew),
      repair_(kLua_quorum_repair),
      read_(kLua_quorum_read),
      revoke_(kLua_quorum_revoke) {}

QuorumLockStore::~QuorumLockStore() = default;

std::int64_t QuorumLockStore::store_time(core::Instant at) const {
    return wall_clock_() + std::chrono::floor<std::chrono::microseconds>(at - clock_.now()).count();
}

// Answers never come from within a call.
void QuorumLockStore::later(std::function<void()> what) {
    const auto place = later_.emplace(later_.end(), timers_);
    place->set(clock_.now(), [this, place, what = std::move(what)] {
        const auto action = what;  // the timer goes first
        later_.erase(place);
        action();
    });
}

template <class Answer>
void QuorumLockStore::refuse_mode(core::StoreDone<Answer> done) {
    auto shared = std::make_shared<core::StoreDone<Answer>>(std::move(done));
    later([shared] {
        (*shared)(tl::unexpected(StoreError{StoreFailure::mode_conflict, kExclusiveOnly}));
    });
}

StoreError QuorumLockStore::too_few(bool executed) const {
    const QuorumSize& size = nodes_.size();
    std::string message = "too few of the " + std::to_string(size.nodes) + " nodes answer, " +
                          std::to_string(size.required) + " are needed";
    for (std::size_t node = 0; node < size.nodes; ++node) {
        const auto& status = nodes_.status(node);
        if (status.state == QuorumNodes::State::down) {
            message += "; " + nodes_.name(node) + ": " + status.why;
        }
    }
    return {executed ? StoreFailure::unknown : StoreFailure::not_executed, std::move(message)};
}

void QuorumLockStore::ask(std::size_t node,
                          const ScriptPair& script,
                          const core::LockName& name,
                          const Arguments& arguments,
                          Milliseconds timeout,
                          bool gives_way,
                          std::function<void(const Reply&)> done) {
    const std::string key = key_of(name);
    ScriptRunner::Call call{script,
                            affinity_of(name),
                            {key, nodes_.key()},
                            {arguments.texts.begin(), arguments.texts.end()},
                            timeout,
                            gives_way};
    if (arguments.known_at) {
        call.arguments[*arguments.known_at] = nodes_.known(node);
    }
    nodes_.runner(node).run(
        call, [this, node, sent_at = clock_.now(), done = std::move(done)](const Reply& reply) {
            nodes_.heard(node, reply.has_value(), clock_.now() - sent_at);
            if (reply && reply->value().size() > 1) {
                nodes_.learn_time(node, reply->value()[1], sent_at);
            }
            done(reply);
        });
}

void QuorumLockStore::ask_all(const ScriptPair& script,
                              const core::LockName& name,
                              const Arguments& arguments,
                              Milliseconds timeout,
                              bool gives_way,
                              Each each,
                              std::function<void()> end) {
    struct Gathering {
        Each each;
        std::function<void()> end;
        std::size_t missing;
    };
    auto gathering = std::make_shared<Gathering>(
        Gathering{std::move(each), std::move(end), nodes_.size().nodes});
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        ask(node,
            script,
            name,
            arguments,
            timeout,
            gives_way,
            [gathering, node](const Reply& reply) {
                const bool enough = gathering->each(node, reply);
                if ((--gathering->missing == 0 || enough) && gathering->end) {
                    std::exchange(gathering->end, nullptr)();
                }
            });
    }
}

// For what is to be done at every node, and is done when `required` have confirmed it.
void QuorumLockStore::confirm_by_quorum(const ScriptPair& script,
                                        const core::LockName& name,
                                        const Arguments& arguments,
                                        Milliseconds timeout,
                                        core::StoreDone<std::monostate> done) {
    struct Count {
        std::size_t done = 0;
        std::size_t conflicts = 0;
        core::StoreDone<std::monostate> answer;
    };
    auto count = std::make_shared<Count>();
    count->answer = std::move(done);
    ask_all(
        script,
        name,
        arguments,
        timeout,
        true,
        [this, count](std::size_t, const Reply& reply) {
            count->done += reply && reply->value()[0].integer() == 1 ? 1 : 0;
            count->conflicts += reply && reply->value()[0].integer() != 1 ? 1 : 0;
            return count->done >= nodes_.size().required;
        },
        [this, count] {
            if (count->done >= nodes_.size().required) {
                count->answer(std::monostate{});
            } else if (count->conflicts > 0) {
                count->answer(tl::unexpected(StoreError{
                    StoreFailure::mode_conflict, "the key holds something else at some nodes"}));
            } else {
                count->answer(tl::unexpected(too_few(true)));
            }
        });
}

void QuorumLockStore::cancel(const core::LockName& name,
                             core::HolderId holder,
                             core::HolderId call,
                             Milliseconds timeout,
                             core::StoreDone<std::monostate> done) {
    confirm_by_quorum(cancel_,
                      name,
                      {{std::string{holder.view()}, std::string{call.view()}, station_}, {}},
                      timeout,
                      std::move(done));
}

void QuorumLockStore::leave(const core::LockName& name,
                            Milliseconds timeout,
                            core::StoreDone<std::monostate> done) {
    confirm_by_quorum(undo_, name, {{"", "", station_, ""}, {}}, timeout, std::move(done));
}

void QuorumLockStore::downgrade(const core::Lease& /*lease*/,
                                core::Ttl /*ttl*/,
                                Milliseconds /*timeout*/,
                                core::StoreDone<core::RenewAnswer> done) {
    refuse_mode(std::move(done));
}

void QuorumLockStore::acquire(const core::AcquireCommand& command,
                              core::StoreDone<core::AcquireAnswer> done) {
    if (command.want.access.mode != core::Mode::exclusive || command.want.upgrade) {
        refuse_mode(std::move(done));
        return;
    }
    begin_try(new_attempt(command.name, command.want, command.timeout, std::move(done)));
}

void QuorumLockStore::revoke(const core::RevokeCommand& command,
                             Milliseconds timeout,
                             core::StoreDone<std::vector<core::HolderState>> done) {
    struct Found {
        std::size_t answers = 0;
        std::size_t conflicts = 0;
        std::vector<core::HolderState> holders;
        core::StoreDone<std::vector<core::HolderState>> done;
    };
    auto found = std::make_shared<Found>();
    found->done = std::move(done);
    const auto each = [this, found](std::size_t, const Reply& reply) {
        if (!reply) {
            return false;
        }
        const redis::Value& said = reply->value();
        if (said[0].integer() != 1) {
            ++found->conflicts;
            return false;
        }
        if (said.size() > 2) {
            core::HolderState holder;
            holder.summary.token = {static_cast<std::uint64_t>(said[2].integer())};
            holder.held_for = in_ms(said[3].integer());
            holder.summary.expires_in = in_ms(said[4].integer());
            std::tie(holder.summary.owner, holder.metadata) = texts_in(said[5].text());
            if (found->holders.empty() ||
                found->holders.front().summary.token < holder.summary.token) {
                found->holders = {std::move(holder)};
            }
        }
        return ++found->answers >= nodes_.size().required;
    };
    ask_all(
        revoke_,
        command.name,
        {{std::to_string(command.token.value),
          in_us(command.closes_in),
          letter_of_revocation(command.how),
          station_,
          std::string{command.reason}},
         {}},
        timeout,
        false,
        each,
        [this, found] {
            if (found->answers >= nodes_.size().required) {
                found->done(std::move(found->holders));
            } else if (found->conflicts > 0) {
                found->done(tl::unexpected(StoreError{
                    StoreFailure::mode_conflict, "the key holds something else at some nodes"}));
            } else {
                found->done(tl::unexpected(too_few(true)));
            }
        });
}

}  // namespace holdfast::store
