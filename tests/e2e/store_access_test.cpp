// The daemon and a Redis that does not let everybody in: TLS, ACL users, and their change while it runs.

#include "fixture.hpp"
#include "hold_stream.hpp"
#include "support/certificates.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

namespace holdfast::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

void write_file(const std::string& path, const std::string& text) {
    std::ofstream{path, std::ios::trunc} << text;
}

// The words of the rule in config/tls.toml, so that it cannot become wrong.
std::vector<std::string> documented_rule(const std::string& password) {
    std::istringstream lines{test::read_file(test::source_file("config/tls.toml"))};
    std::vector<std::string> rule;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words{line.substr(std::min<std::size_t>(line.size(), 1))};
        std::string word;
        words >> word;
        const bool begins = word == "ACL" && line.find("PASSWORD") != std::string::npos;
        const bool goes_on = !rule.empty() && word.starts_with("+");
        if (!begins && !goes_on) {
            if (!rule.empty()) {
                break;
            }
            continue;
        }
        do {
            rule.push_back(word == ">PASSWORD" ? ">" + password : word);
        } while (words >> word);
    }
    return rule;
}

// The answer of /readyz; empty if there is nobody yet.
std::string readyz(const Daemon& daemon) {
    try {
        return http_get(daemon.http_port(), "/readyz");
    } catch (const std::exception&) {
        return "";
    }
}

bool says(const Daemon& daemon, const std::string& what) {
    return eventually([&] {
        const std::string answer = readyz(daemon);
        return answer.starts_with("HTTP/1.1 503") && answer.find(what) != std::string::npos;
    });
}

bool ready(const Daemon& daemon) {
    return eventually([&] { return readyz(daemon).starts_with("HTTP/1.1 200"); });
}

bool logs(const Daemon& daemon, const std::string& what) {
    return eventually([&] { return daemon.log().find(what) != std::string::npos; });
}

// A Redis with TLS.
class StoreTls : public testing::Test {
protected:
    std::vector<std::string> store() const {
        return {"--store", "rediss://localhost:" + std::to_string(port_)};
    }
    void show(const test::Certificate& certificate) const {
        ASSERT_EQ(redis_.run({"CONFIG",
                              "SET",
                              "tls-cert-file",
                              certificate.cert,
                              "tls-key-file",
                              certificate.key}),
                  "OK");
    }
    void cut() const {
        redis_.run({"CLIENT", "KILL", "TYPE", "normal"});
        redis_.run({"CLIENT", "KILL", "TYPE", "pubsub"});
    }

    test::Authority authority_;
    int port_ = test::free_port();
    test::RedisProcess redis_{test::tls_arguments(port_, authority_.issue())};
    std::string ca_ = authority_.file("trusted.pem");
};

TEST_F(StoreTls, AnExpiredCertificateIsToldAndItsSuccessorServed) {
    std::filesystem::copy_file(authority_.ca(), ca_);
    show(authority_.issue({.from = -48h, .until = -24h}));
    Daemon daemon{store(), {{"HOLDFAST_STORE_TLS_CA", ca_}}, false};
    EXPECT_TRUE(says(daemon, "the server's certificate has expired")) << daemon.log();
    EXPECT_TRUE(logs(daemon, "not ready: store: the server's certificate has expired"));
    EXPECT_THAT(http_get(daemon.http_port(), "/livez"), StartsWith("HTTP/1.1 200"));
    show(authority_.issue());
    EXPECT_TRUE(daemon.wait_serving()) << daemon.log();

    // While it runs, too.
    show(authority_.issue({.from = -48h, .until = -24h}));
    EXPECT_TRUE(Client{daemon.address()}.acquire("goes-on").ok());
    cut();
    EXPECT_TRUE(says(daemon, "the server's certificate has expired")) << daemon.log();
    show(authority_.issue());
    EXPECT_TRUE(daemon.wait_serving()) << daemon.log();
    EXPECT_TRUE(Client{daemon.address()}.acquire("again").ok());
}

