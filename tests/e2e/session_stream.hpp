#pragma once

// A Session of a client, read by hand. It ends by itself in five minutes, so that no read hangs.

#include "fixture.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::e2e {

class SessionStream {
public:
    explicit SessionStream(Client& client) {
        context_.set_deadline(std::chrono::system_clock::now() + 300s);
        stream_ = client.stub().Session(&context_);
    }
    ~SessionStream() {
        if (!over_) {
            context_.TryCancel();
            finish();
        }
    }

    pb::Operation& add() {
        pb::Operation& operation = *message_.add_operations();
        operation.set_id(++last_id_);
        return operation;
    }
    std::uint64_t acquire(const pb::AcquireRequest& request) {
        *add().mutable_acquire() = request;
        return last_id_;
    }
    std::uint64_t release(const std::string& lease_id) {
        add().mutable_release()->set_lease_id(lease_id);
        return last_id_;
    }
    pb::SessionRequest& message() { return message_; }
    bool send() {
        const bool sent = stream_->Write(message_);
        message_.Clear();
        return sent;
    }

    // Reads until there is a result of this operation.
    pb::OperationResult result(std::uint64_t id) {
        EXPECT_TRUE(read_until([&] { return results.contains(id); })) << "operation " << id;
        return results[id];
    }
    template <class Condition>
    bool read_until(Condition condition) {
        while (!condition()) {
            pb::SessionEvent event;
            if (!stream_->Read(&event)) {
                return false;
            }
            ++messages;
            for (const auto& result : event.results()) {
                results[result.id()] = result;
            }
            for (const auto& lease_event : event.events()) {
                events.push_back(lease_event);
            }
            if (event.has_pong()) {
                pong = event.pong();
                pongs.push_back(pong);
            }
        }
        return true;
    }
    // Reads until an event of this kind comes.
    bool event(pb::LeaseEvent::EventCase kind) {
        return read_until([&] {
            for (const auto& one : events) {
                if (one.event_case() == kind) {
                    last = one;
                    return true;
                }
            }
            return false;
        });
    }
    Answer finish() {
        over_ = true;
        pb::SessionEvent rest;
        while (stream_->Read(&rest)) {
        }
        return answer_of(stream_->Finish());
    }

    std::map<std::uint64_t, pb::OperationResult> results;
    std::vector<pb::LeaseEvent> events;
    pb::LeaseEvent last;
    pb::Pong pong;  // the last one
    std::vector<pb::Pong> pongs;
    std::size_t messages = 0;

private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReaderWriter<pb::SessionRequest, pb::SessionEvent>> stream_;
    pb::SessionRequest message_;
    std::uint64_t last_id_ = 0;
    bool over_ = false;
};

}  // namespace holdfast::e2e
