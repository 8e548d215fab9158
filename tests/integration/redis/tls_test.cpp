#include "redis_loop.hpp"
#include "support/certificates.hpp"
#include "support/redis_process.hpp"
#include "support/tcp_gate.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace holdfast::redis {
namespace {

using test::Authority;
using test::Certificate;
using testing::AllOf;
using testing::HasSubstr;

// A Redis with TLS, and whom it and its clients trust.
struct Server {
    explicit Server(const Authority::Wanted& wanted = {},
                    bool wants_certificate = false,
                    const std::vector<std::string>& extra = {})
        : certificate(authority.issue(wanted)), redis(arguments(wants_certificate, extra)) {}

    std::vector<std::string> arguments(bool wants_certificate,
                                       const std::vector<std::string>& extra) const {
        auto all = test::tls_arguments(
            port, certificate, wants_certificate ? authority.ca() : std::string{});
        all.insert(all.end(), extra.begin(), extra.end());
        return all;
    }

    Settings settings(const std::string& host = "localhost") const {
        Settings settings = *parse_url("rediss://" + host + ":" + std::to_string(port));
        settings.tls.ca_file = authority.ca();
        return settings;
    }

    Authority authority;
    int port = test::free_port();
    Certificate certificate;
    test::RedisProcess redis;
};

// Why nothing can be connected.
std::string refusal(const Settings& settings) {
    Loop loop{settings};
    EXPECT_TRUE(
        loop.run_until([&] { return loop.pool().status().connections.failed_connects > 1; }));
    EXPECT_EQ(loop.pool().status().connections.connects, 0U);
    return loop.pool().status().last_error;
}

TEST(Tls, CarriesCommandsOfAnySize) {
    const Server server;
    for (const char* host : {"localhost", "127.0.0.1"}) {
        Loop loop{server.settings(host)};
        ASSERT_TRUE(loop.run_until_up()) << loop.pool().status().last_error;
        const std::string large(1'000'000, 'x');
        const auto set = loop.send({"SET", "large", large});
        std::vector<std::shared_ptr<Loop::Answer>> answers;
        for (int i = 0; i < 1000; ++i) {
            answers.push_back(loop.send({"ECHO", std::to_string(i)}));
        }
        EXPECT_TRUE(loop.ask({"GET", "large"}) == large);
        EXPECT_EQ(set->text, "OK");
        EXPECT_EQ(answers.back()->text, "999");
        EXPECT_LT(loop.pool().status().connections.writes, 5U);
    }
}

TEST(Tls, ReconnectsThroughABrokenNetwork) {
    const Server server;
    test::TcpGate gate{server.port};
    Settings settings = server.settings();
    settings.port = static_cast<std::uint16_t>(gate.port());
    Loop loop{settings};
    for (std::size_t cut = 100; cut < 6000; cut += 190) {  // within the handshake, and after it
        gate.cut_after(cut);
        gate.cut();
        const auto answer = loop.send({"ECHO", std::string(300, 'x')});
        ASSERT_TRUE(loop.run_until([&] { return answer->count == 1; }));
    }
    gate.cut_after({});
    gate.byte_by_byte(true);
    gate.cut();
    ASSERT_TRUE(loop.run_until([&] {
        const auto answer = loop.send({"PING"});
        loop.run_until([&] { return answer->count == 1; });
        return answer->text == "PONG";
    }));
}

TEST(Tls, AServerThatStandsStillDoesNotHoldUpTheEnd) {
    Server server;
    auto loop = std::make_unique<Loop>(server.settings());
    ASSERT_TRUE(loop->run_until_up());
    server.redis.process().stop();
    const auto under_way = loop->send({"PING"});
    loop->run_until([] { return true; });
    loop.reset();
    EXPECT_EQ(under_way->count, 1);

    Settings settings = server.settings();
    settings.connect_timeout = 50ms;
    EXPECT_THAT(refusal(settings), HasSubstr("no answer to the TLS handshake"));
    server.redis.process().resume();
}

TEST(Tls, AnExpiredCertificateIsRefused) {
    const Server expired{{.from = -48h, .until = -24h}};
    EXPECT_THAT(refusal(expired.settings()),
                HasSubstr("the server's certificate has expired: it was valid until 20"));
    const Server early{{.from = 24h, .until = 48h}};
    EXPECT_THAT(refusal(early.settings()), HasSubstr("certificate is not valid yet"));
}

TEST(Tls, ACertificateForAnotherIsRefused) {
    const Server server{{.names = "DNS:redis.internal,IP:10.0.0.1"}};
    for (const std::string host : {"localhost", "127.0.0.1"}) {
        EXPECT_THAT(refusal(server.settings(host)),
                    HasSubstr("is for redis.internal, 10.0.0.1, not for " + host));
    }
    Settings settings = server.settings();
    settings.tls.server_name = "redis.internal";
    Loop loop{settings};
    EXPECT_TRUE(loop.run_until_up()) << loop.pool().status().last_error;
}

TEST(Tls, AnUnknownAuthorityIsRefused) {
    const Server server;
    const Authority other{"Other CA"};
    Settings settings = server.settings();
    settings.tls.ca_file = other.ca();
    EXPECT_THAT(refusal(settings), HasSubstr("signed by an unknown authority, Test CA"));
    settings.tls.ca_file.clear();  // the system's
    EXPECT_THAT(refusal(settings), HasSubstr("signed by an unknown authority, Test CA"));
}

TEST(Tls, AServerThatWantsACertificateGetsIt) {
    Server server{{}, true};
    Settings settings = server.settings();
    EXPECT_THAT(refusal(settings), HasSubstr("wants a certificate from its clients"));

    const Certificate own = server.authority.issue({.names = "DNS:holdfastd"});
    settings.tls.cert_file = own.cert;
    settings.tls.key_file = own.key;
    Loop loop{settings};
    EXPECT_TRUE(loop.run_until_up()) << loop.pool().status().last_error;

    Authority other{"Other CA"};
    const Certificate wrong = other.issue();
    settings.tls.cert_file = wrong.cert;
    settings.tls.key_file = wrong.key;
    EXPECT_THAT(refusal(settings), HasSubstr("does not accept the certificate in store.tls_cert"));

    const Certificate old = server.authority.issue({.from = -48h, .until = -24h});
    settings.tls.cert_file = old.cert;
    settings.tls.key_file = old.key;
    EXPECT_THAT(refusal(settings), HasSubstr("the certificate in store.tls_cert has expired"));
}

TEST(Tls, AVersionThatIsTooOldIsRefused) {
    const Server server{{}, false, {"--tls-protocols", "TLSv1.2"}};
    Settings settings = server.settings();
    Loop loop{settings};
    EXPECT_TRUE(loop.run_until_up()) << loop.pool().status().last_error;
    settings.tls.at_least_1_3 = true;
    EXPECT_THAT(refusal(settings),
                HasSubstr("no version of TLS that store.tls_min_version allows"));
}

TEST(Tls, OnTheWrongPortTheErrorSaysSo) {
    const Server server;
    Settings to_plain = server.settings();
    to_plain.port = static_cast<std::uint16_t>(server.redis.port());
    to_plain.connect_timeout = 100ms;  // a plain Redis waits for more
    EXPECT_THAT(refusal(to_plain), HasSubstr("TLS"));
    Settings to_tls = tcp(server.port);
    EXPECT_THAT(refusal(to_tls), HasSubstr("rediss://"));
}

std::string problem_of(const Settings& settings) {
    try {
        const Access access{settings};
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST(Tls, FilesThatDoNotFitAreNamed) {
    Authority authority;
    const Certificate one = authority.issue();
    const Certificate two = authority.issue();
    Settings settings = *parse_url("rediss://localhost");
    settings.tls.ca_file = authority.file("missing.pem");
    EXPECT_EQ(problem_of(settings),
              "store.tls_ca " + authority.file("missing.pem") +
                  " cannot be read: No such file or directory");
    settings.tls.ca_file = one.key;
    EXPECT_EQ(problem_of(settings), "store.tls_ca " + one.key + " holds no certificate in PEM");
    settings.tls.ca_file = std::filesystem::path{one.key}.parent_path();
    EXPECT_THAT(problem_of(settings), HasSubstr("cannot be read: Is a directory"));
    settings.tls.ca_file = authority.ca();
    settings.tls.cert_file = one.cert;
    settings.tls.key_file = two.key;
    EXPECT_THAT(
        problem_of(settings),
        AllOf(HasSubstr("store.tls_key " + two.key + " is not the key of"), HasSubstr(one.cert)));
    settings.tls.key_file = authority.locked(one);
    EXPECT_THAT(problem_of(settings), HasSubstr("has a passphrase"));
    settings.tls.key_file = one.cert;
    EXPECT_THAT(problem_of(settings), HasSubstr("holds no private key"));
    settings.tls.key_file = one.key;
    EXPECT_EQ(problem_of(settings), "");
}

// As the shards of a daemon do.
TEST(Access, IsSharedByThreadsAndReloadedUnderThem) {
    const Server server;
    Settings settings = server.settings();
    settings.access = std::make_shared<Access>(settings);
    std::atomic<int> connected{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 10; ++i) {
                Loop loop{settings};
                connected += loop.run_until_up() && loop.ask({"ECHO", "x"}) == "x" ? 1 : 0;
            }
        });
    }
    for (int i = 0; i < 30; ++i) {
        EXPECT_TRUE(settings.access->reload(settings));
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(connected, 30);
}

void write_file(const std::string& file, const std::string& text) {
    std::ofstream{file, std::ios::trunc} << text;
}

TEST(Access, ReplacedFilesAreUsedByTheNextConnection) {
    Server server{{.from = -48h, .until = -24h}, true};
    const Certificate own = server.authority.issue();
    Settings settings = server.settings();
    settings.tls.cert_file = server.authority.file("own.pem");
    settings.tls.key_file = server.authority.file("own.key");
    std::filesystem::copy_file(own.cert, settings.tls.cert_file);
    std::filesystem::copy_file(own.key, settings.tls.key_file);
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until(
        [&] { return loop.pool().status().last_error.find("expired") != std::string::npos; }));
    const Certificate good = server.authority.issue();
    ASSERT_EQ(
        server.redis.run({"CONFIG", "SET", "tls-cert-file", good.cert, "tls-key-file", good.key}),
        "OK");
    EXPECT_TRUE(loop.run_until_up()) << loop.pool().status().last_error;

