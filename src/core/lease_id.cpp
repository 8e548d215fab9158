#include "core/lease_id.hpp"

#include "core/holder_ids.hpp"
#include "core/limits.hpp"

#include <absl/strings/escaping.h>
#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast::core {
namespace {

using AnyLease = std::variant<Lease, LeaseSet>;

constexpr char kFormatOne = 1;
constexpr char kFormatSet = 2;
constexpr std::size_t kModeAt = 1;
constexpr std::size_t kTokenAt = 2;
constexpr std::size_t kHolderAt = kTokenAt + 8;
constexpr std::size_t kAccessAt = kHolderAt + 16;
constexpr std::size_t kPermitBytes = 8;
constexpr std::size_t kSecretAt = 2;
constexpr std::size_t kCountAt = kSecretAt + 16;
constexpr std::size_t kLocksAt = kCountAt + 1;
constexpr std::size_t kLengthAt = 8;  // in the part of one lock
constexpr std::size_t kNameAt = kLengthAt + 2;
constexpr std::size_t kCrcBytes = 4;
constexpr unsigned kModeBits = 3;
constexpr std::size_t kMaxEncoded =
    (kLocksAt + LeaseSet::kMaxLocks * (kNameAt + LockName::kMaxBytes) + kCrcBytes) * 4 / 3 + 3;

template <class T>
void put(std::string& raw, std::size_t at, T value) {
    boost::endian::endian_store<T, sizeof(T), boost::endian::order::big>(
        reinterpret_cast<unsigned char*>(&raw[at]), value);
}

template <class T>
T get(std::string_view raw, std::size_t at) {
    return boost::endian::endian_load<T, sizeof(T), boost::endian::order::big>(
        reinterpret_cast<const unsigned char*>(&raw[at]));
}

void put(std::string& raw, std::size_t at, const HolderId& id) {
    std::copy(id.bytes.begin(), id.bytes.end(), raw.begin() + static_cast<std::ptrdiff_t>(at));
}

HolderId get_id(std::string_view raw, std::size_t at) {
    HolderId id;
    std::copy_n(raw.begin() + static_cast<std::ptrdiff_t>(at), id.bytes.size(), id.bytes.begin());
    return id;
}

char mode_byte(const Lease& lease) {
    return static_cast<char>(static_cast<unsigned>(lease.access.mode) |
                             static_cast<unsigned>(lease.replicas) << kModeBits);
}

// As mode_byte() has made it; empty if it has not.
struct ModeByte {
    Mode mode;
    std::uint8_t replicas;
};
std::optional<ModeByte> parse_mode_byte(char byte) {
    const auto bits = static_cast<unsigned char>(byte);
    const unsigned mode = bits & ((1U << kModeBits) - 1);
    const auto replicas = static_cast<std::uint8_t>(bits >> kModeBits);
    if (mode < static_cast<unsigned>(Mode::exclusive) ||
        mode > static_cast<unsigned>(Mode::permit) || replicas > Limits::kMaxReplicas) {
        return std::nullopt;
    }
    return ModeByte{static_cast<Mode>(mode), replicas};
}

std::uint32_t crc_of(std::string_view bytes) {
    boost::crc_32_type crc;
    crc.process_bytes(bytes.data(), bytes.size());
    return crc.checksum();
}

std::string sealed(std::string raw) {
    const std::size_t end = raw.size();
    const std::uint32_t crc = crc_of(raw);
    raw.resize(end + kCrcBytes);
    put(raw, end, crc);
    return absl::WebSafeBase64Escape(raw);
}

// What was sealed; empty if it is not as it was.
std::string unsealed(std::string_view text) {
    std::string raw;
    const absl::string_view encoded{text.data(), text.size()};
    if (text.size() > kMaxEncoded || !absl::WebSafeBase64Unescape(encoded, &raw) ||
        raw.size() <= kCrcBytes) {
        return "";
    }
    const auto crc = get<std::uint32_t>(raw, raw.size() - kCrcBytes);
    raw.resize(raw.size() - kCrcBytes);
    return crc == crc_of(raw) ? raw : "";
}

std::optional<Lease> lease_of(std::string_view raw) {
    const auto mode = parse_mode_byte(raw.size() > kAccessAt ? raw[kModeAt] : '\0');
    if (!mode) {
        return std::nullopt;
    }
    Access access{mode->mode};
    std::size_t name_at = kAccessAt;
    if (access.mode == Mode::permit) {
        if (raw.size() <= kAccessAt + kPermitBytes) {
            return std::nullopt;
        }
        access.permits = get<std::uint32_t>(raw, kAccessAt);
        access.limit = get<std::uint32_t>(raw, kAccessAt + sizeof(std::uint32_t));
        name_at += kPermitBytes;
    }
    auto name = LockName::parse(std::string{raw.substr(name_at)});
    if (!name) {
        return std::nullopt;
    }
    return Lease{*std::move(name),
                 get_id(raw, kHolderAt),
                 {get<std::uint64_t>(raw, kTokenAt)},
                 access,
                 mode->replicas};
}

std::optional<LeaseSet> set_of(std::string_view raw) {
    const auto mode = parse_mode_byte(raw.size() > kLocksAt ? raw[kModeAt] : '\0');
    if (!mode || mode->mode == Mode::permit) {
        return std::nullopt;
    }
    LeaseSet set{get_id(raw, kSecretAt), {}};
    const auto count = static_cast<unsigned char>(raw[kCountAt]);
    raw.remove_prefix(kLocksAt);
    while (raw.size() > kNameAt) {
        const std::size_t length = get<std::uint16_t>(raw, kLengthAt);
        auto name = LockName::parse(std::string{raw.substr(kNameAt, length)});
        if (!name || name->text().size() != length ||
            (!set.leases.empty() && set.leases.back().name.text() >= name->text())) {
            return std::nullopt;
        }
        const HolderId holder = holder_in_set(set.secret, *name);
        set.leases.push_back(
            {*std::move(name), holder, {get<std::uint64_t>(raw, 0)}, {mode->mode}, mode->replicas});
        raw.remove_prefix(kNameAt + length);
    }
    return raw.empty() && set.leases.size() == count ? std::optional{std::move(set)} : std::nullopt;
}

}  // namespace

