#include "rpc/watch.hpp"

#include "rpc/status.hpp"
#include "rpc/translate.hpp"

#include <utility>

namespace holdfast::rpc {

Watch::Watch(std::shared_ptr<WatchCall> call, core::WatchScope scope, core::Shards& shards)
    : call_(std::move(call)),
      scope_(std::move(scope)),
      shards_(shards),
      shard_(scope_.name ? shards.shard_of(*scope_.name) : 0) {}

void Watch::start() {
    const auto self = shared_from_this();
    call_->on_idle = [self] {
        if (self->wants_room_.exchange(false)) {
            self->shards_.post_to(self->shard_, [self](core::LockManager& manager) {
                if (self->id_) {
                    manager.watchers().resume(*self->id_);
                }
            });
        }
    };
    call_->on_over = [self](std::size_t) {
        self->shards_.post_to(self->shard_, [self](core::LockManager& manager) {
            self->over_ = true;
            if (self->id_) {
                manager.watchers().remove(*self->id_);
            }
        });
    };
    shards_.post_to(shard_, [self](core::LockManager& manager) {
        if (!self->over_) {
            self->id_ = manager.watchers().add(self->scope_, self);
        }
    });
}

void Watch::drain() {
    call_->end(to_status({core::Reason::draining, "this daemon is shutting down; try another"}));
}

bool Watch::has_room() {
    if (call_->waiting() < kFull) {
        return true;
    }
    wants_room_ = true;
    if (call_->waiting() >= kFull) {
        return false;
    }
    wants_room_ = false;  // it has become idle before it could know
    return true;
}

void Watch::snapshot(const core::LockState& lock) {
    v1::WatchEvent event;
    fill(*event.mutable_snapshot(), lock);
    call_->send(std::move(event));
}

void Watch::snapshot_end() {
    v1::WatchEvent event;
    event.mutable_snapshot_end();
    call_->send(std::move(event));
}

void Watch::changed(const core::LockState& lock) {
    v1::WatchEvent event;
    fill(*event.mutable_changed(), lock);
    call_->send(std::move(event));
}

void Watch::missed() {
    v1::WatchEvent event;
    if (scope_.name) {
        event.mutable_missed()->set_name(scope_.name->text());
    } else {
        event.mutable_missed();
    }
    call_->send(std::move(event));
}

}  // namespace holdfast::rpc
