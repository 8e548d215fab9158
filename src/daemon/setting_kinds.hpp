#pragma once

// The kinds of settings: how each is read from text, checked and printed. `member` is a callable
// that gives the setting's place in Settings.

#include "daemon/durations.hpp"
#include "daemon/settings_table.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::daemon {

using std::chrono::milliseconds;
using Texts = std::vector<std::string>;
using Read = tl::expected<void, std::string>;

inline tl::unexpected<std::string> wrong(std::string why) {
    return tl::unexpected(std::move(why));
}

inline std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

inline std::string quoted_list(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& text : texts) {
        list += (list.empty() ? "" : ", ") + quoted(text);
    }
    return "[" + list + "]";
}

template <class Member>
Setting text(std::string path, Member member, std::string help) {
    return {std::move(path),
            Kind::text,
            std::move(help),
            [member](Settings& settings, const Texts& values) -> Read {
                member(settings) = values.front();
                return {};
            },
            [member](const Settings& settings) {
                return quoted(member(const_cast<Settings&>(settings)));
            }};
}

template <class Member>
Setting secret(std::string path, Member member, std::string help) {
    Setting setting = text(std::move(path), member, std::move(help));
    setting.print = [member](const Settings& settings) {
        return quoted(member(const_cast<Settings&>(settings)).empty() ? "" : "***");
    };
    return setting;
}

template <class Member>
Setting one_of(std::string path, Member member, Texts allowed, std::string help) {
    Setting setting = text(std::move(path), member, std::move(help));
    setting.read = [member, allowed](Settings& settings, const Texts& values) -> Read {
        if (std::find(allowed.begin(), allowed.end(), values.front()) == allowed.end()) {
            std::string list;
            for (const std::string& choice : allowed) {
                list += (list.empty() ? "" : ", ") + choice;
            }
            return wrong("is not one of " + list);
        }
        member(settings) = values.front();
        return {};
    };
    return setting;
}

template <class Member>
Setting duration(
    std::string path, Member member, milliseconds least, milliseconds most, std::string help) {
    return {std::move(path),
            Kind::duration,
            std::move(help),
            [member, least, most](Settings& settings, const Texts& values) -> Read {
                const auto value = parse_duration(values.front());
                if (!value) {
                    return wrong("is not a duration like \"500ms\", \"10s\", \"1m30s\" or \"24h\"");
                }
                if (*value < least || *value > most) {
                    return wrong("is not between " + format_duration(least) + " and " +
                                 format_duration(most));
                }
                member(settings) = std::decay_t<decltype(member(settings))>{*value};
                return {};
            },
            [member](const Settings& settings) {
                const auto& value = member(const_cast<Settings&>(settings));
                if constexpr (std::is_same_v<std::decay_t<decltype(value)>, core::Ttl>) {
                    return quoted(format_duration(value.value));
                } else {
                    return quoted(format_duration(value));
                }
            }};
}

template <class Member>
Setting number(
    std::string path, Member member, std::size_t least, std::size_t most, std::string help) {
    return {std::move(path),
            Kind::number,
            std::move(help),
            [member, least, most](Settings& settings, const Texts& values) -> Read {
                const std::string& text = values.front();
                std::size_t value = 0;
                const auto [end, error] =
                    std::from_chars(text.data(), text.data() + text.size(), value);
                if (error != std::errc{} || end != text.data() + text.size() || value < least ||
                    value > most) {
                    return wrong("is not a whole number from " + std::to_string(least) + " to " +
                                 std::to_string(most));
                }
                member(settings) = value;
                return {};
            },
            [member](const Settings& settings) {
                return std::to_string(member(const_cast<Settings&>(settings)));
            }};
}

template <class Member>
Setting boolean(std::string path, Member member, std::string help) {
    return {std::move(path),
            Kind::boolean,
            std::move(help),
            [member](Settings& settings, const Texts& values) -> Read {
                if (values.front() != "true" && values.front() != "false") {
                    return wrong("is neither true nor false");
                }
                member(settings) = values.front() == "true";
                return {};
            },
            [member](const Settings& settings) {
                return member(const_cast<Settings&>(settings)) ? "true" : "false";
            }};
}

}  // namespace holdfast::daemon
