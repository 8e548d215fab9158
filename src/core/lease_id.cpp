#include "core/lease_id.hpp"

#include <absl/strings/escaping.h>
#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>

#include <algorithm>

namespace holdfast::core {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kTokenAt = 2;
constexpr std::size_t kHolderAt = kTokenAt + 8;
constexpr std::size_t kAccessAt = kHolderAt + 16;
constexpr std::size_t kPermitBytes = 8;
constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kMaxEncoded =
    (kAccessAt + kPermitBytes + LockName::kMaxBytes + kCrcBytes) * 4 / 3 + 3;

template <class T>
void put(std::string& raw, std::size_t at, T value) {
    boost::endian::endian_store<T, sizeof(T), boost::endian::order::big>(
        reinterpret_cast<unsigned char*>(&raw[at]), value);
}

template <class T>
T get(const std::string& raw, std::size_t at) {
    return boost::endian::endian_load<T, sizeof(T), boost::endian::order::big>(
        reinterpret_cast<const unsigned char*>(&raw[at]));
}

bool is_mode(char byte) {
    return byte >= static_cast<char>(Mode::exclusive) && byte <= static_cast<char>(Mode::permit);
}

std::uint32_t crc_of(std::string_view bytes) {
    boost::crc_32_type crc;
    crc.process_bytes(bytes.data(), bytes.size());
    return crc.checksum();
}

Failed not_a_lease_id() {
    return invalid("lease_id",
                   "lease_id is not one that Holdfast gave out, or it was truncated or changed; "
                   "pass the string of the grant unchanged");
}

}  // namespace

std::string encode_lease_id(const Lease& lease) {
    std::string raw(kAccessAt, '\0');
    raw[0] = kFormat;
    raw[1] = static_cast<char>(lease.access.mode);
    put(raw, kTokenAt, lease.token.value);
    std::copy(lease.holder.bytes.begin(), lease.holder.bytes.end(), raw.begin() + kHolderAt);
    if (lease.access.mode == Mode::permit) {
        raw.resize(kAccessAt + kPermitBytes);
        put(raw, kAccessAt, lease.access.permits);
        put(raw, kAccessAt + sizeof(std::uint32_t), lease.access.limit);
    }
    raw += lease.name.text();
    const std::size_t end = raw.size();
    const std::uint32_t crc = crc_of(raw);
    raw.resize(end + kCrcBytes);
    put(raw, end, crc);
    return absl::WebSafeBase64Escape(raw);
}

Result<Lease> decode_lease_id(std::string_view text) {
    std::string raw;
    const absl::string_view encoded{text.data(), text.size()};
    if (text.size() > kMaxEncoded || !absl::WebSafeBase64Unescape(encoded, &raw) ||
        raw.size() <= kAccessAt + kCrcBytes) {
        return not_a_lease_id();
    }
    const auto crc = get<std::uint32_t>(raw, raw.size() - kCrcBytes);
    raw.resize(raw.size() - kCrcBytes);
    if (crc != crc_of(raw) || raw[0] != kFormat || !is_mode(raw[1])) {
        return not_a_lease_id();
    }
    Access access{static_cast<Mode>(raw[1])};
    std::size_t name_at = kAccessAt;
    if (access.mode == Mode::permit) {
        if (raw.size() <= kAccessAt + kPermitBytes) {
            return not_a_lease_id();
        }
        access.permits = get<std::uint32_t>(raw, kAccessAt);
        access.limit = get<std::uint32_t>(raw, kAccessAt + sizeof(std::uint32_t));
        name_at += kPermitBytes;
    }
    auto name = LockName::parse(raw.substr(name_at));
    if (!name) {
        return not_a_lease_id();
    }
    Lease lease{*std::move(name), {}, {}, access};
    std::copy_n(raw.begin() + kHolderAt, lease.holder.bytes.size(), lease.holder.bytes.begin());
    lease.token.value = get<std::uint64_t>(raw, kTokenAt);
    return lease;
}

}  // namespace holdfast::core
