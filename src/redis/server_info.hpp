#pragma once

// What a Redis says of itself, by INFO, when a connection to it is made.

#include <string>
#include <string_view>

namespace holdfast::redis {

struct ServerInfo {
    // Changes whenever the server may have other data than before: another process, or a replica that
    // was made a primary. run_id:master_replid2:second_repl_offset
    std::string incarnation;

    // From the sections server and replication. Empty incarnation: none of a Redis.
    static ServerInfo parse(std::string_view info);
};

}  // namespace holdfast::redis
