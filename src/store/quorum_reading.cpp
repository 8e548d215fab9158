// QuorumLockStore: inspect and list.
//
// A lock that is held is at `required` nodes, so at least one of any nodes - required + 1. list() goes over
// the keys of so many nodes, one after the other, and tells of each lock at the first of those that has it. The
// cursor is "which nodes are done (a bit each).the node under way.its own cursor".

#include "store/quorum_reading.hpp"

#include "store/quorum_attempt.hpp"
#include "store/replies.hpp"

#include <algorithm>
#include <map>

namespace holdfast::store {
namespace {

using core::Milliseconds;

// SCANs for one page: so many keys of others may lie between two locks before a page comes back short.
constexpr int kMaxScans = 50;

// The prefix as a glob pattern that matches it literally.
std::string pattern_of(std::string_view prefix) {
    std::string pattern;
    for (const char c : prefix) {
        if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') {
            pattern += '\\';
        }
        pattern += c;
    }
    return pattern + '*';
}

std::optional<RecordSeen> record_of(const redis::Value& entry) {
    constexpr std::size_t kFree = 2;
    constexpr std::size_t kHeld = 11;
    if (entry.size() < kFree) {
        return std::nullopt;
    }
    RecordSeen record;
    record.fence = static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry[0].integer()));
    record.waiting = static_cast<std::size_t>(std::max<std::int64_t>(0, entry[1].integer()));
    if (entry.size() == kHeld) {
        record.token = static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry[2].integer()));
        record.left_us = entry[3].integer();
        record.held_for_us = entry[4].integer();
        record.texts = entry[10].text();
    }
    return record;
}

}  // namespace

void LockSeen::add(std::size_t node, std::optional<RecordSeen> record) {
    ++answers_;
    if (record) {
        seen_.push_back({node, *std::move(record)});
    }
}

// Those that show the token that most show; of two, the newer one.
std::vector<const LockSeen::One*> LockSeen::with_most() const {
    std::map<std::uint64_t, std::vector<const One*>> by_token;
    for (const One& one : seen_) {
        if (one.record.token > 0) {
            by_token[one.record.token].push_back(&one);
        }
    }
    std::vector<const One*> most;
    for (const auto& [token, nodes] : by_token) {
        if (nodes.size() >= most.size()) {
            most = nodes;
        }
    }
    return most;
}

bool LockSeen::certain() const {
    const std::size_t most = with_most().size();
    return most >= size_.required || most + size_.nodes - answers_ < size_.required;
}

std::optional<core::LockState> LockSeen::state(const core::LockName& name,
                                               std::size_t absent) const {
    if (seen_.empty()) {
        return std::nullopt;
    }
    core::LockState state{.name = name};
    for (const One& one : seen_) {
        state.newest.value = std::max(state.newest.value, one.record.fence);
        state.waiting = std::max(state.waiting, one.record.waiting);
    }
    std::vector<const One*> most = with_most();
    if (!most.empty() && most.size() + absent >= size_.required) {
        std::sort(most.begin(), most.end(), [](const One* a, const One* b) {
            return a->record.left_us > b->record.left_us;
        });
        // It ends when fewer than `required` have it.
        const RecordSeen& last = most[std::min(most.size(), size_.required) - 1]->record;
        core::HolderState holder;
        holder.summary.token = {last.token};
        holder.summary.expires_in = in_ms(last.left_us);
        holder.held_for = in_ms(last.held_for_us);
        std::tie(holder.summary.owner, holder.metadata) = texts_in(last.texts);
        state.newest = {last.token};  // nobody has been granted it since
        state.holders.push_back(std::move(holder));
    }
    state.newest_exclusive = state.newest;
    return state;
}

bool LockSeen::held_at(unsigned nodes) const {
    return std::any_of(seen_.begin(), seen_.end(), [nodes](const One& one) {
        return one.record.token > 0 && (nodes >> one.node & 1U) != 0;
    });
}

