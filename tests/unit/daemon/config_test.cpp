#include "daemon/config.hpp"

#include "daemon/durations.hpp"
#include "daemon/settings_table.hpp"
#include "support/paths.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast::daemon {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

const std::string kExample = test::source_file("config/holdfast.toml");

Settings settings_of(const std::vector<std::string>& arguments,
                     const Environment& environment = {}) {
    auto configured = configure(arguments, environment);
    const auto* exit = std::get_if<Exit>(&configured);
    EXPECT_EQ(exit, nullptr) << (exit != nullptr ? exit->text : "");
    return exit == nullptr ? std::get<Settings>(configured) : Settings{};
}

Exit exit_of(const std::vector<std::string>& arguments, const Environment& environment = {}) {
    auto configured = configure(arguments, environment);
    EXPECT_TRUE(std::holds_alternative<Exit>(configured));
    return std::holds_alternative<Exit>(configured) ? std::get<Exit>(configured) : Exit{};
}

TEST(Durations, ParseAndFormat) {
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("1m30s"), 90s);
    EXPECT_EQ(parse_duration("24h"), 24h);
    EXPECT_EQ(parse_duration("0s"), 0ms);
    for (const char* bad :
         {"", "10", "s", "1x", "-1s", "1 s", "1.5s", "99999999999s", "4000000000h"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
    for (const auto value : {0ms, 1ms, 1500ms, 90'000ms, 86'400'000ms, 3'661'001ms}) {
        EXPECT_EQ(parse_duration(format_duration(value)), value);
    }
}

TEST(Config, TheExampleFileHoldsEverySettingWithItsDefault) {
    EXPECT_EQ(print_config(settings_of({"--config", kExample})), print_config(Settings{}));
    const std::string text = print_config(Settings{});
    const Exit printed = exit_of({"--config", kExample, "--print-config"});
    EXPECT_EQ(printed.code, ExitCode::ok);
    EXPECT_EQ(printed.text, text);
    for (const Setting& setting : make_settings_table()) {
        EXPECT_NE(text.find(setting.help), std::string::npos) << setting.path;
    }
}

TEST(Config, TheExampleForSentinelIsGood) {
    const std::string file = test::source_file("config/sentinel.toml");
    EXPECT_EQ(exit_of({"--config", file, "--check-config"}).code, ExitCode::ok);
    const Settings settings = settings_of({"--config", file});
    EXPECT_EQ(settings.store.url,
              "redis+sentinel://sentinel-1.internal:26379,sentinel-2.internal:26379,"
              "sentinel-3.internal:26379/mymaster");
    EXPECT_EQ(settings.limits.max_ttl.value, 10s);
}

TEST(Config, TheExampleForAClusterIsGood) {
    const std::string file = test::source_file("config/cluster.toml");
    EXPECT_EQ(exit_of({"--config", file, "--check-config"}).code, ExitCode::ok);
    const Settings settings = settings_of({"--config", file});
    EXPECT_EQ(settings.store.url,
              "redis+cluster://redis-1.internal:6379,redis-2.internal:6379,redis-3.internal:6379");
    EXPECT_EQ(settings.limits.max_ttl.value, 10s);
}

TEST(Config, TheExampleForAQuorumIsGood) {
    const std::string file = test::source_file("config/quorum.toml");
    EXPECT_EQ(exit_of({"--config", file, "--check-config"}).code, ExitCode::ok);
    EXPECT_EQ(settings_of({"--config", file}).limits.max_ttl.value, 10s);
}

TEST(Config, AQuorumIsAMajorityOfItsNodes) {
    const std::string three = "redis+quorum://a,b,c";
    const auto problem = [&](const std::string& url, const char* quorum) {
        return exit_of({"--store", url}, {{"HOLDFAST_STORE_QUORUM", quorum}}).text;
    };
    EXPECT_NE(problem(three, "1").find("store.quorum is 1, and must be a majority of the 3"),
              std::string::npos);
    EXPECT_NE(problem(three, "4").find("2 to 3"), std::string::npos);
    EXPECT_NE(problem("redis://a", "2").find("store.quorum is set"), std::string::npos);
    EXPECT_EQ(settings_of({"--store", three}, {{"HOLDFAST_STORE_QUORUM", "3"}}).store.quorum, 3U);
}

TEST(Config, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
    const Environment environment{{"HOLDFAST_LOG_LEVEL", "warn"}, {"HOLDFAST_DRAIN_TIMEOUT", "3s"}};
    const Settings settings =
        settings_of({"--config", kExample, "--log-level", "debug"}, environment);
    EXPECT_EQ(settings.log.level, "debug");
    EXPECT_EQ(settings.drain.timeout, 3s);
    EXPECT_EQ(settings.log.format, "text");
    EXPECT_EQ(settings_of({}, {{"HOLDFAST_CONFIG", kExample}}).log.level, "info");
}

TEST(Config, EverySettingCanBeSetByTheEnvironment) {
    const Environment environment{{"HOLDFAST_LISTEN_GRPC", "0.0.0.0:1,unix:/run/x"},
                                  {"HOLDFAST_STORE_URL", "redis://h:1/2"},
                                  {"HOLDFAST_STORE_USERNAME", "u"},
                                  {"HOLDFAST_STORE_PASSWORD", "p"},
                                  {"HOLDFAST_STORE_PREFIX", "x:"},
                                  {"HOLDFAST_STORE_FAIL_FAST", "true"},
                                  {"HOLDFAST_STORE_CONNECTIONS", "7"},
                                  {"HOLDFAST_LIMITS_MAX_TTL", "1m"}};
    const Settings settings = settings_of({}, environment);
    EXPECT_EQ(settings.listen.grpc, (std::vector<std::string>{"0.0.0.0:1", "unix:/run/x"}));
    EXPECT_EQ(settings.store.username, "u");
    EXPECT_EQ(settings.store.prefix, "x:");
    EXPECT_TRUE(settings.store.fail_fast);
    EXPECT_EQ(settings.store.connections, 7U);
    EXPECT_EQ(settings.limits.max_ttl.value, 60s);
}

TEST(Config, SeveralListenAddresses) {
    const Settings settings =
        settings_of({"--listen", "[::1]:1", "--listen", "unix:/x", "--admin", ""});
    EXPECT_EQ(settings.listen.grpc, (std::vector<std::string>{"[::1]:1", "unix:/x"}));
    EXPECT_EQ(settings.listen.http, "");
}

// Kubernetes tells every container of the services around it: one named holdfast, or holdfast-redis.
TEST(Config, VariablesOfServicesAreNotSettings) {
    EXPECT_EQ(settings_of({},
                          {{"HOLDFAST_SERVICE_HOST", "10.0.0.1"},
                           {"HOLDFAST_SERVICE_PORT_GRPC", "7420"},
                           {"HOLDFAST_PORT", "tcp://10.0.0.1:7420"},
                           {"HOLDFAST_PORT_7420_TCP_ADDR", "10.0.0.1"},
                           {"HOLDFAST_REDIS_SERVICE_PORT", "6379"},
                           {"HOLDFAST_REDIS_PORT_6379_TCP", "tcp://10.0.0.2:6379"}})
                  .store.url,
              "");
    EXPECT_EQ(exit_of({}, {{"HOLDFAST_STORE_PORT_X", "1"}, {"HOLDFAST_EXPORT", "1"}}).code,
              ExitCode::usage);
    EXPECT_EQ(exit_of({}, {{"HOLDFAST_STORE_PORT", "6379"}}).code, ExitCode::usage);
}

TEST(Config, EveryMistakeIsReported) {
    const Exit exit = exit_of({"--log-level", "loud", "--listen", "nowhere", "--admin", "unix:/x"},
                              {{"HOLDFAST_LIMITS_MIN_TTL", "1ms"},
                               {"HOLDFAST_STORE_COMMAND_TIMEOUT", "5s"},
                               {"HOLDFAST_STORE_CONNECTIONS", "0"},
                               {"HOLDFAST_NO_SUCH", "1"}});
    EXPECT_EQ(exit.code, ExitCode::usage);
    for (const char* expected : {"log.level",
                                 "listen.grpc",
                                 "listen.http",
                                 "limits.min_ttl",
                                 "between 100ms and 1h",
                                 "store.command_timeout",
                                 "store.connections",
                                 "HOLDFAST_NO_SUCH"}) {
        EXPECT_NE(exit.text.find(expected), std::string::npos) << expected << "\n" << exit.text;
    }
}

TEST(Config, WhatIsWrongTogether) {
    EXPECT_NE(exit_of({}, {{"HOLDFAST_LIMITS_MIN_TTL", "20s"}}).text.find("in this order"),
              std::string::npos);
    EXPECT_NE(exit_of({}, {{"HOLDFAST_STORE_PASSWORD", "a"}, {"HOLDFAST_STORE_PASSWORD_FILE", "b"}})
                  .text.find("both set"),
              std::string::npos);
    EXPECT_NE(exit_of({}, {{"HOLDFAST_STORE_RETENTION", "1m"}}).text.find("the shortest is"),
              std::string::npos);
    EXPECT_EQ(exit_of({}, {{"HOLDFAST_STORE_USERNAME", "u"}}).code, ExitCode::usage);
    EXPECT_EQ(exit_of({}, {{"HOLDFAST_STORE_PREFIX", ""}}).code, ExitCode::usage);
}

TEST(Config, StrictModeNeedsReplicasThatAreCounted) {
    const std::string redis = "redis://redis.internal";
    const auto problem = [](const std::string& url, Environment more) {
        more["HOLDFAST_STORE_SAFETY"] = "strict";
        const Exit exit = exit_of({"--store", url}, more);
        EXPECT_EQ(exit.code, ExitCode::usage);
        return exit.text;
    };
    EXPECT_THAT(problem("", {{"HOLDFAST_STORE_REPLICAS", "1"}}), HasSubstr("set store.url"));
    EXPECT_THAT(problem(redis, {}), HasSubstr("store.replicas is 0"));
    EXPECT_THAT(problem(redis, {{"HOLDFAST_STORE_REPLICAS", "33"}}), HasSubstr("1 to 32"));
    EXPECT_THAT(
        problem(redis,
                {{"HOLDFAST_STORE_REPLICAS", "1"}, {"HOLDFAST_STORE_WAIT_TIMEOUT", "500ms"}}),
        HasSubstr("a third of limits.min_ttl"));
    EXPECT_EQ(settings_of({"--store", redis},
                          {{"HOLDFAST_STORE_SAFETY", "strict"}, {"HOLDFAST_STORE_REPLICAS", "2"}})
                  .store.replicas,
              2U);
}

TEST(Config, SecretsAreNotShown) {
    const Environment environment{{"HOLDFAST_STORE_URL", "redis://u:s3cret@h:1/0"}};
    EXPECT_EQ(exit_of({"--print-config"}, environment).text.find("s3cret"), std::string::npos);
    EXPECT_EQ(
        exit_of({"--print-config"}, {{"HOLDFAST_STORE_PASSWORD", "s3cret"}}).text.find("s3cret"),
        std::string::npos);
    const Exit bad = exit_of({"--store", "redis://u:s3cret@h:x"});
    EXPECT_EQ(bad.text.find("s3cret"), std::string::npos) << bad.text;
    EXPECT_EQ(mask_url("redis://u:s3c@ret@h:1"), "redis://u:***@h:1");
    EXPECT_EQ(mask_url("redis://h:1/0"), "redis://h:1/0");
    EXPECT_EQ(mask_url("unix:///p@th:x"), "unix:///p@th:x");
}

TEST(Config, TheExampleOfTlsIsRight) {
    const std::string example = test::source_file("config/tls.toml");
    EXPECT_EQ(exit_of({"--config", example, "--check-config"}).text,
              "the configuration is valid\n");
    const Settings settings = settings_of({"--config", example});
    EXPECT_EQ(settings.store.tls_min_version, "1.3");
    EXPECT_EQ(settings.store.tls_key, "/etc/holdfast/holdfastd.key");
}

TEST(Config, TlsSettingsThatDoNothingAreMistakes) {
    const std::string tls = "rediss://redis.internal";
    const std::pair<const char*, const char*> alone[] = {
        {"HOLDFAST_STORE_TLS_CA", "/ca.pem"},
        {"HOLDFAST_STORE_TLS_SERVER_NAME", "redis"},
        {"HOLDFAST_STORE_TLS_MIN_VERSION", "1.3"},
    };
    for (const auto& [variable, value] : alone) {
        for (const char* url : {"redis://redis.internal", "unix:///redis.sock", ""}) {
            const Exit exit = exit_of({"--store", url}, {{variable, value}});
            EXPECT_EQ(exit.code, ExitCode::usage);
            EXPECT_NE(exit.text.find("does not begin with rediss://"), std::string::npos) << url;
        }
        settings_of({"--store", tls}, {{variable, value}});
    }
    EXPECT_NE(exit_of({"--store", tls}, {{"HOLDFAST_STORE_TLS_CERT", "/c.pem"}})
                  .text.find("belong together"),
              std::string::npos);
    EXPECT_NE(exit_of({"--store", tls}, {{"HOLDFAST_STORE_TLS_MIN_VERSION", "1.1"}})
                  .text.find("not one of 1.2, 1.3"),
              std::string::npos);
}

TEST(Config, TheExampleOfCoexistenceIsRight) {
    const Settings settings = settings_of({"--config", test::source_file("config/coexist.toml")});
    EXPECT_EQ(settings.store.coexist,
              (std::vector<std::string>{"orders:", "billing:=>lock||billing||"}));
    EXPECT_EQ(settings_of({}, {{"HOLDFAST_STORE_COEXIST", "a:,b:=>c"}}).store.coexist,
              (std::vector<std::string>{"a:", "b:=>c"}));
}

TEST(Config, CoexistenceWhereItCannotBeIsAMistake) {
    const Exit own = exit_of({}, {{"HOLDFAST_STORE_COEXIST", "jobs:=>hf:jobs:"}});
    EXPECT_EQ(own.code, ExitCode::usage);
    EXPECT_NE(own.text.find("store.coexist has \"jobs:=>hf:jobs:\": plain keys that begin with"),
              std::string::npos)
        << own.text;
    for (const char* url : {"redis+cluster://a:1,b:2", "rediss+quorum://a:1,b:2,c:3"}) {
        Settings many;
        many.store.url = url;
        EXPECT_TRUE(check_together(many).empty());
        many.store.coexist = {"jobs:"};
        const auto problems = check_together(many);
        ASSERT_EQ(problems.size(), 1U);
        EXPECT_NE(problems[0].find("store.coexist is set, which is for one primary"),
                  std::string::npos);
    }
}

TEST(Config, CheckConfigOnlyChecks) {
    const Exit exit = exit_of({"--config", kExample, "--check-config"});
    EXPECT_EQ(exit.code, ExitCode::ok);
}

}  // namespace
}  // namespace holdfast::daemon
