// Several daemons' stores on three real nodes, over links that lose, delay and refuse at random. Checked, by
// C1 and C2 of the fault matrix: no two believe that they hold a lock at the same time; tokens are different,
// and a grant that began after another had been told has the higher one.
//
// Order must not rest on time: it is tested with clocks that stand still, so that no grant is ever found to
// have come too late, with leases of 20 ms, and proposals from clocks half a second apart.

#include "quorum_fixture.hpp"
#include "wild_link.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

namespace holdfast::store {
namespace {

using core::FencingToken;
using core::Granted;
using core::Instant;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class QuorumFaults : public QuorumTest {
protected:
    static constexpr int kDaemons = 4;

    struct Grant {
        std::string lock;
        std::string holder;
        std::uint64_t token;
        Instant invoked;   // the attempt began
        Instant returned;  // and was told
        Instant until;     // believed
    };
    struct Workload {
        bool by_time = true;  // else clocks stand still, and only order is checked
        int locks = 12;       // each daemon wants each of them, all the time
        std::chrono::milliseconds ttl{150};
        std::chrono::milliseconds lasts{4000};
        WildLink::Odds odds;
        int flushes = 0;  // so often, at least, a node loses its memory, one at a time
        bool no_proposals =
            false;  // none is ever accepted: tokens come from the nodes' fences alone
    };

    struct Worker {
        std::size_t daemon;
        std::string lock;
    };
    struct Daemon {
        std::vector<std::unique_ptr<WildLink>> links;
        std::unique_ptr<QuorumSide> side;
    };

    void run(const Workload& load) {
        const auto seed = static_cast<unsigned>(std::random_device{}());
        std::cout << "seed " << seed << '\n';
        std::mt19937 random{seed};
        make_daemons(load, seed);
        const Instant end = stage_.clock.now() + load.lasts;
        for (std::size_t i = 0; i < daemons_.size(); ++i) {
            for (int lock = 0; lock < load.locks; ++lock) {
                ask({i, "hot" + std::to_string(lock)}, load, end);
            }
        }
        Instant next_flush = stage_.clock.now() + 300ms;
        const bool done = stage_.run_until(
            [&] {
                if (!load.by_time) {
                    stage_.timers.fire(Instant::max());  // the stores' clocks never get there
                }
                if (load.flushes > 0 && stage_.clock.now() > next_flush) {
                    next_flush = flush_one(random);
                }
                return is_over(load, end) && busy_ == 0;
            },
            load.lasts + 60s);
        EXPECT_TRUE(done) << busy_ << " calls have no answer";
        for (Daemon& daemon : daemons_) {
            for (auto& link : daemon.links) {
                link->calm();
            }
        }
        stage_.run_for(300ms);
    }

    void make_daemons(const Workload& load, unsigned seed) {
        for (int i = 0; i < kDaemons; ++i) {
            auto& daemon = daemons_.emplace_back();
            QuorumSetup setup;
            setup.station = "station" + std::to_string(i);
            setup.max_ttl = {load.ttl};
            if (!load.by_time) {
                setup.clock = &stopped_;
                setup.clock_guard = core::Duration::max();
            }
            const std::int64_t skew = (i % 3 - 1) * 500'000;
            setup.wall_clock = [skew, none = load.no_proposals] {
                constexpr std::int64_t kFarAhead = 8'000'000'000'000'000;
                return none ? kFarAhead
                            : skew + std::chrono::floor<std::chrono::microseconds>(
                                         std::chrono::system_clock::now().time_since_epoch())
                                         .count();
            };
            setup.between = [&, i](std::size_t node, redis::Client& pool) -> redis::Client* {
                daemon.links.push_back(std::make_unique<WildLink>(
                    stage_,
                    pool,
                    WildLink::Odds{},
                    seed + 10 * static_cast<unsigned>(i) + static_cast<unsigned>(node)));
                return daemon.links.back().get();
            };
            daemon.side = ready_side(setup);
        }
        for (Daemon& daemon : daemons_) {
            for (auto& link : daemon.links) {
                link->go_wild(load.odds);
            }
        }
    }

    core::HolderId next_holder(std::string& text) {
        text = "holder" + std::to_string(1'000'000'000 + ++holders_);
        text.resize(16, '.');
        core::HolderId id;
        std::copy(text.begin(), text.end(), id.bytes.begin());
        return id;
    }

    bool is_over(const Workload& load, Instant end) const {
        return stage_.clock.now() >= end && flushes_ >= load.flushes;
    }

    void ask(const Worker& who, const Workload& load, Instant end) {
        if (is_over(load, end)) {
            return;
        }
        QuorumSide& side = *daemons_[who.daemon].side;
        std::string text;
        core::Want want = side.want('x', load.ttl);
        want.holder = want.call = next_holder(text);
        ++busy_;
        const Instant invoked = stage_.clock.now();
        side.store->acquire(
            {QuorumSide::lock(who.lock), want, 100ms},
            [this, who, load, end, text, want, invoked](auto answer) {
                --busy_;
                const auto* granted = answer ? std::get_if<Granted>(&*answer) : nullptr;
                if (granted == nullptr) {
                    ++refused_;
                    ask(who, load, end);
                    return;
                }
                const Instant now = stage_.clock.now();
                grants_.push_back(
                    {who.lock, text, granted->token.value, invoked, now, invoked + load.ttl});
                const core::Lease lease{QuorumSide::lock(who.lock), want.holder, granted->token};
                if (grants_.size() % 4 == 0) {  // it forgets to release
                    ask(who, load, end);
                    return;
                }
                // Held for a while; renewed, as a watchdog would.
                ++busy_;
                after(load.by_time ? load.ttl / 3 : 1ms,
                      [this, who, load, end, lease, at = grants_.size() - 1] {
                          renew(who, load, end, lease, at);
                      });
            });
    }

    void renew(const Worker& who,
               const Workload& load,
               Instant end,
               const core::Lease& lease,
               std::size_t at) {
        const Instant sent = stage_.clock.now();
        const core::RenewCommand command{lease, {load.ttl}, sent < grants_[at].until};
        daemons_[who.daemon].side->store->renew(
            std::span{&command, 1},
            load.ttl / 3,
            [this, who, load, end, lease, at, sent](auto answers) {
                Grant& grant = grants_[at];
                const Instant now = stage_.clock.now();
                if (answers && answers->front().renewed && sent < grant.until &&
                    now < sent + load.ttl) {
                    grant.until = std::max(grant.until, sent + load.ttl);
                    ++renewed_;
                }
                grant.until = std::min(grant.until, now);  // it stops before it releases
                daemons_[who.daemon].side->store->release(
                    lease, {}, 100ms, [this, who, load, end](const auto&) {
                        --busy_;
                        ask(who, load, end);
                    });
            });
    }

    void after(std::chrono::milliseconds time, std::function<void()> what) {
        auto timer = std::make_shared<boost::asio::steady_timer>(stage_.context, time);
        timer->async_wait([timer, what = std::move(what)](auto) { what(); });
    }

    Instant flush_one(std::mt19937& random) {
        const bool all = std::all_of(daemons_.begin(), daemons_.end(), [](Daemon& daemon) {
            return daemon.side->nodes().taking_part() == 3;
        });
        if (all) {
            redis_[std::uniform_int_distribution<std::size_t>{0, 2}(random)]->run({"FLUSHALL"});
            ++flushes_;
        }
        for (Daemon& daemon : daemons_) {
            daemon.side->nodes().look(1s, [] {});
        }
        return stage_.clock.now() + 50ms;
    }

    // Of C1 and C2; each in words.
    std::vector<std::string> problems(const Workload& load) const {
        std::vector<std::string> found;
        for (int lock = 0; lock < load.locks; ++lock) {
            std::vector<Grant> grants;
            std::copy_if(grants_.begin(),
                         grants_.end(),
                         std::back_inserter(grants),
                         [name = "hot" + std::to_string(lock)](const Grant& grant) {
                             return grant.lock == name;
                         });
            look_at_tokens(grants, found);
            if (load.by_time) {
                look_at_times(grants, found);
            }
        }
        return found;
    }
    static void look_at_tokens(std::vector<Grant> grants, std::vector<std::string>& found) {
        std::set<std::uint64_t> tokens;
        for (const Grant& grant : grants) {
            if (!tokens.insert(grant.token).second) {
                found.push_back("token " + std::to_string(grant.token) + " was granted twice");
            }
        }
        std::vector<Grant> by_return = grants;
        std::sort(by_return.begin(), by_return.end(), [](const Grant& a, const Grant& b) {
            return a.returned < b.returned;
        });
        std::sort(grants.begin(), grants.end(), [](const Grant& a, const Grant& b) {
            return a.invoked < b.invoked;
        });
        std::uint64_t highest = 0;
        std::size_t told = 0;
        for (const Grant& grant : grants) {
            while (told < by_return.size() && by_return[told].returned <= grant.invoked) {
                highest = std::max(highest, by_return[told++].token);
            }
            if (grant.token <= highest) {
                found.push_back("token " + std::to_string(grant.token) + " came after " +
                                std::to_string(highest));
            }
        }
    }
    static void look_at_times(std::vector<Grant> grants, std::vector<std::string>& found) {
        std::sort(grants.begin(), grants.end(), [](const Grant& a, const Grant& b) {
            return a.returned < b.returned;
        });
        Instant held_until{};
        for (const Grant& grant : grants) {
            if (grant.returned < held_until && grant.until > grant.returned) {
                found.push_back(grant.holder +
                                " was granted the lock while another believed in it");
            }
            held_until = std::max(held_until, grant.until);
        }
    }
    void expect_right(const Workload& load) {
        std::cout << grants_.size() << " grants, " << renewed_ << " renewed, " << refused_
                  << " refused, " << flushes_ << " nodes emptied\n";
        EXPECT_GT(grants_.size(), 100U);
        for (const std::string& problem : problems(load)) {
            ADD_FAILURE() << problem;
        }
    }
    static Workload by_time() {
        Workload load;
        load.odds = {.refuse = 5, .lose_request = 2, .lose_reply = 4, .delay = 20, .most = 30ms};
        return load;
    }
    static Workload order_only() {
        Workload load;
        load.by_time = false;
        load.ttl = 20ms;
        load.odds = {.refuse = 10, .lose_request = 5, .lose_reply = 10, .delay = 20, .most = 25ms};
        return load;
    }

    StoppedClock stopped_;
    std::vector<Grant> grants_;
    std::deque<Daemon> daemons_;
    std::uint64_t holders_ = 0;
    int busy_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t renewed_ = 0;
    int flushes_ = 0;
};

TEST_F(QuorumFaults, NobodyHoldsTheLockWithAnother) {
    run(by_time());
    expect_right(by_time());
    EXPECT_GT(renewed_, 0U);
}

TEST_F(QuorumFaults, TokensAreInOrderWhateverTheClocksAndLinksDo) {
    run(order_only());
    expect_right(order_only());
}

TEST_F(QuorumFaults, TokensAreInOrderWhileNodesLoseTheirMemory) {
    Workload load = order_only();
    load.flushes = 3;
    load.no_proposals = true;
    run(load);
    expect_right(load);
    EXPECT_GE(flushes_, 3);
}

// That the checks can fail. What each rule of the protocol is for: quorum_rules_test.cpp.
TEST_F(QuorumFaults, TheChecksFindWhatIsWrong) {
    const Instant start = stage_.clock.now();
    const auto grant = [&](std::uint64_t token, std::chrono::seconds told, Instant until) {
        grants_.push_back({"hot0", "x", token, start + told - 1s, start + told, until});
    };
    grant(1, 1s, start + 2s);
    grant(2, 3s, start + 5s);
    EXPECT_THAT(problems(by_time()), IsEmpty());
    grant(2, 7s, start + 8s);
    EXPECT_THAT(problems(order_only()), ElementsAre(HasSubstr("twice"), HasSubstr("came after")));
    grants_.back().token = 1;
    EXPECT_THAT(problems(order_only()), ElementsAre(HasSubstr("twice"), HasSubstr("came after")));
    grants_.back().token = 3;
    EXPECT_THAT(problems(by_time()), IsEmpty());
    grants_.back().invoked = start + 2s;
    grants_.back().returned = start + 4s;
    EXPECT_THAT(problems(by_time()), ElementsAre(HasSubstr("another believed in it")));
}

}  // namespace
}  // namespace holdfast::store