// Several locks, read at all nodes.
struct QuorumLockStore::Reading {
    std::vector<core::LockName> names;
    std::vector<LockSeen> locks;
    std::size_t missing = 0;
    std::size_t answers = 0;
    unsigned awaited = 0;  // nodes that are waited for in any case, a bit each
    ReadDone done;
};

void QuorumLockStore::read(const std::vector<core::LockName>& names,
                           unsigned awaited,
                           Milliseconds timeout,
                           ReadDone done) {
    auto reading = std::make_shared<Reading>();
    reading->names = names;
    reading->locks.assign(names.size(), LockSeen{nodes_.size()});
    reading->missing = nodes_.size().nodes;
    reading->awaited = awaited;
    reading->done = std::move(done);
    std::vector<std::string> keys;
    for (const core::LockName& name : names) {
        keys.push_back(key_of(name));
    }
    for (std::size_t node = 0; node < nodes_.size().nodes; ++node) {
        nodes_.runner(node).run(
            {read_, 0, {keys.begin(), keys.end()}, {}, timeout},
            [this, reading, node, sent_at = clock_.now()](const Reply& reply) {
                nodes_.heard(node, reply.has_value(), clock_.now() - sent_at);
                --reading->missing;
                reading->awaited &= ~(1U << node);
                reading->answers += reply ? 1 : 0;
                for (std::size_t i = 0; reply && i < reading->locks.size(); ++i) {
                    reading->locks[i].add(node, record_of(reply->value()[i + 1]));
                }
                const bool enough =
                    reading->awaited == 0 && reading->answers >= nodes_.size().required &&
                    std::all_of(reading->locks.begin(),
                                reading->locks.end(),
                                [](const LockSeen& lock) { return lock.certain(); });
                if (!reading->done || (reading->missing > 0 && !enough)) {
                    return;
                }
                auto answer = std::exchange(reading->done, nullptr);
                if (reading->answers >= nodes_.size().required) {
                    answer(reading);
                } else {
                    answer(tl::unexpected(too_few(false)));
                }
            });
    }
}

void QuorumLockStore::inspect(const core::LockName& name,
                              Milliseconds timeout,
                              core::StoreDone<std::optional<core::LockState>> done) {
    read({name},
         0,
         timeout,
         [this, done = std::move(done)](core::StoreResult<std::shared_ptr<Reading>> read) mutable {
             if (!read) {
                 done(tl::unexpected(read.error()));
                 return;
             }
             const Reading& reading = **read;
             done(reading.locks.front().state(reading.names.front(),
                                              nodes_.size().nodes - reading.answers));
         });
}

// One page of a list.
struct QuorumLockStore::Listing {
    std::string prefix;  // of the keys
    std::size_t limit = 0;
    Milliseconds timeout{};
    unsigned done_nodes = 0;  // a bit each
    std::size_t node = 0;
    std::string cursor = "0";
    std::vector<bool> failed;
    int scans = 0;
    std::vector<core::LockName> names;
    std::vector<unsigned> before;  // of each name: the nodes that were done then
    core::StoreDone<core::LockPage> done;

    bool parse(std::string_view from, std::size_t nodes) {
        const auto first = from.find('.');
        const auto second = from.find('.', first + 1);
        if (second == std::string_view::npos) {
            return false;
        }
        const auto read = [from](std::size_t at, std::size_t end, auto& into) {
            const auto [stop, error] = std::from_chars(from.data() + at, from.data() + end, into);
            return error == std::errc{} && stop == from.data() + end;
        };
        cursor = from.substr(second + 1);
        return read(0, first, done_nodes) && read(first + 1, second, node) && node < nodes &&
               !cursor.empty();
    }
};

void QuorumLockStore::list(std::string_view prefix,
                           std::string_view from,
                           std::size_t limit,
                           Milliseconds timeout,
                           core::StoreDone<core::LockPage> done) {
    auto listing = std::make_shared<Listing>();
    listing->prefix = prefix_ + std::string{prefix};
    listing->limit = limit;
    listing->timeout = timeout;
    listing->failed.resize(nodes_.size().nodes);
    listing->done = std::move(done);
    if (from.empty() || !listing->parse(from, nodes_.size().nodes)) {
        listing->done_nodes = 0;
        listing->node = nodes_.first_to_ask();
        listing->cursor = "0";
    }
    scan(listing);
}