TEST_F(StoreTls, AReloadTakesNewAuthoritiesAndKeepsTheOldIfTheyAreBad) {
    test::Authority next{"Next CA"};
    std::filesystem::copy_file(next.ca(), ca_);
    Daemon daemon{store(), {{"HOLDFAST_STORE_TLS_CA", ca_}}, false};
    EXPECT_TRUE(says(daemon, "signed by an unknown authority, Test CA")) << daemon.log();
    write_file(ca_, test::read_file(next.ca()) + test::read_file(authority_.ca()));
    daemon.process().signal(SIGHUP);
    EXPECT_TRUE(logs(daemon, "reload: the store's user, password and certificates are read anew"));
    EXPECT_TRUE(daemon.wait_serving()) << daemon.log();

    write_file(ca_, "no certificate\n");
    daemon.process().signal(SIGHUP);
    EXPECT_TRUE(
        logs(daemon,
             "reload: store.tls_ca " + ca_ + " holds no certificate in PEM; nothing has changed"))
        << daemon.log();
    show(next.issue());
    cut();  // the new connections trust whom they trusted
    EXPECT_TRUE(eventually([&] { return Client{daemon.address()}.acquire("a").ok(); }));
}

TEST_F(StoreTls, FilesThatCannotBeUsedEndTheStartWithCode2) {
    const auto one = authority_.issue();
    const auto two = authority_.issue();
    const auto start = [&](const std::map<std::string, std::string>& environment) {
        std::vector<std::string> command{program("holdfastd"), "--listen", "127.0.0.1:0"};
        for (const std::string& word : store()) {
            command.push_back(word);
        }
        return run_program(command, environment);
    };
    const std::string missing = authority_.file("missing");
    const Outcome no_ca = start({{"HOLDFAST_STORE_TLS_CA", missing}});
    EXPECT_EQ(no_ca.code, 2);
    EXPECT_THAT(no_ca.output,
                HasSubstr("store.tls_ca " + missing + " cannot be read: No such file"));
    const Outcome mixed =
        start({{"HOLDFAST_STORE_TLS_CERT", one.cert}, {"HOLDFAST_STORE_TLS_KEY", two.key}});
    EXPECT_EQ(mixed.code, 2);
    EXPECT_THAT(mixed.output, HasSubstr("is not the key of the certificate"));
    const Outcome locked = start({{"HOLDFAST_STORE_TLS_CERT", one.cert},
                                  {"HOLDFAST_STORE_TLS_KEY", authority_.locked(one)}});
    EXPECT_EQ(locked.code, 2);
    EXPECT_THAT(locked.output, HasSubstr("has a passphrase"));
}

// A Redis with the user of config/tls.toml, and his password in a file. The test's own commands come as
// the default user, who may do everything.
class StoreUser : public testing::Test {
protected:
    StoreUser() {
        write_file(file_, "first\n");
        EXPECT_EQ(redis_.run(documented_rule("first")), "OK");
    }
    std::string user(std::vector<std::string> changes) const {
        changes.insert(changes.begin(), {"ACL", "SETUSER", "holdfast"});
        return redis_.run(changes);
    }
    static std::string holdfast(const Daemon& daemon, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), program("holdfast"));
        const Outcome run = run_program(arguments, {{"HOLDFAST_SERVER", daemon.address()}});
        EXPECT_EQ(run.code, 0) << testing::PrintToString(arguments) << run.output;
        return run.output.substr(0, run.output.find('\n'));
    }

    test::TempDir directory_;
    std::string file_ = directory_.file("password");
    test::RedisProcess redis_;
    std::map<std::string, std::string> environment_{{"HOLDFAST_STORE_USERNAME", "holdfast"},
                                                    {"HOLDFAST_STORE_PASSWORD_FILE", file_},
                                                    {"HOLDFAST_SERVER_SHARDS", "2"}};
};

TEST_F(StoreUser, TheDocumentedRuleIsEnoughForAllThatClientsDo) {
    Daemon one{{"--store", redis_.url()}, environment_};
    Daemon two{{"--store", redis_.url()}, environment_};
    Client first{one.address()};
    Client second{two.address()};
    ASSERT_TRUE(first.acquire("a").ok());
    ASSERT_TRUE(second.renew(first.lease.lease_id()).ok());
    {
        HoldStream waits{second, Client::request("a", 10s, 30s)};
        ASSERT_TRUE(waits.until(Event::kQueued));
        EXPECT_THAT(holdfast(one, {"explain", "a"}), Not(testing::IsEmpty()));
        ASSERT_TRUE(first.release(first.lease.lease_id()).ok());
        ASSERT_TRUE(waits.until(Event::kGranted));  // by the other daemon's release
        holdfast(one, {"show", "a"});
        holdfast(one, {"ls"});
        holdfast(one, {"sessions", "--all"});
        holdfast(one, {"revoke", "a", "--deadline", "1s"});
        ASSERT_TRUE(waits.until(Event::kRevokeRequested));
        ASSERT_TRUE(waits.until(Event::kLost));
    }
    holdfast(one, {"acquire", "forced", "--ttl", "30s"});
    holdfast(two, {"force-release", "forced", "--immediate"});
    holdfast(two, {"run", "x", "y", "z", "--", "true"});
    holdfast(one, {"run", "p", "--permit", "1/2", "--", "true"});
    const std::string shared = holdfast(one, {"acquire", "s", "--shared", "--quiet"});
    holdfast(two, {"release", shared});
    pb::AcquireRequest replicated = Client::request("r");
    replicated.set_durability(pb::DURABILITY_REPLICATED);
    replicated.set_replicas(1);
    EXPECT_EQ(first.acquire(replicated).reason, "NOT_DURABLE");  // there is no replica
    two.process().signal(SIGTERM);
    EXPECT_EQ(two.process().wait(20s), 0);
    EXPECT_EQ(redis_.run({"ACL", "LOG"}), "");  // nothing was refused
}

