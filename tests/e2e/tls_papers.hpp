#pragma once

// Certificates for Redis nodes that speak nothing but TLS and want one of their clients, and what a daemon
// says that cannot come in.

#include "fixture.hpp"
#include "support/certificates.hpp"

#include <fstream>
#include <map>
#include <string>

namespace holdfast::e2e {

struct TlsPapers {
    test::Authority authority;
    test::Certificate of_nodes = authority.issue();
    test::Certificate of_daemons = authority.issue();

    std::map<std::string, std::string> access() const {
        return {{"HOLDFAST_STORE_TLS_CA", authority.ca()},
                {"HOLDFAST_STORE_TLS_CERT", of_daemons.cert},
                {"HOLDFAST_STORE_TLS_KEY", of_daemons.key}};
    }
};

// The answer of /readyz has this status line and text; soon, if not now.
inline bool is_told(const Daemon& daemon, const std::string& status, const std::string& text) {
    return eventually(
        [&] {
            std::string page;
            try {
                page = http_get(daemon.http_port(), "/readyz");
            } catch (const std::exception&) {
                return false;  // nobody listens yet
            }
            return page.starts_with("HTTP/1.1 " + status) && page.find(text) != std::string::npos;
        },
        60s);
}

// A daemon that trusts somebody else says so, grants nothing, lives on, and serves when that is mended.
inline void expect_wrong_authority_is_told(TlsPapers& papers,
                                           const std::string& url,
                                           std::map<std::string, std::string> settings) {
    const test::Authority stranger{"Another CA"};
    const std::string ca = papers.authority.file("trusted-by-one.pem");
    const auto trust = [&](const std::string& whom) {
        std::ofstream{ca, std::ios::trunc} << test::read_file(whom);
    };
    trust(stranger.ca());
    settings["HOLDFAST_STORE_TLS_CA"] = ca;
    Daemon daemon{{"--store", url}, settings, false};
    const std::string why = "signed by an unknown authority, Test CA";
    EXPECT_TRUE(is_told(daemon, "503", why)) << daemon.log();
    EXPECT_TRUE(eventually([&] { return daemon.log().find(why) != std::string::npos; }))
        << daemon.log();
    EXPECT_FALSE(daemon.serving());
    EXPECT_EQ(Client{daemon.address()}.acquire("a", 1s).reason, "STORE_UNAVAILABLE");
    EXPECT_TRUE(http_get(daemon.http_port(), "/livez").starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(daemon.process().running());

    trust(papers.authority.ca());
    EXPECT_TRUE(daemon.wait_serving()) << daemon.log();
    EXPECT_TRUE(
        eventually([&] { return Client{daemon.address()}.acquire("a", 1s, 5s).ok(); }, 60s));
}

inline void expect_missing_certificate_is_told(const std::string& url,
                                               std::map<std::string, std::string> settings) {
    settings.erase("HOLDFAST_STORE_TLS_CERT");
    settings.erase("HOLDFAST_STORE_TLS_KEY");
    const Daemon daemon{{"--store", url}, settings, false};
    EXPECT_TRUE(is_told(daemon, "503", "wants a certificate from its clients")) << daemon.log();
    EXPECT_FALSE(daemon.serving());
    EXPECT_EQ(Client{daemon.address()}.acquire("a", 1s).reason, "STORE_UNAVAILABLE");
}

}  // namespace holdfast::e2e
