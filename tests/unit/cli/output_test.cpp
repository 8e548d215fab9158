// What the verbs print, from messages made by hand. A name that would steer the terminal is in each.

#include "cli/admin_output.hpp"
#include "cli/event_output.hpp"
#include "cli/lock_output.hpp"
#include "cli/watch_output.hpp"

#include <gmock/gmock.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr char kEvil[] = "a\x1b[2J\xc2\x9b";  // ESC, and CSI as one character
constexpr char kShown[] = "a\\x1b[2J\\xc2\\x9b";

// None of a terminal's control characters, but the ends of lines.
void expect_harmless(const std::string& text) {
    for (const char* control : {"\x1b", "\x7f", "\xc2\x9b", "\r"}) {
        EXPECT_THAT(text, Not(HasSubstr(control)));
    }
}

v1::Holder holder(const std::string& owner, std::uint64_t token, std::uint32_t permits = 0) {
    v1::Holder holder;
    holder.set_owner(owner);
    holder.set_fencing_token(token);
    holder.set_held_for_ms(2500);
    holder.set_expires_in_ms(9000);
    holder.set_permits(permits);
    return holder;
}

v1::LockState permits() {
    v1::LockState lock;
    lock.set_name("pool");
    lock.set_mode(v1::MODE_PERMIT);
    lock.set_limit(5);
    lock.set_waiting(2);
    *lock.add_holders() = holder(kEvil, 17, 2);
    *lock.add_holders() = holder("b", 18, 1);
    return lock;
}

TEST(LockOutput, ShowsModePermitsAndWaiting) {
    const std::string text = show(permits());
    EXPECT_THAT(text, HasSubstr("name:     pool\nmode:     permit, 3 of 5 in use\nwaiting:  2\n"));
    EXPECT_THAT(text,
                HasSubstr(std::string{"owner:    "} + kShown +
                          "\ntoken:    17\nheld for: 2.5s\nexpires:  in 9s unless renewed\n"
                          "permits:  2\n"));
    EXPECT_EQ(show_line(permits()),
              std::string{"permit, 3 of 5 in use, held by "} + kShown +
                  " (token 17), b (token 18); 2 waiting");
    std::vector<std::vector<std::string>> rows{lock_heading()};
    add_rows(permits(), rows);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[2],
              (std::vector<std::string>{"pool", "permit 1/5", "b", "18", "2.5s", "9s", "2"}));
    EXPECT_EQ(rows[0].size(), rows[1].size());
    EXPECT_EQ(json_of(permits()).at("limit").as_uint64(), 5U);
    EXPECT_EQ(json_of(permits()).at("holders").at(0).at("permits").as_uint64(), 2U);
}

TEST(LockOutput, SaysThatALockIsFreeAndLeavesOutManyHolders) {
    v1::LockState lock;
    EXPECT_EQ(show_line(lock), "free; 0 waiting");
    lock.set_mode(v1::MODE_SHARED);
    for (std::uint64_t i = 1; i <= 7; ++i) {
        *lock.add_holders() = holder("r", i);
    }
    EXPECT_THAT(show_line(lock), HasSubstr("shared, held by r (token 1), "));
    EXPECT_THAT(show_line(lock), HasSubstr("r (token 5) and 2 more; 0 waiting"));
    EXPECT_FALSE(json_of(lock).contains("limit"));
}

Told told(v1::LeaseEvent event, Told::Kind kind = Told::Kind::event) {
    return {kind, std::move(event), {}};
}

