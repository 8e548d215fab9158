#include "daemon/settings_table.hpp"

namespace holdfast::daemon {

std::string mask_url(const std::string& url) {
    const auto scheme = url.find("://");
    if (scheme == std::string::npos) {
        return url;
    }
    const auto start = scheme + 3;
    const auto at = url.rfind('@', url.find('/', start));
    const auto colon = url.find(':', start);
    if (at == std::string::npos || at < start || colon == std::string::npos || colon > at) {
        return url;
    }
    return url.substr(0, colon + 1) + "***" + url.substr(at);
}

}  // namespace holdfast::daemon
