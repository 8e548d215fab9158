#pragma once

// A Hold of a client, read by hand.

#include "fixture.hpp"

#include <memory>

namespace holdfast::e2e {

using Event = pb::LeaseEvent::EventCase;

// One stream, read by hand. It ends by itself in five minutes, so that no read hangs for good.
class HoldStream {
public:
    HoldStream(Client& client, const pb::AcquireRequest& request) : sent_at(Steady::now()) {
        context_.set_deadline(std::chrono::system_clock::now() + 300s);
        reader_ = client.stub().Hold(&context_, request);
    }
    ~HoldStream() {
        if (!over_) {
            context_.TryCancel();
            finish();
        }
    }

    // The next event's kind; EVENT_NOT_SET at the end of the stream.
    Event next() {
        if (!reader_->Read(&event)) {
            return Event::EVENT_NOT_SET;
        }
        if (event.has_granted()) {
            lease = event.granted().lease();
        }
        return event.event_case();
    }
    // Reads on until this kind comes.
    bool until(Event wanted) {
        for (Event kind = next(); kind != Event::EVENT_NOT_SET; kind = next()) {
            if (kind == wanted) {
                return true;
            }
        }
        return false;
    }
    void cancel() { context_.TryCancel(); }
    Answer finish() {
        pb::LeaseEvent rest;
        while (reader_->Read(&rest)) {
        }
        over_ = true;
        return answer_of(reader_->Finish());
    }

    const Steady::time_point sent_at;
    pb::LeaseEvent event;
    pb::Lease lease;

private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<pb::LeaseEvent>> reader_;
    bool over_ = false;
};

}  // namespace holdfast::e2e
