#pragma once

// What a Redis says of itself, by INFO, when a connection to it is made.

#include <map>
#include <string>
#include <string_view>

namespace holdfast::redis {

// What INFO says, by field: views into its text.
class InfoFields {
public:
    explicit InfoFields(std::string_view info);
    // Empty if it is not there.
    std::string_view operator[](std::string_view name) const;

private:
    std::map<std::string_view, std::string_view> fields_;
};

struct ServerInfo {
    // Changes whenever the server may have other data than before: another process, or a replica that
    // was made a primary. run_id:master_replid2:second_repl_offset
    std::string incarnation;
    bool primary = false;  // not a replica

    // Of the process.
    std::string_view run_id() const {
        return std::string_view{incarnation}.substr(0, incarnation.find(':'));
    }

    // From the sections server and replication. Empty incarnation: none of a Redis.
    static ServerInfo parse(std::string_view info);
};

// Whether the same server may be called `now` only because it has forgotten whom it replaced, as a primary
// does that has had no replica for repl-backlog-ttl.
bool has_forgotten(std::string_view before, std::string_view now);

}  // namespace holdfast::redis
