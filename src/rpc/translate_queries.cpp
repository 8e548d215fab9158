// Requests that ask about locks, or take them away.

#include "rpc/translate.hpp"

#include <charconv>
#include <utility>

namespace holdfast::rpc {
namespace {

using core::Result;

constexpr std::size_t kMaxReasonBytes = 256;  // of a revocation; the scripts have three digits
constexpr core::Milliseconds kUsualYield = std::chrono::seconds{10};
constexpr core::Milliseconds kMaxYield = std::chrono::hours{1};
constexpr std::size_t kDefaultPage = 100;
constexpr std::size_t kMaxPage = 500;  // with metadata, still below gRPC's usual 4 MiB

Result<std::string> check_prefix(std::string prefix) {
    if (prefix.size() > core::LockName::kMaxBytes || !core::is_clean_utf8(prefix)) {
        return core::invalid("prefix",
                             "prefix is at most 512 bytes of UTF-8 without control characters");
    }
    return prefix;
}

template <class Request>
Result<core::LockManager::RevokeRequest> parse_revocation(const Request& request,
                                                          core::Revocation how,
                                                          core::Milliseconds closes_in) {
    auto name = core::LockName::parse(request.name());
    if (!name) {
        return tl::unexpected(name.error());
    }
    if (request.reason().size() > kMaxReasonBytes || !core::is_clean_utf8(request.reason())) {
        return core::invalid("reason",
                             "reason has " + std::to_string(request.reason().size()) +
                                 " bytes; it is at most 256 bytes of UTF-8 without control "
                                 "characters");
    }
    return core::LockManager::RevokeRequest{
        *std::move(name), {request.fencing_token()}, how, closes_in, request.reason()};
}

}  // namespace

Result<core::LockManager::RevokeRequest> parse(const pb::RevokeRequest& request) {
    if (request.deadline_ms() > ms(kMaxYield)) {
        return core::invalid("deadline_ms",
                             "deadline_ms is " + std::to_string(request.deadline_ms()) +
                                 "; it is at most " + std::to_string(kMaxYield.count()) +
                                 " (an hour), or 0 for 10 s");
    }
    const core::Milliseconds closes_in =
        request.deadline_ms() == 0 ? kUsualYield : core::Milliseconds{request.deadline_ms()};
    return parse_revocation(request, core::Revocation::yield, closes_in);
}

Result<core::LockManager::RevokeRequest> parse(const pb::ForceReleaseRequest& request) {
    return parse_revocation(
        request,
        request.immediate() ? core::Revocation::at_once : core::Revocation::lost,
        core::Milliseconds{0});
}

Result<core::WatchScope> parse(const pb::WatchRequest& request) {
    switch (request.what_case()) {
        case pb::WatchRequest::kName:
            return core::LockName::parse(request.name()).map([](core::LockName name) {
                return core::WatchScope{std::move(name), ""};
            });
        case pb::WatchRequest::kPrefix:
            return check_prefix(request.prefix()).map([](std::string prefix) {
                return core::WatchScope{std::nullopt, std::move(prefix)};
            });
        case pb::WatchRequest::WHAT_NOT_SET:
            break;
    }
    return core::invalid(
        "what", "set name, or prefix (which may be empty: all locks), to say what to watch");
}

Result<ListRequest> parse(const pb::ListLocksRequest& request) {
    const auto prefix = check_prefix(request.prefix());
    if (!prefix) {
        return tl::unexpected(prefix.error());
    }
    if (request.page_size() > kMaxPage) {
        return core::invalid("page_size",
                             "page_size is " + std::to_string(request.page_size()) +
                                 "; it is 1 to 500, or 0 for 100");
    }
    const std::string& token = request.page_token();
    std::uint64_t cursor = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), cursor);
    if (!token.empty() && (error != std::errc{} || end != token.data() + token.size())) {
        return core::invalid("page_token",
                             "page_token is not one that ListLocks gave; leave it empty to begin");
    }
    const std::size_t limit = request.page_size() == 0 ? kDefaultPage : request.page_size();
    return ListRequest{*prefix, token, limit};
}

}  // namespace holdfast::rpc
