// Watch: a snapshot, then changes, through one daemon of what happens through another.

#include "fixture.hpp"
#include "support/tcp_gate.hpp"

#include <csignal>
#include <memory>
#include <set>
#include <vector>

namespace holdfast::e2e {
namespace {

using Kind = pb::WatchEvent::EventCase;

class WatchStream {
public:
    WatchStream(Client& client, const pb::WatchRequest& request) {
        context_.set_deadline(std::chrono::system_clock::now() + 300s);
        reader_ = client.stub().Watch(&context_, request);
    }
    ~WatchStream() {
        if (!over_) {
            context_.TryCancel();
            finish();
        }
    }

    Kind next() { return reader_->Read(&event) ? event.event_case() : Kind::EVENT_NOT_SET; }
    // Reads changes until one tells that the lock is held by this token (0: by nobody).
    bool until_held_by(const std::string& name, std::uint64_t token) {
        for (Kind kind = next(); kind != Kind::EVENT_NOT_SET; kind = next()) {
            if (kind != Kind::kChanged || event.changed().name() != name) {
                continue;
            }
            const auto& holders = event.changed().holders();
            if (token == 0 ? holders.empty()
                           : !holders.empty() && holders[0].fencing_token() == token) {
                return true;
            }
        }
        return false;
    }
    Answer finish() {
        over_ = true;
        while (reader_->Read(&event)) {
        }
        return answer_of(reader_->Finish());
    }

    pb::WatchEvent event;

private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<pb::WatchEvent>> reader_;
    bool over_ = false;
};

pb::WatchRequest of_name(const std::string& name) {
    pb::WatchRequest request;
    request.set_name(name);
    return request;
}

pb::WatchRequest of_prefix(const std::string& prefix) {
    pb::WatchRequest request;
    request.set_prefix(prefix);
    return request;
}

class WatchTest : public testing::Test {
protected:
    test::RedisProcess redis_;
    Daemon daemon_{{"--store", redis_.url()}};
    Daemon other_daemon_{{"--store", redis_.url()}};
    Client client_{daemon_.address()};
    Client other_{other_daemon_.address()};
};

TEST_F(WatchTest, ASnapshotThenEveryChangeThroughAnyDaemon) {
    ASSERT_TRUE(other_.acquire("a").ok());
    WatchStream watch{client_, of_name("a")};
    ASSERT_EQ(watch.next(), Kind::kSnapshot);
    EXPECT_EQ(watch.event.snapshot().holders(0).owner(), "e2e");
    EXPECT_EQ(watch.event.snapshot().holders(0).fencing_token(), other_.lease.fencing_token());
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    other_.release(other_.lease.lease_id());
    ASSERT_TRUE(watch.until_held_by("a", 0));
    ASSERT_TRUE(other_.acquire("a").ok());
    ASSERT_TRUE(watch.until_held_by("a", other_.lease.fencing_token()));
    other_.release(other_.lease.lease_id());
    ASSERT_TRUE(client_.acquire("a").ok());
    ASSERT_TRUE(watch.until_held_by("a", client_.lease.fencing_token()));
}

TEST_F(WatchTest, ALeaseThatEndsByItselfIsAChange) {
    ASSERT_TRUE(other_.acquire("a", 1s).ok());
    WatchStream watch{client_, of_name("a")};
    ASSERT_EQ(watch.next(), Kind::kSnapshot);
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    ASSERT_TRUE(other_.renew(other_.lease.lease_id(), 1s).ok());
    ASSERT_TRUE(watch.until_held_by("a", 0));
    EXPECT_TRUE(client_.acquire("a").ok());
}

TEST_F(WatchTest, APrefixHasAllThatIsHeldAndNothingElse) {
    std::vector<std::string> leases;
    for (int i = 0; i < 450; ++i) {  // more than a page
        ASSERT_TRUE(other_.acquire("job " + std::to_string(i), 20s).ok());
        leases.push_back(other_.lease.lease_id());
    }
    ASSERT_TRUE(client_.acquire("something else").ok());
    WatchStream watch{client_, of_prefix("job ")};
    std::set<std::string> names;
    while (watch.next() == Kind::kSnapshot) {
        names.insert(watch.event.snapshot().name());
    }
    EXPECT_EQ(watch.event.event_case(), Kind::kSnapshotEnd);
    EXPECT_EQ(names.size(), leases.size());
    client_.release(client_.lease.lease_id());
    other_.release(leases[17]);
    ASSERT_EQ(watch.next(), Kind::kChanged);
    EXPECT_EQ(watch.event.changed().name(), "job 17");
    EXPECT_TRUE(watch.event.changed().holders().empty());
}

TEST_F(WatchTest, WhatWasMissedIsSaidAndReadAnew) {
    test::TcpGate gate{redis_.port()};
    Daemon gated{{"--store", "redis://127.0.0.1:" + std::to_string(gate.port())}};
    Client watcher{gated.address()};
    WatchStream watch{watcher, of_name("a")};
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    gate.refuse(true);
    gate.cut();
    ASSERT_TRUE(other_.acquire("a").ok());
    gate.refuse(false);
    Kind kind = watch.next();
    ASSERT_EQ(kind, Kind::kMissed);
    EXPECT_EQ(watch.event.missed().name(), "a");
    ASSERT_EQ(watch.next(), Kind::kSnapshot);
    EXPECT_EQ(watch.event.snapshot().holders(0).fencing_token(), other_.lease.fencing_token());
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    other_.release(other_.lease.lease_id());
    EXPECT_TRUE(watch.until_held_by("a", 0));
}

// It reads nothing for a while, and is neither cut off nor left with a wrong picture.
TEST_F(WatchTest, AClientThatReadsSlowlyHearsTheLatest) {
    WatchStream watch{client_, of_prefix("")};
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    for (int i = 0; i < 3000; ++i) {
        ASSERT_TRUE(other_.acquire("hot").ok());
        ASSERT_TRUE(other_.release(other_.lease.lease_id()).ok());
    }
    ASSERT_TRUE(other_.acquire("hot").ok());
    const std::uint64_t last = other_.lease.fencing_token();
    std::uint64_t newest = 0;
    while (newest != last) {
        const Kind kind = watch.next();
        ASSERT_NE(kind, Kind::EVENT_NOT_SET);
        const pb::LockState& lock =
            kind == Kind::kSnapshot ? watch.event.snapshot() : watch.event.changed();
        if (kind == Kind::kSnapshot || kind == Kind::kChanged) {
            EXPECT_GE(lock.newest_token(), newest);  // in order
            newest = lock.holders().empty() ? newest : lock.holders(0).fencing_token();
        }
    }
}

TEST_F(WatchTest, ADaemonThatDrainsSaysSo) {
    WatchStream watch{client_, of_name("a")};
    ASSERT_EQ(watch.next(), Kind::kSnapshotEnd);
    daemon_.process().signal(SIGTERM);
    EXPECT_EQ(watch.finish().reason, "DRAINING");
}

TEST_F(WatchTest, BadInput) {
    WatchStream nothing{client_, pb::WatchRequest{}};
    EXPECT_EQ(nothing.finish().field, "what");
    WatchStream empty{client_, of_name("")};
    EXPECT_EQ(empty.finish().field, "name");
    WatchStream control{client_, of_prefix("a\nb")};
    EXPECT_EQ(control.finish().field, "prefix");
}

}  // namespace
}  // namespace holdfast::e2e
