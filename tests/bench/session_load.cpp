// Loads over Session: a thread for each stream, which answers what it reads with one message.

#include "bench/loads.hpp"
#include "cli/load_report.hpp"
#include "e2e/fixture.hpp"

#include <absl/synchronization/mutex.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>
#include <thread>

namespace holdfast::bench {
namespace {

namespace pb = ::holdfast::v1;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr int kMostInMessage = 1000;  // operations; the daemon takes no more
constexpr std::size_t kMostAsked = 2000;
constexpr Milliseconds kTtl{30'000};
constexpr Milliseconds kWait{600'000};

// Of a lock that all want: when it was last let go; 0: since then it was had.
using LetGo = std::atomic<Clock::rep>;

// One stream with slots, each of which has one lock, and one operation under way.
class Stream {
public:
    Stream(const std::string& address,
           std::vector<std::string> locks,
           Milliseconds wait,
           LetGo* let_go)
        : locks_(std::move(locks)), wait_(wait), let_go_(let_go), begun_(locks_.size()) {
        grpc::ChannelArguments arguments;
        arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection of its own
        stub_ = pb::LockService::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
        stream_ = stub_->Session(&context_);
    }

    std::size_t slots() const { return locks_.size(); }

    // Sends the acquires of these slots.
    void ask(std::size_t from, std::size_t to) {
        for (std::size_t slot = from; slot < to; ++slot) {
            acquire(slot);
        }
        write();
    }
    void ask_all() { ask(0, slots()); }
    // Until the daemon has handled all that was sent.
    void settle() {
        message_.mutable_ping()->set_id(1);
        write();
        pb::SessionEvent event;
        while (!event.has_pong()) {
            read(event);
        }
    }
    // Takes the locks of all slots: so many at a time that the daemon does not refuse to send more
    // to Redis.
    void take_all() {
        pb::SessionEvent event;
        std::size_t held = 0;
        for (std::size_t asked = 0; held < slots();) {
            const std::size_t more = std::min(slots(), held + kMostAsked);
            ask(asked, more);
            asked = more;
            read(event);
            for (const auto& result : event.results()) {
                if (!result.has_acquire()) {
                    throw std::runtime_error("not granted: " + result.error().message());
                }
                ++held;
            }
        }
    }
    // Answers each grant by a release, and each release by an acquire, until stop().
    void run() {
        pb::SessionEvent event;
        while (stream_->Read(&event)) {
            const auto now = Clock::now();
            for (const auto& result : event.results()) {
                answer(result, now);
            }
            write();
        }
    }
    // Reads what comes, which is renewals, until stop().
    void watch() {
        pb::SessionEvent event;
        while (stream_->Read(&event)) {
            for (const auto& told : event.events()) {
                if (told.has_lost()) {
                    std::cerr << told.ShortDebugString() << '\n';
                    std::_Exit(1);
                }
            }
        }
    }
    void stop() { context_.TryCancel(); }

    cli::LoadResult::Kind acquires;
    cli::LoadResult::Kind releases;
    cli::LoadResult::Kind hand_ons;
    std::map<std::string, std::uint64_t> failures;

private:
    void read(pb::SessionEvent& event) {
        if (!stream_->Read(&event)) {
            throw std::runtime_error("the session broke: " + stream_->Finish().error_message());
        }
    }

    pb::Operation& add(std::size_t slot, bool release) {
        if (message_.operations_size() == kMostInMessage) {
            write();
        }
        pb::Operation& operation = *message_.add_operations();
        operation.set_id(slot * 2 + (release ? 1 : 0));
        begun_[slot] = Clock::now();
        return operation;
    }
    void acquire(std::size_t slot) {
        pb::AcquireRequest& request = *add(slot, false).mutable_acquire();
        request.set_name(locks_[slot]);
        request.set_ttl_ms(static_cast<std::uint64_t>(kTtl.count()));
        request.set_wait_ms(static_cast<std::uint64_t>(wait_.count()));
        request.set_owner("bench");
    }
    void write() {
        if (message_.operations_size() > 0 || message_.has_ping()) {
            stream_->Write(message_);
            message_.Clear();
        }
    }

    void answer(const pb::OperationResult& result, Clock::time_point now) {
        const std::size_t slot = result.id() / 2;
        if (result.has_error()) {
            ++failures[result.error().message()];
            acquire(slot);
        } else if (result.has_acquire()) {
            acquires.add(now - begun_[slot]);
            if (const auto since = let_go_ != nullptr ? let_go_->exchange(0) : 0; since != 0) {
                hand_ons.add(now.time_since_epoch() - Clock::duration{since});
            }
            add(slot, true).mutable_release()->set_lease_id(result.acquire().lease().lease_id());
            if (let_go_ != nullptr) {
                *let_go_ = Clock::now().time_since_epoch().count();
            }
        } else {
            releases.add(now - begun_[slot]);
            acquire(slot);
        }
    }

    const std::vector<std::string> locks_;
    const Milliseconds wait_;
    LetGo* const let_go_;                   // nullptr: each slot has its own lock
    std::vector<Clock::time_point> begun_;  // by slot
    std::unique_ptr<pb::LockService::Stub> stub_;
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReaderWriter<pb::SessionRequest, pb::SessionEvent>> stream_;
    pb::SessionRequest message_;  // what leaves next
};

using Streams = std::vector<std::unique_ptr<Stream>>;

std::string new_name() {
    return "bench-" + std::to_string(std::random_device{}());
}

// As many sessions with as many slots each; all with this lock, or, without one, each with its own.
Streams open(const std::string& address,
             std::size_t sessions,
             std::size_t slots,
             const std::string& lock,
             LetGo* let_go) {
    const std::string prefix = new_name() + "-";
    Streams streams;
    for (std::size_t i = 0; i < sessions; ++i) {
        std::vector<std::string> locks;
        for (std::size_t slot = 0; slot < slots; ++slot) {
            locks.push_back(lock.empty() ? prefix + std::to_string(i * slots + slot) : lock);
        }
        streams.push_back(std::make_unique<Stream>(
            address, std::move(locks), lock.empty() ? 0ms : kWait, let_go));
    }
    return streams;
}

// Lets them run for this time, and prints what came of it.
void run_for(Streams& streams, Milliseconds duration, const std::vector<std::string>& kinds) {
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (const auto& stream : streams) {
        threads.emplace_back([&stream] { stream->run(); });
    }
    std::this_thread::sleep_for(duration);
    cli::LoadResult result;
    result.elapsed = Clock::now() - start;
    for (const auto& stream : streams) {
        stream->stop();
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    result.kinds.resize(kinds.size());
    for (const auto& stream : streams) {
        const std::array from{&stream->acquires, &stream->releases, &stream->hand_ons};
        for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
            const auto& took = from[kind]->latencies;
            auto& into = result.kinds[kind].latencies;
            into.insert(into.end(), took.begin(), took.end());
        }
        for (const auto& [why, times] : stream->failures) {
            result.failures[why] += times;
        }
    }
    for (auto& kind : result.kinds) {
        kind.sort();
    }
    std::cout << cli::to_json(result, kinds) << std::flush;
}

// As in cli::run_load.
void no_deadlock_detection() {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

class Steps {
public:
    // Before there are other threads.
    Steps() {
        sigemptyset(&go_);
        sigaddset(&go_, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &go_, nullptr);
    }
    void ready() const {
        std::cout << "READY\n" << std::flush;
        int signal = 0;
        sigwait(&go_, &signal);
    }

private:
    sigset_t go_{};
};

// Acquires new locks, each once, that the daemon renews until max_hold_ms have passed.
class Holder final : public cli::LoadClient {
public:
    Holder(const std::shared_ptr<grpc::Channel>& channel, std::string prefix, std::size_t locks)
        : stub_(pb::LockService::NewStub(channel)), prefix_(std::move(prefix)), left_(locks) {
        request_.set_ttl_ms(static_cast<std::uint64_t>(kTtl.count()));
        request_.set_max_hold_ms(static_cast<std::uint64_t>(kWait.count()));
        request_.set_owner("bench");
    }
    std::size_t call(grpc::CompletionQueue& queue, void* tag) override {
        context_.emplace();
        request_.set_name(prefix_ + std::to_string(--left_));
        reader_ = stub_->AsyncAcquire(&*context_, request_, &queue);
        reader_->Finish(&response_, &status_, tag);
        return 0;
    }
    std::string ended() override { return status_.ok() ? "" : status_.error_message(); }
    bool busy() const override { return left_ > 0; }

private:
    std::unique_ptr<pb::LockService::Stub> stub_;
    const std::string prefix_;
    std::size_t left_;
    std::optional<grpc::ClientContext> context_;
    pb::AcquireRequest request_;
    pb::AcquireResponse response_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<pb::AcquireResponse>> reader_;
    grpc::Status status_;
};

void hold_by_daemon(const std::string& address, std::size_t locks) {
    constexpr std::size_t kAtOnce = 50;
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    std::vector<std::unique_ptr<cli::LoadClient>> holders;
    for (std::size_t i = 0; i < kAtOnce; ++i) {
        holders.push_back(std::make_unique<Holder>(
            channel, new_name() + "-" + std::to_string(i) + "-", locks / kAtOnce));
    }
    if (cli::run_load(holders, 1, 0ms).failed() > 0) {
        throw std::runtime_error("not all locks were granted");
    }
}

}  // namespace

void load_session(const std::vector<std::string>& words) {
    no_deadlock_detection();
    Streams streams =
        open(words.at(0), std::stoul(words.at(1)), std::stoul(words.at(2)), "", nullptr);
    for (const auto& stream : streams) {
        stream->ask_all();
    }
    run_for(streams, Milliseconds{std::stol(words.at(3))}, {"acquire", "release"});
}

void load_waiters(const std::vector<std::string>& words) {
    const Steps steps;
    no_deadlock_detection();
    const std::string& address = words.at(0);
    const std::string lock = new_name();
    LetGo let_go{0};
    Streams streams =
        open(address, std::stoul(words.at(1)), std::stoul(words.at(2)), lock, &let_go);
    e2e::Client holder{address};
    pb::AcquireRequest request = e2e::Client::request(lock, kTtl);
    request.set_max_hold_ms(static_cast<std::uint64_t>(kWait.count()));
    if (!holder.acquire(request).ok()) {
        throw std::runtime_error("the lock was not granted");
    }
    steps.ready();
    for (const auto& stream : streams) {
        stream->ask_all();
    }
    for (const auto& stream : streams) {
        stream->settle();
    }
    steps.ready();
    let_go = Clock::now().time_since_epoch().count();
    holder.release(holder.lease.lease_id());
    run_for(streams, Milliseconds{std::stol(words.at(3))}, {"acquire", "release", "hand_on"});
}

void load_leases(const std::vector<std::string>& words) {
    const Steps steps;
    no_deadlock_detection();
    const std::size_t locks = std::stoul(words.at(2));
    if (words.at(1) != "session") {
        hold_by_daemon(words.at(0), locks);
        steps.ready();
        return;
    }
    Streams streams = open(words.at(0), 1, locks, "", nullptr);
    streams.front()->take_all();
    std::thread{[&] { streams.front()->watch(); }}.detach();
    steps.ready();
    std::_Exit(0);
}

}  // namespace holdfast::bench
