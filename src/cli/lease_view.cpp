#include "cli/lease_view.hpp"

#include <algorithm>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr int kAnchorTtls = 100;
constexpr std::chrono::minutes kLongestAnchor{10};
// Events that are under way may count from the one before the newest; more is room for retries.
constexpr std::size_t kMostAnchors = 8;

}  // namespace

void LeaseView::told(const v1::LeaseEvent& event) {
    const auto extend = [this](const v1::Lease& lease) {
        believe(lease.anchor(), lease.elapsed_ms(), lease.safe_for_ms());
    };
    switch (event.event_case()) {
        case v1::LeaseEvent::kGranted:
            lease_ = event.granted().lease();
            add(lease_.anchor(), opened_at_);
            extend(lease_);
            break;
        case v1::LeaseEvent::kRenewed:
            extend(event.renewed().lease());
            break;
        case v1::LeaseEvent::kRecovered:
            extend(event.recovered().lease());
            break;
        default:
            break;  // the others tell of no new deadline
    }
}

void LeaseView::renewed(const v1::Lease& lease, BootTime sent_at) {
    add(lease.anchor(), sent_at);
    believe(lease.anchor(), lease.elapsed_ms(), lease.safe_for_ms());
}

milliseconds LeaseView::safe_for(BootTime now) const {
    return std::max(milliseconds{0}, std::chrono::floor<milliseconds>(believe_until_ - now));
}

BootTime LeaseView::new_anchor_at() const {
    return anchors_.empty() ? BootTime::max() : anchors_.back().sent_at + anchor_life() / 2;
}

void LeaseView::add(std::uint64_t number, BootTime sent_at) {
    anchors_.push_back({number, sent_at});
    if (anchors_.size() > kMostAnchors) {
        anchors_.pop_front();
    }
}

void LeaseView::believe(std::uint64_t anchor, std::uint64_t elapsed_ms, std::uint64_t safe_for_ms) {
    const auto known = std::find_if(anchors_.rbegin(), anchors_.rend(), [&](const Anchor& each) {
        return each.number == anchor;
    });
    const auto life =
        static_cast<std::uint64_t>(std::chrono::floor<milliseconds>(anchor_life()).count());
    if (known == anchors_.rend() || elapsed_ms > life) {
        return;
    }
    believe_until_ =
        std::max<BootTime>(believe_until_, known->sent_at + milliseconds{elapsed_ms + safe_for_ms});
}

BootTime LeaseView::anchor_life() const {
    return std::min<BootTime>(ttl() * kAnchorTtls, kLongestAnchor);
}

}  // namespace holdfast::cli
