#include "redis/server_info.hpp"

#include <algorithm>

namespace holdfast::redis {

InfoFields::InfoFields(std::string_view info) {
    while (!info.empty()) {
        const std::string_view line = info.substr(0, info.find('\n'));
        info.remove_prefix(std::min(info.size(), line.size() + 1));
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos) {
            const std::string_view value = line.substr(colon + 1);
            fields_[line.substr(0, colon)] = value.substr(0, value.find('\r'));
        }
    }
}

std::string_view InfoFields::operator[](std::string_view name) const {
    const auto found = fields_.find(name);
    return found == fields_.end() ? std::string_view{} : found->second;
}

ServerInfo ServerInfo::parse(std::string_view info) {
    const InfoFields fields{info};
    ServerInfo parsed;
    if (fields["run_id"].empty()) {
        return parsed;
    }
    parsed.primary = fields["role"] == "master";
    for (const char* name : {"run_id", "master_replid2", "second_repl_offset"}) {
        parsed.incarnation += (parsed.incarnation.empty() ? "" : ":") + std::string{fields[name]};
    }
    return parsed;
}

bool has_forgotten(std::string_view before, std::string_view now) {
    static const std::string kForgotten = ":" + std::string(40, '0') + ":-1";
    const std::string_view run_id = before.substr(0, before.find(':'));
    return before != now && now.starts_with(run_id) && now.substr(run_id.size()) == kForgotten;
}

}  // namespace holdfast::redis
