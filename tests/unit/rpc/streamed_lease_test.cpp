// What becomes of a lease whose stream breaks, by what its client can have heard.

#include "rpc/streamed_lease.hpp"

#include "unit/core/core_fixture.hpp"

namespace holdfast::rpc {
namespace {

using namespace std::chrono_literals;

// A lease on a stream whose messages are numbered.
class Streamed final : public StreamedLease {
public:
    Streamed(const core::Clock& clock, core::Instant anchor, Disconnect on_disconnect)
        : StreamedLease(clock, anchor, on_disconnect) {}

private:
    std::size_t emit(v1::LeaseEvent, End) override { return messages_++; }
    std::size_t messages_ = 0;
};

class StreamedLeaseTest : public core::CoreTest {
protected:
    // Granted and watched, as message 0.
    std::shared_ptr<Streamed> granted(bool resumed, bool release_now) {
        auto asked = request("a");
        auto streamed = std::make_shared<Streamed>(
            clock_, clock_.now(), Disconnect{.release_now = release_now});
        asked.listener = streamed;
        EXPECT_TRUE(streamed->granted(hold(std::move(asked)), resumed));
        return streamed;
    }
    // Its stream breaks when so many messages had been given to gRPC. True if the lock is free then.
    bool free_after(bool resumed, bool release_now, std::size_t begun) {
        granted(resumed, release_now)->stream_broke(manager_, begun);
        store_.deliver();
        return !store_.held("a");
    }
};

TEST_F(StreamedLeaseTest, AGrantThatNobodyHeardOfIsGivenUp) {
    EXPECT_TRUE(free_after(false, false, 0));
}

TEST_F(StreamedLeaseTest, AGrantThatWasToldIsKept) {
    EXPECT_FALSE(free_after(false, false, 1));
}

TEST_F(StreamedLeaseTest, AGrantThatWasToldIsReleasedIfAskedFor) {
    EXPECT_TRUE(free_after(false, true, 1));
}

// Its client has the lease id, and may have resumed it elsewhere.
TEST_F(StreamedLeaseTest, AResumeThatNobodyHeardOfIsKept) {
    EXPECT_FALSE(free_after(true, false, 0));
}

TEST_F(StreamedLeaseTest, AResumeThatNobodyHeardOfIsNotReleasedEvenIfAskedFor) {
    EXPECT_FALSE(free_after(true, true, 0));
}

TEST_F(StreamedLeaseTest, AResumeThatWasToldIsReleasedIfAskedFor) {
    EXPECT_TRUE(free_after(true, true, 1));
}

TEST_F(StreamedLeaseTest, NothingIsRenewedForAStreamThatBroke) {
    granted(true, false)->stream_broke(manager_, 0);
    pass(2s);
    EXPECT_EQ(store_.calls["renew"], 0);
    EXPECT_FALSE(store_.held("a"));
}

}  // namespace
}  // namespace holdfast::rpc
