// Daemons on a quorum of three Redis that speak nothing but TLS.

#include "tls_papers.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

namespace holdfast::e2e {
namespace {

class QuorumTls : protected TlsPapers, public testing::Test {
protected:
    QuorumTls() {
        for (int i = 0; i < 3; ++i) {
            ports_.push_back(test::free_port());
            auto arguments = test::tls_arguments(ports_.back(), of_nodes, authority.ca());
            arguments.insert(arguments.end(), {"--port", "0"});
            nodes_.push_back(std::make_unique<test::RedisProcess>(arguments));
        }
    }

    std::string node(std::size_t which) const {
        return "127.0.0.1:" + std::to_string(ports_[which]);
    }
    std::string url() const { return "rediss+quorum://" + node(0) + "," + node(1) + "," + node(2); }
    std::map<std::string, std::string> settings() const {
        auto all = access();
        all["HOLDFAST_LIMITS_MAX_TTL"] = "4s";
        all["HOLDFAST_LIMITS_DEFAULT_TTL"] = "4s";
        return all;
    }

    std::vector<int> ports_;
    std::vector<std::unique_ptr<test::RedisProcess>> nodes_;
};

TEST_F(QuorumTls, EverydayCallsWithOneNodeKilledAndBack) {
    const Daemon one{{"--store", url()}, settings()};
    const Daemon two{{"--store", url()}, settings()};
    Client client{one.address()};
    Client other{two.address()};
    std::uint64_t newest = 0;
    const auto works = [&](const char* when) {
        SCOPED_TRACE(when);
        const Answer taken = client.acquire("a", 4s, 5s);
        ASSERT_TRUE(taken.ok()) << taken.status.error_message() << one.log();
        EXPECT_GT(client.lease.fencing_token(), newest);
        EXPECT_EQ(other.acquire("a", 2s).reason, "LOCK_HELD");
        EXPECT_TRUE(other.renew(client.lease.lease_id(), 4s).ok());
        Answer handed;
        std::thread waiting{[&] { handed = other.acquire("a", 4s, 20s); }};
        EXPECT_TRUE(eventually([&] { return client.get("a").ok() && client.lock.waiting() == 1; }));
        EXPECT_TRUE(client.release(client.lease.lease_id()).ok());
        EXPECT_EQ(client.released.verdict(), pb::VERDICT_HELD_THROUGHOUT);
        waiting.join();
        ASSERT_TRUE(handed.ok()) << handed.status.error_message();
        EXPECT_GT(other.lease.fencing_token(), client.lease.fencing_token());
        newest = other.lease.fencing_token();
        EXPECT_TRUE(client.release(other.lease.lease_id()).ok());
    };
    ASSERT_NO_FATAL_FAILURE(works("before"));
    nodes_[0]->process().kill_and_wait();
    ASSERT_NO_FATAL_FAILURE(works("one is killed"));
    EXPECT_TRUE(is_told(one, "200", node(0)));
    nodes_[0]->restart_empty();
    // It takes part again: without it there is no majority any more.
    for (const Daemon* daemon : {&one, &two}) {
        EXPECT_TRUE(eventually(
            [&] {
                return http_get(daemon->http_port(), "/readyz").find(node(0)) == std::string::npos;
            },
            60s));
    }
    nodes_[2]->process().kill_and_wait();
    ASSERT_NO_FATAL_FAILURE(works("another is killed"));
}

TEST_F(QuorumTls, AnUnknownAuthorityIsToldAndMended) {
    const Daemon one{{"--store", url()}, settings()};
    expect_wrong_authority_is_told(*this, url(), settings());
    EXPECT_TRUE(Client{one.address()}.acquire("others", 1s).ok());
}

TEST_F(QuorumTls, AMissingClientCertificateIsTold) {
    expect_missing_certificate_is_told(url(), settings());
}

// A node whose certificate has expired is a node that is away, and no more.
TEST_F(QuorumTls, OneExpiredCertificateIsNamedAndCostsNothing) {
    const Daemon one{{"--store", url()}, settings()};
    // With all nodes: those that are new begin together.
    ASSERT_TRUE(eventually(
        [&] {
            return http_get(one.http_port(), "/readyz").find("takes no part") == std::string::npos;
        },
        60s));
    const auto expired = authority.issue({.from = -48h, .until = -24h});
    ASSERT_EQ(nodes_[1]->run(
                  {"CONFIG", "SET", "tls-cert-file", expired.cert, "tls-key-file", expired.key}),
              "OK");
    const Daemon late{{"--store", url()}, settings()};
    EXPECT_TRUE(
        is_told(late, "200", node(1) + " takes no part: the server's certificate has expired"))
        << late.log();
    Client client{late.address()};
    ASSERT_TRUE(client.acquire("a", 4s).ok());
    EXPECT_TRUE(client.renew(client.lease.lease_id(), 4s).ok());
    EXPECT_TRUE(Client{one.address()}.release(client.lease.lease_id()).ok());
}

}  // namespace
}  // namespace holdfast::e2e
