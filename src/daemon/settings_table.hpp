#pragma once

// Every setting once: its name, what it means, how it is read from text and printed as TOML. The
// file, the environment, the command line, --print-config and --help all go by this table.

#include "daemon/settings.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace holdfast::daemon {

enum class Kind { text, duration, number, boolean, list };

struct Setting {
    std::string path;  // section.name, as in the file
    Kind kind;
    std::string help;
    // Reads the value; the error says what is wrong with it, without the setting's name. A list
    // gets its elements, all else gets one.
    std::function<tl::expected<void, std::string>(Settings&, const std::vector<std::string>&)> read;
    std::function<std::string(const Settings&)> print;  // a TOML value; secrets masked

    std::string environment() const;  // HOLDFAST_SECTION_NAME
};

std::vector<Setting> make_settings_table();

// What one setting alone cannot tell. Empty if all is well.
std::vector<std::string> check_together(const Settings& settings);

// Whether it is one primary, which may have replicas to be waited for.
bool has_replicas(std::string_view url);

// The text with the password of a URL in it, if any, replaced by ***.
std::string mask_url(const std::string& url);

}  // namespace holdfast::daemon
