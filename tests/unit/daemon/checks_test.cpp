#include "daemon/checks.hpp"

#include <gmock/gmock.h>

#include <map>

namespace holdfast::daemon {
namespace {

using testing::HasSubstr;

class ChecksTest : public testing::Test {
protected:
    // What a Redis that is fit says, as far as it matters.
    std::map<std::string, std::string> info_{{"redis_version", "7.0.15"},
                                             {"role", "master"},
                                             {"connected_slaves", "0"},
                                             {"used_memory", "1000000"},
                                             {"maxmemory", "0"},
                                             {"maxmemory_policy", "noeviction"},
                                             {"loading", "0"},
                                             {"rdb_last_bgsave_status", "ok"},
                                             {"aof_enabled", "1"},
                                             {"aof_last_bgrewrite_status", "ok"},
                                             {"aof_last_write_status", "ok"}};
    ToldConfig config_{"", "3600"};
    CheckOptions options_;

    // Those that are not fine.
    std::vector<Check> found() const {
        std::string text = "# Section\r\n";
        for (const auto& [field, value] : info_) {
            text += field;
            text += ':';
            text += value;
            text += "\r\n";
        }
        std::vector<Check> all = judge(text, config_, options_);
        std::erase_if(all, [](const Check& one) { return one.severity == Severity::fine; });
        return all;
    }
    void expect(const std::string& name, Severity severity, const std::string& text) const {
        const auto checks = found();
        ASSERT_EQ(checks.size(), 1U) << name;
        EXPECT_EQ(checks[0].name, name);
        EXPECT_EQ(checks[0].severity, severity) << name;
        EXPECT_THAT(checks[0].text, HasSubstr(text));
    }
};

TEST_F(ChecksTest, NothingIsWrongWithARedisThatIsFit) {
    EXPECT_TRUE(found().empty());
    info_["redis_version"] = "6.2.0";
    EXPECT_TRUE(found().empty());
    options_.strict = true;
    EXPECT_TRUE(found().empty());
}

TEST_F(ChecksTest, OldVersionsAreRefused) {
    for (const char* version : {"6.0.16", "5.0.3", "6"}) {
        info_["redis_version"] = version;
        expect("server", Severity::refused, version);
    }
    info_["redis_version"] = "10.0.1";
    EXPECT_TRUE(found().empty());
}

TEST_F(ChecksTest, AReplicaIsRefusedAndNamesItsPrimary) {
    info_["role"] = "slave";
    info_["master_host"] = "10.0.0.1";
    info_["master_port"] = "6379";
    expect("role", Severity::refused, "10.0.0.1:6379");
}

TEST_F(ChecksTest, ARedisThatLoadsIsRefused) {
    info_["loading"] = "1";
    expect("loading", Severity::refused, "loading");
}

TEST_F(ChecksTest, AnyEvictionIsRefusedUnlessAllowed) {
    for (const char* policy : {"volatile-lru", "allkeys-lfu", "volatile-ttl", "allkeys-random"}) {
        options_.allow_eviction = false;
        info_["maxmemory_policy"] = policy;
        expect("eviction", Severity::refused, "store.allow_eviction");
        options_.allow_eviction = true;
        expect("eviction", Severity::warning, policy);
    }
    options_.strict = true;
    expect("eviction", Severity::warning, "noeviction");
}

TEST_F(ChecksTest, FullMemoryIsAWarningWithoutFigures) {
    info_["maxmemory"] = "2000000";
    EXPECT_TRUE(found().empty());
    info_["used_memory"] = "1600001";
    expect("memory", Severity::warning, "80%");
    const auto before = found();
    info_["used_memory"] = "1700000";
    EXPECT_EQ(found(), before) << "said anew though nothing has changed";
}

TEST_F(ChecksTest, FailedWritesToDiskAreAWarning) {
    info_["aof_last_write_status"] = "err";
    expect("disk", Severity::warning, "AOF");
    info_["rdb_last_bgsave_status"] = "err";
    expect("disk", Severity::warning, "AOF and to save its RDB");
    options_.strict = true;
    expect("disk", Severity::warning, "AOF");
}

TEST_F(ChecksTest, NothingOnDiskIsAWarningIfThatIsCertain) {
    info_["aof_enabled"] = "0";
    expect("persistence", Severity::warning, "nothing on disk");
    config_.save = "3600 1";
    EXPECT_TRUE(found().empty());
    config_.save.reset();
    EXPECT_TRUE(found().empty()) << "CONFIG is forbidden: there may be RDB files";
    config_.save = "";
    options_.strict = true;
    expect("persistence", Severity::refused, "nothing on disk");
    options_.expects_persistence = false;
    EXPECT_TRUE(found().empty());
}

TEST_F(ChecksTest, ABacklogThatGoesTooSoonIsAWarning) {
    config_.repl_backlog_ttl = "119";
    expect("backlog", Severity::warning, "its repl-backlog-ttl is 119 s");
    for (const char* ttl : {"120", "0"}) {
        config_.repl_backlog_ttl = ttl;
        EXPECT_TRUE(found().empty()) << ttl;
    }
    config_.repl_backlog_ttl.reset();
    EXPECT_TRUE(found().empty()) << "CONFIG is forbidden";
}

TEST_F(ChecksTest, ReplicasAreCountedAgainstWhatIsConfigured) {
    options_.replicas = 2;
    info_["connected_slaves"] = "1";
    expect("replicas", Severity::warning, "store.replicas is 2");
    options_.strict = true;
    expect("replicas", Severity::refused, "1 replicas");
    info_["connected_slaves"] = "2";
    EXPECT_TRUE(found().empty());
}

TEST_F(ChecksTest, StrictModeRefusesMoreReplicasThanAreConfigured) {
    options_.replicas = 2;
    info_["connected_slaves"] = "3";
    EXPECT_TRUE(found().empty());
    options_.no_more_replicas = true;
    expect("replicas", Severity::refused, "more replicas connected than store.replicas");
    info_["connected_slaves"] = "2";
    EXPECT_TRUE(found().empty());
}

TEST_F(ChecksTest, WhatIsNotToldIsAWarningAndNotRefused) {
    info_.erase("maxmemory_policy");
    info_.erase("used_memory");
    expect("info", Severity::warning, "INFO memory ");
    info_.clear();
    options_.replicas = 1;
    options_.strict = true;
    expect("info", Severity::warning, "INFO server, replication, persistence, memory ");
}

}  // namespace
}  // namespace holdfast::daemon
