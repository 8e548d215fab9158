#include "redis/settings.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast::redis {
namespace {

TEST(Url, Forms) {
    const auto tcp = parse_url("redis://us%40er:p%3Ass@[::1]:7000/3");
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->host, "::1");
    EXPECT_EQ(tcp->port, 7000);
    EXPECT_EQ(tcp->user, "us@er");
    EXPECT_EQ(tcp->password, "p:ss");
    EXPECT_EQ(tcp->db, 3);
    EXPECT_EQ(tcp->address(), "[::1]:7000");
    EXPECT_FALSE(tcp->tls.on);
    const auto tls = parse_url("rediss://:pw@redis.internal/2");
    ASSERT_TRUE(tls);
    EXPECT_TRUE(tls->tls.on);
    EXPECT_EQ(tls->host, "redis.internal");
    EXPECT_EQ(tls->port, 6379);
    EXPECT_EQ(tls->db, 2);
    EXPECT_EQ(parse_url("redis://h")->port, 6379);
    EXPECT_EQ(parse_url("redis://:pw@h")->password, "pw");
    EXPECT_EQ(parse_url("unix:///run/r.sock?db=2")->unix_path, "/run/r.sock");
    EXPECT_EQ(parse_url("unix:///run/r.sock?db=2")->db, 2);
}

TEST(Url, Sentinels) {
    const auto parsed = parse_url("redis+sentinel://us%40er:p%3Ass@h1:5000,[::1],h3/my%20master/4");
    ASSERT_TRUE(parsed) << parsed.error();
    const std::vector<Address> expected{{"h1", 5000}, {"::1", 26379}, {"h3", 26379}};
    EXPECT_EQ(parsed->sentinels.addresses, expected);
    EXPECT_EQ(parsed->sentinels.master, "my master");
    EXPECT_EQ(parsed->user, "us@er");
    EXPECT_EQ(parsed->password, "p:ss");
    EXPECT_EQ(parsed->db, 4);
    EXPECT_EQ(parsed->address(), "master my master of the Sentinels h1:5000 [::1]:26379 h3:26379");
    EXPECT_EQ(parse_url("redis+sentinel://h/m")->db, 0);
    EXPECT_FALSE(parsed->tls.on);
    EXPECT_TRUE(parse_url("rediss+sentinel://h/m")->tls.on);
    EXPECT_TRUE(parse_url("redis://h")->sentinels.addresses.empty());
}

TEST(Url, ClusterNodes) {
    const auto parsed = parse_url("redis+cluster://us%40er:p%3Ass@h1:5000,[::1],h3");
    ASSERT_TRUE(parsed) << parsed.error();
    const std::vector<Address> expected{{"h1", 5000}, {"::1", 6379}, {"h3", 6379}};
    EXPECT_EQ(parsed->cluster, expected);
    EXPECT_EQ(parsed->user, "us@er");
    EXPECT_EQ(parsed->password, "p:ss");
    EXPECT_EQ(parsed->address(), "the Cluster of h1:5000 [::1]:6379 h3:6379");
    EXPECT_FALSE(parsed->tls.on);
    EXPECT_TRUE(parse_url("rediss+cluster://h/0")->tls.on);
    EXPECT_TRUE(parse_url("redis://h")->cluster.empty());
}

TEST(Url, MistakesAreNamedWithoutThePassword) {
    for (const std::string bad : {"",
                                  "h:6379",
                                  "redis://",
                                  "redis://user@h",
                                  "redis://h/x",
                                  "redis://h:99999",
                                  "redis://:s3cret@h/-1",
                                  "rediss+sentinel://:s3cret@h",
                                  "redis+sentinel://:s3cret@h",
                                  "redis+sentinel://:s3cret@h/",
                                  "redis+sentinel:///m",
                                  "redis+sentinel://h1,,h2/m",
                                  "redis+sentinel://:s3cret@h1:x,h2/m",
                                  "redis+sentinel://h1/m/x",
                                  "redis+sentinel://h1/m?db=1",
                                  "redis+cluster://",
                                  "redis+cluster://:s3cret@",
                                  "redis+cluster://:s3cret@h/1",
                                  "redis+cluster://:s3cret@h,x:y",
                                  "redis+cluster://user@h",
                                  "http://h",
                                  "unix://relative",
                                  "unix:///p?x=1",
                                  "redis://:s3cret@h:port"}) {
        const auto parsed = parse_url(bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_EQ(parsed.error().find("s3cret"), std::string::npos);
        EXPECT_FALSE(parsed.error().empty());
    }
}

TEST(Url, AQuorumNamesThreeOrFiveDifferentNodes) {
    const auto parsed = parse_url("redis+quorum://us%40er:p%3Ass@h1:5000,[::1],h3/4");
    ASSERT_TRUE(parsed) << parsed.error();
    const std::vector<Address> expected{{"h1", 5000}, {"::1", 6379}, {"h3", 6379}};
    EXPECT_EQ(parsed->quorum, expected);
    EXPECT_EQ(parsed->user, "us@er");
    EXPECT_EQ(parsed->password, "p:ss");
    EXPECT_EQ(parsed->db, 4);
    EXPECT_FALSE(parsed->tls.on);
    EXPECT_EQ(parsed->address(), "a quorum of h1:5000 [::1]:6379 h3:6379");
    EXPECT_EQ(node_of(*parsed, 0).address(), "h1:5000");
    EXPECT_EQ(node_of(*parsed, 2).password, "p:ss");
    EXPECT_TRUE(parse_url("rediss+quorum://a,b,c,d,e")->tls.on);
    for (const char* bad : {"redis+quorum://:s3cret@a,b",
                            "redis+quorum://a,b,c,d",
                            "redis+quorum://a,b,a:6379",
                            "redis+quorum://a,,c",
                            "redis+quorum://:s3cret@a:x,b,c",
                            "redis+quorum://"}) {
        const auto refused = parse_url(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().find("s3cret"), std::string::npos);
    }
}

}  // namespace
}  // namespace holdfast::redis
