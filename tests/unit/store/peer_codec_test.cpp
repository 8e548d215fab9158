#include "store/peer_codec.hpp"

#include "redis/client.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::store {
namespace {

using namespace std::chrono_literals;

Answer an_answer() {
    Answer answer{"id", "station1", {}};
    answer.what.waiters = {{"me", core::Mode::shared, -10, 5ms, 1'700'000'000'000'000},
                           {"", core::Mode::exclusive, 0, 0ms, 0}};
    answer.what.transitions = {{7ms, "granted", "ö wner", {9'007'199'254'740'000}}};
    answer.what.streams = {{"ipv4:127.0.0.1:1", 3s, 1, 2}};
    return answer;
}

Offers some_offers() {
    core::HolderId holder;
    holder.bytes.fill('h');
    return {12345, {{{*core::LockName::parse("a{}"), holder, {7}}, {2s}, 99, "station1"}}};
}

template <class Message>
Message decoded(const std::string& payload) {
    const auto message = decode_peer_message(payload);
    EXPECT_TRUE(message && std::holds_alternative<Message>(*message));
    return message && std::holds_alternative<Message>(*message) ? std::get<Message>(*message)
                                                                : Message{};
}

TEST(PeerCodec, AQuestionComesThrough) {
    const auto asked = decoded<Question>(
        encode(Question{"id", "station1", {core::PeerQuestion::Kind::explain, "a \"lock\" {1}"}}));
    EXPECT_EQ(asked.id, "id");
    EXPECT_EQ(asked.from, "station1");
    EXPECT_EQ(asked.what.kind, core::PeerQuestion::Kind::explain);
    EXPECT_EQ(asked.what.subject, "a \"lock\" {1}");
    const auto streams = decoded<Question>(
        encode(Question{"id", "station1", {core::PeerQuestion::Kind::streams, ""}}));
    EXPECT_EQ(streams.what.kind, core::PeerQuestion::Kind::streams);
}

TEST(PeerCodec, AnAnswerComesThrough) {
    const auto told = decoded<Answer>(encode(an_answer()));
    EXPECT_EQ(told.id, "id");
    EXPECT_EQ(told.station, "station1");
    EXPECT_FALSE(told.what.cut);
    ASSERT_EQ(told.what.waiters.size(), 2U);
    EXPECT_EQ(told.what.waiters[0].owner, "me");
    EXPECT_EQ(told.what.waiters[0].mode, core::Mode::shared);
    EXPECT_EQ(told.what.waiters[0].priority, -10);
    EXPECT_EQ(told.what.waiters[0].waiting_for, 5ms);
    EXPECT_EQ(told.what.waiters[0].arrival_us, 1'700'000'000'000'000);
    ASSERT_EQ(told.what.transitions.size(), 1U);
    EXPECT_EQ(told.what.transitions[0].ago, 7ms);
    EXPECT_EQ(told.what.transitions[0].what, "granted");
    EXPECT_EQ(told.what.transitions[0].owner, "ö wner");
    EXPECT_EQ(told.what.transitions[0].token.value, 9'007'199'254'740'000U);
    ASSERT_EQ(told.what.streams.size(), 1U);
    EXPECT_EQ(told.what.streams[0].peer, "ipv4:127.0.0.1:1");
    EXPECT_EQ(told.what.streams[0].connected_for, 3s);
    EXPECT_EQ(told.what.streams[0].leases, 1U);
    EXPECT_EQ(told.what.streams[0].waiting, 2U);
}

TEST(PeerCodec, OffersComeThrough) {
    const auto offered = decoded<Offers>(encode(some_offers()));
    EXPECT_EQ(offered.valid_until_us, 12345);
    ASSERT_EQ(offered.offers.size(), 1U);
    EXPECT_EQ(offered.offers[0].lease.name.text(), "a{}");
    EXPECT_EQ(offered.offers[0].lease.token.value, 7U);
    EXPECT_EQ(offered.offers[0].ttl.value, 2s);
    EXPECT_EQ(offered.offers[0].until_us, 99);
}

TEST(PeerCodec, RowsAndFieldsOfANewerVersionAreSkipped) {
    const auto told = decoded<Answer>(
        'A' +
        redis::format_command({"id", "station1", "0", "new",  "2", "x", "y",    "w", "6", "me", "x",
                               "1",  "2",        "3", "more", "s", "4", "peer", "1", "2", "3"}));
    ASSERT_EQ(told.what.waiters.size(), 1U);
    EXPECT_EQ(told.what.waiters[0].owner, "me");
    EXPECT_EQ(told.what.waiters[0].arrival_us, 3);
    EXPECT_EQ(told.what.streams.size(), 1U);
}

TEST(PeerCodec, MoreThanFitsIsCut) {
    Answer answer = an_answer();
    answer.what.waiters.resize(core::PeerAnswer::kMostWaiters + 5);
    const auto told = decoded<Answer>(encode(answer));
    EXPECT_EQ(told.what.waiters.size(), core::PeerAnswer::kMostWaiters);
    EXPECT_TRUE(told.what.cut);
}

TEST(PeerCodec, WhatIsBrokenIsNoMessage) {
    const auto broken = [](char kind, const std::vector<std::string_view>& fields) {
        return !decode_peer_message(kind + redis::format_command(fields));
    };
    EXPECT_TRUE(broken('X', {"id", "station1", "streams", ""}));
    EXPECT_TRUE(broken('Q', {"id"}));
    EXPECT_TRUE(broken('Q', {"id", "station1", "other", ""}));
    EXPECT_TRUE(broken('Q', {"id", "short", "streams", ""}));
    EXPECT_TRUE(broken('Q', {"id", "bad\r\n:*1", "streams", ""}));
    EXPECT_TRUE(broken('Q', {"id", "station1", "explain", ""}));
    EXPECT_TRUE(broken('Q',
                       {"id",
                        "station1",
                        "explain",
                        "a\x01"
                        "b"}));
    EXPECT_TRUE(broken('Q', {"i\xff", "station1", "streams", ""}));
    EXPECT_TRUE(broken('A', {"id", "station1", "x"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "9", "me"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "-1", "me"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "18446744073709551615", "me"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "4", "me", "x", "0", "0"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "5", "\xff", "x", "0", "0", "0"}));
    EXPECT_TRUE(broken('A', {"id", "station1", "0", "w", "5", "me", "x", "0", "-5", "0"}));
    EXPECT_TRUE(
        broken('A', {"id", "station1", "0", "w", "5", std::string(257, 'o'), "x", "0", "0", "0"}));
    EXPECT_TRUE(broken('H', {"1", "o", "3", "no lease", "1", "2"}));
    EXPECT_TRUE(broken('H', {"soon"}));
    EXPECT_FALSE(decode_peer_message(""));
    EXPECT_FALSE(decode_peer_message("A"));
    EXPECT_FALSE(decode_peer_message("A*99999999\r\n"));
    EXPECT_FALSE(decode_peer_message("A*1\r\n*1\r\n$1\r\nx\r\n"));
    EXPECT_FALSE(decode_peer_message("A:1\r\n"));
    EXPECT_FALSE(decode_peer_message("A" + std::string(kMaxPeerMessage, '*')));
}

// What comes in is a stranger's: whatever it is, it does no harm.
TEST(PeerCodec, MangledMessagesDoNoHarm) {
    std::minstd_rand random{7};
    for (const std::string& good :
         {encode(an_answer()), encode(some_offers()), encode(Question{"id", "station1", {}})}) {
        for (std::size_t size = 0; size < good.size(); ++size) {
            EXPECT_FALSE(decode_peer_message(good.substr(0, size)));
        }
        for (int i = 0; i < 20'000; ++i) {
            std::string mangled = good;
            for (int changes = 1 + static_cast<int>(random() % 4); changes > 0; --changes) {
                mangled[random() % mangled.size()] = static_cast<char>(random());
            }
            decode_peer_message(mangled);
        }
    }
}

}  // namespace
}  // namespace holdfast::store
