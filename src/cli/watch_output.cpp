#include "cli/watch_output.hpp"

#include "cli/json.hpp"
#include "cli/lock_output.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

std::string show_lock(const char* what, const v1::LockState& lock) {
    return what + show_text(lock.name()) + ": " + show_line(lock) + "\n";
}

std::string lock_to_json(const char* what, const v1::LockState& lock) {
    boost::json::object json{{"event", what}};
    json["lock"] = json_of(lock);
    return json_line(json);
}

}  // namespace

std::string show(const v1::WatchEvent& event) {
    switch (event.event_case()) {
        case v1::WatchEvent::kSnapshot:
            return show_lock("is       ", event.snapshot());
        case v1::WatchEvent::kSnapshotEnd:
            return "watching\n";
        case v1::WatchEvent::kChanged:
            return show_lock("changed  ", event.changed());
        case v1::WatchEvent::kMissed:
            return "missed   changes of " +
                   (event.missed().name().empty() ? "any of them"
                                                  : show_text(event.missed().name())) +
                   "; their state follows\n";
        case v1::WatchEvent::EVENT_NOT_SET:
            break;
    }
    return {};
}

std::string to_json(const v1::WatchEvent& event) {
    switch (event.event_case()) {
        case v1::WatchEvent::kSnapshot:
            return lock_to_json("snapshot", event.snapshot());
        case v1::WatchEvent::kSnapshotEnd:
            return json_line(boost::json::object{{"event", "snapshot_end"}});
        case v1::WatchEvent::kChanged:
            return lock_to_json("changed", event.changed());
        case v1::WatchEvent::kMissed:
            return json_line(
                boost::json::object{{"event", "missed"}, {"name", event.missed().name()}});
        case v1::WatchEvent::EVENT_NOT_SET:
            break;
    }
    return {};
}

}  // namespace holdfast::cli