TEST_F(StoreUser, ARedisThatIsNotKnownToBeNewIsJudgedUnderTheDocumentedRule) {
    std::map<std::string, std::string> environment = short_memory();
    environment.insert(environment_.begin(), environment_.end());
    environment["HOLDFAST_STORE_ASSUME_NEW"] = "false";
    const Daemon daemon{{"--store", redis_.url()}, environment};
    EXPECT_TRUE(ready(daemon)) << daemon.log();
    EXPECT_EQ(redis_.run({"ACL", "LOG"}), "");
}

TEST_F(StoreUser, WhatIsNotPermittedIsNamed) {
    const std::pair<std::vector<std::string>, std::string> gaps[] = {
        {{"-evalsha"}, "NOPERM this user has no permissions to run the 'evalsha' command"},
        {{"-info"}, "NOPERM this user has no permissions to run the 'info' command"},
        {{"-hset", "-zrem"}, "(see config/tls.toml): hset, zrem"},
        {{"-set"}, "(see config/tls.toml): set"},
        {{"resetchannels"}, "channels &holdfast:"},
        {{"resetkeys", "~holdfast:*"}, "keys of locks: "},
        {{"-subscribe"}, "SUBSCRIBE: NOPERM"},
        {{"off"}, "WRONGPASS"},
    };
    const Daemon daemon{{"--store", redis_.url()}, environment_};
    for (const auto& [change, expected] : gaps) {
        ASSERT_EQ(user(change), "OK");
        redis_.run({"CLIENT", "KILL", "TYPE", "normal"});
        redis_.run({"CLIENT", "KILL", "TYPE", "pubsub"});
        EXPECT_TRUE(says(daemon, expected)) << expected << readyz(daemon) << daemon.log();
        ASSERT_EQ(redis_.run(documented_rule("first")), "OK");
        EXPECT_TRUE(ready(daemon)) << expected;
    }
}

TEST(StoreEmbedded, AClosedTerminalEndsTheDaemon) {
    Daemon daemon{{}};
    daemon.process().signal(SIGHUP);
    EXPECT_EQ(daemon.process().wait(20s), 0) << daemon.log();
}

