#include "core/holder_ids.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace holdfast::core {
namespace {

HolderId digest_of(const std::string& input) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest.data());
    HolderId id;
    std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
    return id;
}

}  // namespace

Result<RequestId> RequestId::parse(std::string_view bytes) {
    if (bytes.size() < kMinBytes || bytes.size() > kMaxBytes) {
        return invalid("request_id",
                       "request_id has " + std::to_string(bytes.size()) +
                           " bytes; it has 16 to 64 random bytes, or none");
    }
    return RequestId{bytes};
}

std::string RequestId::input_for(std::string_view use) const {
    std::string input{use};
    input.push_back('\0');
    input.push_back(static_cast<char>(bytes_.size()));
    return input + bytes_;
}

HolderId RequestId::holder_for(const LockName& name) const {
    return digest_of(input_for("holdfast.request.v1") + name.text());
}

HolderId RequestId::secret_for(std::span<const LockName> sorted) const {
    std::string input = input_for("holdfast.set-request.v1");
    for (const LockName& name : sorted) {
        input += name.text();
        input.push_back('\0');
    }
    return digest_of(input);
}

HolderId holder_in_set(const HolderId& secret, const LockName& name) {
    std::string input{"holdfast.set.v1"};
    input.push_back('\0');
    input += secret.view();
    return digest_of(input + name.text());
}

HolderId SystemHolderIds::next() {
    if (used_ == pool_.size()) {
        std::size_t filled = 0;
        while (filled < pool_.size()) {
            const ssize_t got = getrandom(pool_.data() + filled, pool_.size() - filled, 0);
            if (got < 0 && errno != EINTR) {
                throw std::system_error(errno, std::generic_category(), "getrandom");
            }
            filled += got > 0 ? static_cast<std::size_t>(got) : 0;
        }
        used_ = 0;
    }
    HolderId id;
    const auto from = pool_.begin() + static_cast<std::ptrdiff_t>(used_);
    std::copy_n(from, id.bytes.size(), id.bytes.begin());
    std::fill_n(from, id.bytes.size(), '\0');  // a given-out secret does not stay in memory here
    used_ += id.bytes.size();
    return id;
}

}  // namespace holdfast::core