void QuorumLockStore::scan(const std::shared_ptr<Listing>& listing) {
    const std::string pattern = pattern_of(listing->prefix);
    const std::string count = std::to_string(listing->limit);
    nodes_.runner(listing->node)
        .command({"SCAN", listing->cursor, "MATCH", pattern, "COUNT", count},
                 listing->timeout,
                 [this, listing](const Reply& reply) { on_scan(listing, reply); });
}

// One that is neither done nor has failed; rather not a slow one.
std::optional<std::size_t> QuorumLockStore::next_to_scan(const Listing& listing) const {
    std::optional<std::size_t> next;
    for (std::size_t node = 0; node < listing.failed.size(); ++node) {
        const bool left = !listing.failed[node] && (listing.done_nodes >> node & 1U) == 0;
        if (left && (!next || (nodes_.is_slow(*next) && !nodes_.is_slow(node)))) {
            next = node;
        }
    }
    return next;
}

void QuorumLockStore::on_scan(const std::shared_ptr<Listing>& listing, const Reply& reply) {
    const std::size_t nodes = nodes_.size().nodes;
    bool node_over = false;
    if (!reply) {
        nodes_.heard(listing->node, false, {});
    }
    if (!reply || reply->value()[0].text().empty()) {
        listing->failed[listing->node] = node_over = true;  // others have what it has
    } else {
        const redis::Value found = reply->value()[1];
        for (std::size_t i = 0; i < found.size(); ++i) {
            const std::string_view key = found[i].text();
            if (key.starts_with(listing->prefix)) {
                if (auto name = core::LockName::parse(std::string{key.substr(prefix_.size())})) {
                    listing->names.push_back(*std::move(name));
                    listing->before.push_back(listing->done_nodes);
                }
            }
        }
        listing->cursor = reply->value()[0].text();
        if (listing->cursor == "0") {
            listing->done_nodes |= 1U << listing->node;
            node_over = true;
        }
    }
    if (node_over) {
        const auto enough = nodes - nodes_.size().required + 1;
        if (static_cast<std::size_t>(__builtin_popcount(listing->done_nodes)) >= enough) {
            end_page(listing, "");
            return;
        }
        listing->cursor = "0";
        const auto next = next_to_scan(*listing);
        if (!next) {
            listing->done(tl::unexpected(too_few(false)));
            return;
        }
        listing->node = *next;
    }
    if (listing->names.size() >= listing->limit || ++listing->scans >= kMaxScans) {
        end_page(listing,
                 std::to_string(listing->done_nodes) + '.' + std::to_string(listing->node) + '.' +
                     listing->cursor);
    } else {
        scan(listing);
    }
}

// Those of the keys that are held locks, but for what a node before has told.
void QuorumLockStore::end_page(const std::shared_ptr<Listing>& listing, const std::string& cursor) {
    if (listing->names.empty()) {
        listing->done(core::LockPage{{}, cursor});
        return;
    }
    read(listing->names,
         listing->done_nodes,  // what was told of there is not told of again
         listing->timeout,
         [this, listing, cursor](core::StoreResult<std::shared_ptr<Reading>> read) {
             if (!read) {
                 listing->done(tl::unexpected(read.error()));
                 return;
             }
             const Reading& reading = **read;
             core::LockPage page{{}, cursor};
             for (std::size_t i = 0; i < reading.names.size(); ++i) {
                 auto state = reading.locks[i].state(reading.names[i],
                                                     nodes_.size().nodes - reading.answers);
                 if (state && !state->holders.empty() &&
                     !reading.locks[i].held_at(listing->before[i])) {
                     page.locks.push_back(*std::move(state));
                 }
             }
             listing->done(std::move(page));
         });
}

}  // namespace holdfast::store
