#include "rpc/streams.hpp"

#include <utility>

namespace holdfast::rpc {

Streams::Entry::Entry(std::shared_ptr<Open> open, std::string from, core::Instant at)
    : peer(std::move(from)), since(at), open_(std::move(open)) {
    const std::lock_guard lock{open_->mutex};
    open_->entries.insert(this);
}

Streams::Entry::~Entry() {
    const std::lock_guard lock{open_->mutex};
    open_->entries.erase(this);
}

std::unique_ptr<Streams::Entry> Streams::opened(std::string peer, core::Instant at) const {
    return std::make_unique<Entry>(open_, std::move(peer), at);
}

Streams::Listing Streams::list(core::Instant now, std::size_t most) const {
    Listing listing;
    const std::lock_guard lock{open_->mutex};
    for (const Entry* entry : open_->entries) {
        if (listing.streams.size() == most) {
            listing.cut = true;
            break;
        }
        listing.streams.push_back(
            {entry->peer, core::remaining(entry->since, now), entry->leases, entry->waiting});
    }
    return listing;
}

}  // namespace holdfast::rpc
