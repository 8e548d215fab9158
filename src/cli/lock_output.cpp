#include "cli/lock_output.hpp"

#include "cli/text.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr int kMostOnALine = 5;  // holders

std::uint64_t permits_in_use(const v1::LockState& lock) {
    std::uint64_t sum = 0;
    for (const v1::Holder& holder : lock.holders()) {
        sum += holder.permits();
    }
    return sum;
}

// With how much of it is in use.
std::string show_use(const v1::LockState& lock) {
    const std::string mode = show_mode(lock.mode());
    return lock.mode() == v1::MODE_PERMIT ? mode + ", " + std::to_string(permits_in_use(lock)) +
                                                " of " + std::to_string(lock.limit()) + " in use"
                                          : mode;
}

std::string show(const v1::Holder& holder) {
    std::string text = "owner:    " + show_text(holder.owner()) +
                       "\ntoken:    " + std::to_string(holder.fencing_token()) +
                       "\nheld for: " + show_duration(milliseconds{holder.held_for_ms()}) +
                       "\nexpires:  in " + show_duration(milliseconds{holder.expires_in_ms()}) +
                       " unless renewed\n";
    if (holder.permits() > 0) {
        text += "permits:  " + std::to_string(holder.permits()) + "\n";
    }
    if (!holder.metadata().empty()) {
        text += "metadata: " + show_text(holder.metadata()) + "\n";
    }
    return text;
}

}  // namespace

boost::json::object json_of(const v1::Holder& holder) {
    boost::json::object json{{"owner", holder.owner()},
                             {"metadata", show_text(holder.metadata())},
                             {"fencing_token", holder.fencing_token()},
                             {"held_for_ms", holder.held_for_ms()},
                             {"expires_in_ms", holder.expires_in_ms()}};
    if (holder.permits() > 0) {
        json["permits"] = holder.permits();
    }
    return json;
}

boost::json::object json_of(const v1::LockState& lock) {
    boost::json::array holders;
    for (const v1::Holder& holder : lock.holders()) {
        holders.push_back(json_of(holder));
    }
    boost::json::object json{{"name", lock.name()},
                             {"mode", v1::Mode_Name(lock.mode())},
                             {"holders", holders},
                             {"newest_token", lock.newest_token()},
                             {"waiting", lock.waiting()}};
    if (lock.limit() > 0) {
        json["limit"] = lock.limit();
    }
    return json;
}

std::string show_mode(v1::Mode mode) {
    switch (mode) {
        case v1::MODE_UNSPECIFIED:
        case v1::MODE_EXCLUSIVE:
            return "exclusive";
        case v1::MODE_SHARED:
            return "shared";
        case v1::MODE_PERMIT:
            return "permit";
        default:
            return "mode " + std::to_string(mode);
    }
}

std::string show(const v1::LockState& lock) {
    std::string text = "name:     " + show_text(lock.name()) + "\nmode:     " + show_use(lock) +
                       "\nwaiting:  " + std::to_string(lock.waiting()) + "\n";
    for (const v1::Holder& holder : lock.holders()) {
        text += show(holder);
    }
    return text;
}

std::string show_line(const v1::LockState& lock) {
    std::string line;
    for (int i = 0; i < std::min(lock.holders_size(), kMostOnALine); ++i) {
        line += (i > 0 ? ", " : show_use(lock) + ", held by ") +
                show_text(lock.holders(i).owner()) + " (token " +
                std::to_string(lock.holders(i).fencing_token()) + ")";
    }
    if (lock.holders_size() > kMostOnALine) {
        line += " and " + std::to_string(lock.holders_size() - kMostOnALine) + " more";
    }
    return (line.empty() ? "free" : line) + "; " + std::to_string(lock.waiting()) + " waiting";
}

std::vector<std::string> lock_heading() {
    return {"NAME", "MODE", "OWNER", "TOKEN", "HELD", "EXPIRES", "WAITING"};
}

void add_rows(const v1::LockState& lock, std::vector<std::vector<std::string>>& rows) {
    for (const v1::Holder& holder : lock.holders()) {
        const std::string share =
            lock.mode() == v1::MODE_PERMIT
                ? " " + std::to_string(holder.permits()) + "/" + std::to_string(lock.limit())
                : "";
        rows.push_back({show_text(lock.name()),
                        show_mode(lock.mode()) + share,
                        show_text(holder.owner()),
                        std::to_string(holder.fencing_token()),
                        show_duration(milliseconds{holder.held_for_ms()}),
                        show_duration(milliseconds{holder.expires_in_ms()}),
                        std::to_string(lock.waiting())});
    }
}

}  // namespace holdfast::cli