    // Half of a replacement: the old pair goes on.
    const Certificate next = server.authority.issue();
    const auto overwrite = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(next.cert, settings.tls.cert_file, overwrite);
    Access access{server.settings()};
    EXPECT_FALSE(access.reload(settings));
    server.redis.run({"CLIENT", "KILL", "TYPE", "normal"});
    const auto before = loop.pool().status().connections.connects;
    EXPECT_TRUE(loop.run_until([&] { return loop.pool().status().connections.connects > before; }));
    std::filesystem::copy_file(next.key, settings.tls.key_file, overwrite);
    EXPECT_TRUE(access.reload(settings));
}

TEST(Access, APasswordThatChangesInItsFileIsFound) {
    const test::RedisProcess redis{{"--requirepass", "old"}};
    const test::TempDir directory;
    Settings settings = tcp(redis.port());
    settings.password_file = directory.file("password");
    write_file(settings.password_file, "old\n");
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until_up());

    const test::RedisProcess renamed{{"--requirepass", "new", "--port", "0"}};
    settings.unix_path = renamed.socket();
    Loop refused{settings};
    ASSERT_TRUE(refused.run_until(
        [&] { return refused.pool().status().last_error.find("WRONGPASS") != std::string::npos; }));
    write_file(settings.password_file, "");  // as an editor does, for a moment
    ASSERT_TRUE(refused.run_until(
        [&] { return refused.pool().status().last_error.find("is empty") != std::string::npos; }));
    write_file(settings.password_file, "new\r\n");
    EXPECT_TRUE(refused.run_until_up()) << refused.pool().status().last_error;
}

