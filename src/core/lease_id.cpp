#include "core/lease_id.hpp"

#include <absl/strings/escaping.h>
#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <cstring>

namespace holdfast::core {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kTokenAt = 2;
constexpr std::size_t kHolderAt = kTokenAt + 8;
constexpr std::size_t kNameAt = kHolderAt + 16;
constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kMaxEncoded = (kNameAt + LockName::kMaxBytes + kCrcBytes) * 4 / 3 + 3;

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
    std::string raw(kNameAt, '\0');
    raw[0] = kFormat;
    raw[1] = static_cast<char>(lease.mode);
    boost::endian::endian_store<std::uint64_t, 8, boost::endian::order::big>(
        reinterpret_cast<unsigned char*>(&raw[kTokenAt]), lease.token.value);
    std::copy(lease.holder.bytes.begin(), lease.holder.bytes.end(), raw.begin() + kHolderAt);
    raw += lease.name.text();
    const std::uint32_t crc = boost::endian::native_to_big(crc_of(raw));
    raw.append(reinterpret_cast<const char*>(&crc), kCrcBytes);
    return absl::WebSafeBase64Escape(raw);
}

Result<Lease> decode_lease_id(std::string_view text) {
    std::string raw;
    const absl::string_view encoded{text.data(), text.size()};
    if (text.size() > kMaxEncoded || !absl::WebSafeBase64Unescape(encoded, &raw) ||
        raw.size() <= kNameAt + kCrcBytes) {
        return not_a_lease_id();
    }
    std::uint32_t crc = 0;
    std::memcpy(&crc, &raw[raw.size() - kCrcBytes], kCrcBytes);
    raw.resize(raw.size() - kCrcBytes);
    if (boost::endian::big_to_native(crc) != crc_of(raw) || raw[0] != kFormat ||
        raw[1] != static_cast<char>(Mode::exclusive)) {
        return not_a_lease_id();
    }
    auto name = LockName::parse(raw.substr(kNameAt));
    if (!name) {
        return not_a_lease_id();
    }
    Lease lease{*std::move(name), {}, {}, Mode::exclusive};
    std::copy_n(raw.begin() + kHolderAt, lease.holder.bytes.size(), lease.holder.bytes.begin());
    lease.token.value = boost::endian::endian_load<std::uint64_t, 8, boost::endian::order::big>(
        reinterpret_cast<const unsigned char*>(&raw[kTokenAt]));
    return lease;
}

}  // namespace holdfast::core
