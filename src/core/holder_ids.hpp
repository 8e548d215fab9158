#pragma once

// Where holder ids come from: the operating system's random bits, or, for an acquire that carries a
// request_id, a digest of it. So every daemon gives a retry the same identity without a look-up,
// the store's closed ids stop a late duplicate of either kind, and the store never sees the secret
// itself. (The design keeps the request_id in the record instead; this does the same with one field
// less. A guessable request_id makes a guessable lease in both.)
//
// Of a set of locks, one secret has the place of the holder id, drawn or digested likewise; each lock's
// holder id is a digest of it. So the holder ids are all different, as everywhere else, and what one
// lock's record tells is of no use for the others.
//
// Every acquire also has a call id, new for each call: two calls with one request_id share a holder
// id, and cleaning up behind the one must not end what the other was told.

#include "core/types.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::core {

// A client's key for a retryable acquire: 16 to 64 random bytes, a secret like the lease id.
class RequestId {
public:
    static constexpr std::size_t kMinBytes = 16;
    static constexpr std::size_t kMaxBytes = 64;

    static Result<RequestId> parse(std::string_view bytes);

    // The first 128 bits of SHA-256("holdfast.request.v1" NUL length-of-request_id request_id
    // name): the same request_id on another lock is another lease.
    HolderId holder_for(const LockName& name) const;
    // The secret of a set: as above, of "holdfast.set-request.v1" and of all names, each with a NUL
    // behind it. The names are sorted, so that the order of the request makes no difference.
    HolderId secret_for(std::span<const LockName> sorted) const;

private:
    explicit RequestId(std::string_view bytes) : bytes_(bytes) {}
    std::string input_for(std::string_view use) const;
    std::string bytes_;
};

// The holder id of one lock of a set: the first 128 bits of SHA-256("holdfast.set.v1" NUL secret name).
HolderId holder_in_set(const HolderId& secret, const LockName& name);

class HolderIdSource {
public:
    virtual ~HolderIdSource() = default;
    virtual HolderId next() = 0;
};

// getrandom(2), a page at a time. Throws std::system_error if the system has no randomness.
class SystemHolderIds final : public HolderIdSource {
public:
    HolderId next() override;

private:
    std::array<char, 4096> pool_{};
    std::size_t used_ = sizeof(pool_);
};

}  // namespace holdfast::core