TEST(EventOutput, TheLeaseIdIsInGrantedOnly) {
    v1::LeaseEvent event;
    event.set_lease_id("secret");
    v1::Lease& lease = *event.mutable_granted()->mutable_lease();
    lease.set_lease_id("secret");
    lease.set_name("job");
    lease.set_fencing_token(18);
    lease.set_ttl_ms(10'000);
    EXPECT_EQ(show(told(event, Told::Kind::granted), 9900ms),
              "granted: token 18, safe for 9.9s; lease id secret\n");
    EXPECT_EQ(to_json(told(event, Told::Kind::granted), 9900ms),
              "{\"event\":\"granted\",\"name\":\"job\",\"mode\":\"MODE_UNSPECIFIED\","
              "\"lease_id\":\"secret\",\"fencing_token\":18,\"ttl_ms\":10000,"
              "\"safe_for_ms\":9900}\n");
    EXPECT_EQ(show(told(event, Told::Kind::resumed), 1s), "resumed, safe for 1s\n");
    event.mutable_renewed()->mutable_lease()->set_lease_id("secret");
    EXPECT_EQ(show(told(event), 5s), "renewed, safe for 5s\n");
    EXPECT_THAT(to_json(told(event), 5s), Not(HasSubstr("secret")));
}

TEST(EventOutput, HasALineForEachEvent) {
    v1::LeaseEvent event;
    event.mutable_queued()->set_position(3);
    *event.mutable_queued()->mutable_holder() = holder(kEvil, 17);
    EXPECT_EQ(show(told(event), 0s),
              std::string{"waiting: position 3, held by "} + kShown +
                  " (token 17) for 9s more unless renewed\n");
    EXPECT_THAT(to_json(told(event), 0s), Not(HasSubstr("safe_for_ms")));
    expect_harmless(to_json(told(event), 0s));
    event.mutable_at_risk()->set_why(kEvil);
    EXPECT_EQ(show(told(event), 2s), std::string{"at risk, safe for 2s only: "} + kShown + "\n");
    event.mutable_recovered();
    EXPECT_EQ(show(told(event), 2s), "recovered, safe for 2s\n");
    event.mutable_revoke_requested()->set_deadline_in_ms(10'000);
    event.mutable_revoke_requested()->set_reason(kEvil);
    EXPECT_EQ(show(told(event), 2s),
              std::string{"revoke requested: give it up within 10s: "} + kShown + "\n");
    event.mutable_moving();
    EXPECT_THAT(show(told(event), 2s), HasSubstr("moving, safe for 2s"));
    event.mutable_lost()->set_cause(v1::LOSS_CAUSE_REVOKED);
    event.mutable_lost()->set_why(kEvil);
    EXPECT_EQ(show(told(event, Told::Kind::over), 2s),
              std::string{"lost: it was revoked ("} + kShown + ")\n");
    EXPECT_THAT(to_json(told(event, Told::Kind::over), 2s), Not(HasSubstr("safe_for_ms")));
    EXPECT_THAT(to_json(told(event, Told::Kind::over), 2s), Not(HasSubstr("newer_token")));
    event.mutable_lost()->set_newer_token(19);
    EXPECT_THAT(to_json(told(event, Told::Kind::over), 2s), HasSubstr("\"newer_token\":19"));
    event.mutable_released()->set_verdict(v1::VERDICT_HELD_THROUGHOUT);
    EXPECT_EQ(show(told(event, Told::Kind::over), 2s), "released: the lock was held throughout\n");
    EXPECT_EQ(to_json(told(event, Told::Kind::over), 2s),
              "{\"event\":\"released\",\"verdict\":\"VERDICT_HELD_THROUGHOUT\","
              "\"newer_token\":0}\n");
}

TEST(EventOutput, SaysWhatOnlyThisSideKnows) {
    Told broke{Told::Kind::broke, {}, Failure{ExitCode::unavailable, "UNREACHABLE", kEvil, {}}};
    EXPECT_EQ(show(broke, 3s),
              std::string{"disconnected, safe for 3s; trying again: "} + kShown + "\n");
    expect_harmless(to_json(broke, 3s));
    Told lost{Told::Kind::over, {}, Failure{ExitCode::lost, "LEASE_LOST", "too late", {}}};
    EXPECT_EQ(show(lost, 0s), "lost: too late\n");
    EXPECT_EQ(to_json(lost, 0s), "{\"event\":\"lost\",\"why\":\"too late\"}\n");
    Told refused{
        Told::Kind::over, {}, Failure{ExitCode::not_obtained, "LOCK_HELD", "it is held", {}}};
    EXPECT_EQ(show(refused, 0s), "") << "a failure goes to stderr";
    EXPECT_EQ(to_json(refused, 0s), "");
}

TEST(WatchOutput, HasALineForEachEvent) {
    v1::WatchEvent event;
    *event.mutable_snapshot() = permits();
    event.mutable_snapshot()->set_name(kEvil);
    EXPECT_THAT(show(event), HasSubstr(std::string{"is       "} + kShown + ": permit, 3 of 5"));
    expect_harmless(to_json(event));
    EXPECT_THAT(to_json(event), HasSubstr("{\"event\":\"snapshot\",\"lock\":{\"name\":"));
    event.mutable_snapshot_end();
    EXPECT_EQ(show(event), "watching\n");
    EXPECT_EQ(to_json(event), "{\"event\":\"snapshot_end\"}\n");
    event.mutable_changed()->set_name("job");
    EXPECT_EQ(show(event), "changed  job: free; 0 waiting\n");
    event.mutable_missed()->set_name("job");
    EXPECT_EQ(show(event), "missed   changes of job; their state follows\n");
    EXPECT_EQ(to_json(event), "{\"event\":\"missed\",\"name\":\"job\"}\n");
}

TEST(AdminOutput, ExplainsWhoHasAndWhoWaits) {
    v1::ExplainResponse explained;
    *explained.mutable_lock() = permits();
    v1::Waiter& waiter = *explained.add_waiters();
    waiter.set_position(1);
    waiter.set_owner(kEvil);
    waiter.set_mode(v1::MODE_SHARED);
    waiter.set_priority(-2);
    waiter.set_waiting_for_ms(1500);
    waiter.set_daemon("d1");
    v1::Transition& transition = *explained.add_transitions();
    transition.set_ago_ms(4000);
    transition.set_what("granted");
    transition.set_owner(kEvil);
    transition.set_fencing_token(17);
    explained.add_silent_daemons(kEvil);
    const std::string text = show(explained);
    EXPECT_THAT(text, HasSubstr("mode:     permit, 3 of 5 in use"));
    EXPECT_THAT(text,
                HasSubstr(std::string{"POSITION  OWNER             MODE    PRIORITY  WAITING  "
                                      "DAEMON\n1         "} +
                          kShown + "  shared  -2        1.5s     d1\n"));
    EXPECT_THAT(text, HasSubstr("4s   granted  "));
    EXPECT_THAT(text, HasSubstr(std::string{"no answer from: "} + kShown + "\n"));
    expect_harmless(text);
    expect_harmless(to_json(explained));
    EXPECT_THAT(to_json(explained), HasSubstr("\"priority\":-2,\"waiting_for_ms\":1500"));
}

TEST(AdminOutput, SaysWhenThereIsMore) {
    v1::ExplainResponse explained;
    EXPECT_THAT(show(explained), Not(HasSubstr("cut:")));
    EXPECT_THAT(to_json(explained), HasSubstr("\"cut\":false"));
    explained.set_cut(true);
    EXPECT_THAT(show(explained),
                HasSubstr("cut: there are more waiters or events than are shown\n"));
    EXPECT_THAT(to_json(explained), HasSubstr("\"cut\":true"));
    v1::ListSessionsResponse sessions;
    EXPECT_THAT(show(sessions), Not(HasSubstr("cut:")));
    EXPECT_THAT(to_json(sessions), HasSubstr("\"cut\":false"));
    sessions.set_cut(true);
    EXPECT_THAT(show(sessions), HasSubstr("cut: there are more sessions than are shown\n"));
    EXPECT_THAT(to_json(sessions), HasSubstr("\"cut\":true"));
}

TEST(AdminOutput, AFreeLockHasNothingToExplain) {
    v1::ExplainResponse explained;
    explained.mutable_lock()->set_name("job");
    EXPECT_EQ(show(explained), "name:     job\nnobody holds it\n");
}

TEST(AdminOutput, SaysWhomItAsked) {
    v1::RevokeResponse revoked;
    EXPECT_EQ(show(revoked), "nobody was asked: no such holder\n");
    *revoked.add_asked() = holder(kEvil, 17);
    EXPECT_EQ(show(revoked), std::string{"asked: "} + kShown + " (token 17)\n");
    expect_harmless(to_json(revoked));
    v1::ForceReleaseResponse released;
    EXPECT_EQ(show(released), "taken from nobody: no such holder\n");
    *released.add_released() = holder("a", 17);
    EXPECT_EQ(show(released), "taken from: a (token 17)\nfree now\n");
    released.set_free_in_ms(9000);
    EXPECT_THAT(show(released), HasSubstr("free in 9s\n"));
    EXPECT_THAT(to_json(released), HasSubstr("\"free_in_ms\":9000"));
}

TEST(AdminOutput, SessionsAndStatus) {
    v1::ListSessionsResponse sessions;
    v1::SessionInfo& session = *sessions.add_sessions();
    session.set_peer(kEvil);
    session.set_daemon("d1");
    session.set_connected_for_ms(61'000);
    session.set_leases(3);
    EXPECT_THAT(show(sessions),
                HasSubstr(std::string{kShown} + "  d1      1m1s       3       0\n"));
    expect_harmless(to_json(sessions));
    v1::GetStatusResponse status;
    status.set_version("0.1.0");
    status.add_reasons(kEvil);
    status.set_leases(5);
    EXPECT_EQ(show(status),
              std::string{"version: 0.1.0\ndaemon:  \nready:   no\n         "} + kShown +
                  "\nleases:  5\nwaiting: 0\nup for:  0ms\n");
    expect_harmless(to_json(status));
}

}  // namespace
}  // namespace holdfast::cli