// Clients that take and release, and one that holds, while `change` is done; none may see an error.
class Undisturbed {
public:
    explicit Undisturbed(const Daemon& daemon) : holder_(daemon.address()) {
        for (int i = 0; i < 4; ++i) {
            threads_.emplace_back([this, i, address = daemon.address()] {
                Client client{address};
                while (!stop_) {
                    const Answer taken = client.acquire("load-" + std::to_string(i));
                    note(taken.status);
                    if (taken.ok()) {
                        note(client.renew(client.lease.lease_id()).status);
                        note(client.release(client.lease.lease_id()).status);
                    }
                    ++rounds_;
                }
            });
        }
        EXPECT_TRUE(stream_.until(Event::kGranted));
    }
    ~Undisturbed() {
        stop_ = true;
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    bool goes_on() {
        const int now = rounds_;
        return eventually([&] { return rounds_ > now + 200; }, 30s);
    }
    // The next event of the stream is RENEWED, not AT_RISK or LOST.
    bool still_renewed() { return stream_.next() == Event::kRenewed; }
    std::string errors() const {
        const std::lock_guard lock{mutex_};
        return errors_;
    }

private:
    void note(const grpc::Status& status) {
        if (!status.ok()) {
            const std::lock_guard lock{mutex_};
            errors_ += status.error_message() + "\n";
        }
    }

    Client holder_;
    HoldStream stream_{holder_, Client::request("held", 6s)};
    std::atomic<bool> stop_{false};
    std::atomic<int> rounds_{0};
    mutable std::mutex mutex_;
    std::string errors_;
    std::vector<std::thread> threads_;
};

TEST_F(StoreUser, APasswordIsChangedUnderLoadWithoutALossOrAnError) {
    Daemon daemon{{"--store", redis_.url()}, environment_};
    {
        Undisturbed load{daemon};
        ASSERT_TRUE(load.goes_on());
        ASSERT_EQ(user({">second"}), "OK");
        write_file(file_, "second\n");
        daemon.process().signal(SIGHUP);
        ASSERT_TRUE(logs(daemon, "read anew")) << daemon.log();
        ASSERT_EQ(user({"<first"}), "OK");
        ASSERT_TRUE(load.goes_on());
        EXPECT_TRUE(load.still_renewed());
        EXPECT_EQ(load.errors(), "");
    }
    EXPECT_EQ(daemon.sample("holdfast_leases_lost_total{cause=\"deadline\"}"), 0);
    EXPECT_THAT(daemon.log(), Not(HasSubstr("refuses the new password")));
    // New connections come with the new one.
    redis_.run({"CLIENT", "KILL", "TYPE", "normal"});
    EXPECT_TRUE(eventually([&] { return Client{daemon.address()}.acquire("a").ok(); }));
    EXPECT_THAT(daemon.log(), AllOf(Not(HasSubstr("first")), Not(HasSubstr("second"))));
}

TEST_F(StoreUser, AWrongPasswordAtAReloadIsToldAndDisturbsNobody) {
    Daemon daemon{{"--store", redis_.url()}, environment_};
    write_file(file_, "s3cret\n");
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(logs(daemon, "reload: Redis refuses the new password: WRONGPASS")) << daemon.log();
    EXPECT_TRUE(Client{daemon.address()}.acquire("a").ok());
    write_file(file_, "");
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(logs(daemon, "reload: store.password_file " + file_ + " is empty; nothing has"))
        << daemon.log();
    EXPECT_TRUE(Client{daemon.address()}.acquire("b").ok());
    EXPECT_THAT(daemon.log(), Not(HasSubstr("s3cret")));
    // Mended without a signal: found when it is needed.
    redis_.run({"CLIENT", "KILL", "TYPE", "normal"});
    EXPECT_TRUE(says(daemon, "WRONGPASS")) << daemon.log();
    write_file(file_, "first\n");
    EXPECT_TRUE(daemon.wait_serving()) << daemon.log();
}

TEST_F(StoreUser, AReloadReadsTheConfigurationFileTooAndChangesTheUserInPlace) {
    const std::string config = directory_.file("holdfast.toml");
    const auto configure = [&](const std::string& name, const std::string& more = "") {
        write_file(config,
                   "[store]\nurl = \"" + redis_.url() + "\"\nassume_new = true\nusername = \"" +
                       name + "\"\npassword = \"first\"\n" + more);
    };
    std::vector<std::string> other = documented_rule("first");
    other[2] = "other";
    ASSERT_EQ(redis_.run(other), "OK");
    configure("holdfast");
    Daemon daemon{{"--config", config}};
    configure("other", "nonsense = 1\n");
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(logs(daemon, "unknown setting store.nonsense")) << daemon.log();
    EXPECT_THAT(daemon.log(), HasSubstr("nothing has changed"));

    const double connects = daemon.sample("holdfast_redis_connects_total");
    EXPECT_THAT(redis_.run({"CLIENT", "LIST", "TYPE", "normal"}), Not(HasSubstr("user=other")));
    configure("other");
    daemon.process().signal(SIGHUP);
    ASSERT_TRUE(eventually([&] {
        const std::string clients = redis_.run({"CLIENT", "LIST", "TYPE", "normal"});
        return clients.find("user=other") != std::string::npos &&
               clients.find("user=holdfast") == std::string::npos;
    })) << daemon.log();
    EXPECT_EQ(daemon.sample("holdfast_redis_connects_total"), connects);  // in place
    // The connection that listens goes on as the old user, and comes back as the new one.
    ASSERT_EQ(redis_.run({"ACL", "DELUSER", "holdfast"}), "1");
    EXPECT_TRUE(eventually([&] {
        return redis_.run({"CLIENT", "LIST", "TYPE", "pubsub"}).find("user=other") !=
               std::string::npos;
    }));
    EXPECT_TRUE(Client{daemon.address()}.acquire("a").ok());
}

}  // namespace
}  // namespace holdfast::e2e
