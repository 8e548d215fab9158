#pragma once

// What connections to a Redis prove themselves with, and whom they trust: user, password, and the TLS
// context. One for all connections of a daemon, so that it can be changed while they are up.
//
// Files are read anew for each connection that is made: a password or a certificate that is replaced
// before the old one ends needs nothing else. If they cannot be read, or do not fit together (one of
// certificate and key has been replaced, the other not yet), what was read last is used.
// reload() reads them too, and says what is wrong with them; then it changes nothing.
//
// A connection that is up stays as it was made: Redis does not ask again. After a reload,
// Pool::authenticate_anew() shows Redis the new password on each. One that listens (Subscriber) cannot, as
// Redis takes no AUTH there: it changes when it is made anew, at the latest when its user is deleted.
// A change of certificates is for new connections alone.
//
// Used from any thread. Reading blocks, so the files should be on a local disk.

#include "redis/settings.hpp"
#include "redis/tls.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::redis {

// What one connection uses.
struct Keys {
    std::string user;
    std::string password;  // empty: no AUTH
    TlsContext tls;        // empty: no TLS
    std::string
        server_name;       // whom its certificate must be for; empty: the host that is connected to
    std::string outdated;  // why the files' present content is not used; empty: it is

    // AUTH with them, or PING if there is nothing to say.
    std::string auth_command() const;
};

class Access {
public:
    // Throws std::runtime_error, which names the setting, the file and the reason, and no secret.
    explicit Access(const Settings& settings);

    // The present ones.
    Keys keys();
    // From now on these settings' user, password and TLS. An error leaves all as it was.
    tl::expected<void, std::string> reload(const Settings& settings);

private:
    // What the files hold.
    struct Found {
        std::string password;
        TlsFiles tls;

        bool operator==(const Found&) const = default;
    };

    static tl::expected<Found, std::string> read(const Settings& settings);
    static tl::expected<Keys, std::string> make(const Settings& settings, const Found& found);

    std::mutex mutex_;
    Settings settings_;  // user, password and TLS of them
    Found found_;
    Keys keys_;
};

}  // namespace holdfast::redis
