#include "redis/server_info.hpp"

#include <algorithm>
#include <map>

namespace holdfast::redis {

ServerInfo ServerInfo::parse(std::string_view info) {
    std::map<std::string_view, std::string_view> fields;
    while (!info.empty()) {
        const std::string_view line = info.substr(0, info.find('\n'));
        info.remove_prefix(std::min(info.size(), line.size() + 1));
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos) {
            const std::string_view value = line.substr(colon + 1);
            fields[line.substr(0, colon)] = value.substr(0, value.find('\r'));
        }
    }
    ServerInfo parsed;
    if (fields["run_id"].empty()) {
        return parsed;
    }
    for (const char* name : {"run_id", "master_replid2", "second_repl_offset"}) {
        parsed.incarnation += (parsed.incarnation.empty() ? "" : ":") + std::string{fields[name]};
    }
    return parsed;
}

}  // namespace holdfast::redis