std::string encode_lease_id(const Lease& lease) {
    std::string raw(kAccessAt, '\0');
    raw[0] = kFormatOne;
    raw[kModeAt] = mode_byte(lease);
    put(raw, kTokenAt, lease.token.value);
    put(raw, kHolderAt, lease.holder);
    if (lease.access.mode == Mode::permit) {
        raw.resize(kAccessAt + kPermitBytes);
        put(raw, kAccessAt, lease.access.permits);
        put(raw, kAccessAt + sizeof(std::uint32_t), lease.access.limit);
    }
    return sealed(raw + lease.name.text());
}

std::string encode_lease_id(const LeaseSet& set) {
    std::string raw(kLocksAt, '\0');
    raw[0] = kFormatSet;
    raw[kModeAt] = mode_byte(set.leases.front());
    put(raw, kSecretAt, set.secret);
    raw[kCountAt] = static_cast<char>(set.leases.size());
    for (const Lease& lease : set.leases) {
        const std::size_t at = raw.size();
        raw.resize(at + kNameAt);
        put(raw, at, lease.token.value);
        put(raw, at + kLengthAt, static_cast<std::uint16_t>(lease.name.text().size()));
        raw += lease.name.text();
    }
    return sealed(std::move(raw));
}

Result<AnyLease> decode_any_lease_id(std::string_view text) {
    const std::string raw = unsealed(text);
    if (!raw.empty() && raw[0] == kFormatOne) {
        if (auto lease = lease_of(raw)) {
            return *std::move(lease);
        }
    } else if (!raw.empty() && raw[0] == kFormatSet) {
        if (auto set = set_of(raw)) {
            return *std::move(set);
        }
    }
    return invalid("lease_id",
                   "lease_id is not one that Holdfast gave out, or it was truncated or changed; "
                   "pass the string of the grant unchanged");
}

Result<Lease> decode_lease_id(std::string_view text) {
    return decode_any_lease_id(text).and_then([](AnyLease any) -> Result<Lease> {
        if (auto* lease = std::get_if<Lease>(&any)) {
            return std::move(*lease);
        }
        return invalid(
            "lease_id",
            "lease_id is that of several locks, taken together by AcquireAll: it can be renewed "
            "and "
            "released, but not converted or resumed. To have the daemon renew such locks, set "
            "max_hold_ms on AcquireAll; to convert or resume one, take it by itself");
    });
}

}  // namespace holdfast::core