TEST(Access, ANewPasswordIsShownOnConnectionsThatAreUp) {
    const test::RedisProcess redis;
    redis.run({"ACL", "SETUSER", "old", "on", ">pw1", "~*", "&*", "+@all"});
    redis.run({"ACL", "SETUSER", "new", "on", ">pw2", "~*", "&*", "+@all"});
    Settings settings = *parse_url(redis.url());  // a Unix socket has users, too
    settings.connections = 3;
    settings.user = "old";
    settings.password = "pw1";
    settings.access = std::make_shared<Access>(settings);
    Loop loop{settings};
    ASSERT_TRUE(loop.run_until([&] { return loop.pool().status().up == 3; }));

    std::vector<std::string> errors;
    const auto note = [&](std::string_view error) { errors.emplace_back(error); };
    settings.user = "new";
    settings.password = "wrong";
    ASSERT_TRUE(settings.access->reload(settings));
    loop.pool().authenticate_anew(note);
    ASSERT_TRUE(loop.run_until([&] { return errors.size() == 3; }));
    EXPECT_THAT(errors[0], HasSubstr("WRONGPASS"));
    EXPECT_EQ(loop.ask({"ACL", "WHOAMI"}), "old");  // goes on

    settings.password = "pw2";
    ASSERT_TRUE(settings.access->reload(settings));
    loop.pool().authenticate_anew(note);
    for (const std::size_t connection : {0U, 1U, 2U}) {
        EXPECT_EQ(loop.ask({"ACL", "WHOAMI"}, connection), "new");
    }
    EXPECT_EQ(errors.size(), 3U);
    EXPECT_EQ(loop.pool().status().connections.connects, 3U);  // none was made anew
}

}  // namespace
}  // namespace holdfast::redis
