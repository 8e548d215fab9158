#include "cli/event_output.hpp"

#include "cli/json.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

std::string show_queued(const v1::Queued& queued) {
    const v1::Holder& holder = queued.holder();
    return "waiting: position " + std::to_string(queued.position()) + ", held by " +
           show_text(holder.owner()) + " (token " + std::to_string(holder.fencing_token()) +
           ") for " + show_duration(milliseconds{holder.expires_in_ms()}) + " more unless renewed";
}

std::string show_granted(const v1::Lease& lease, const std::string& safe) {
    return "granted: token " + std::to_string(lease.fencing_token()) + safe + "; lease id " +
           show_text(lease.lease_id());
}

// `safe`: ", safe for 9.9s".
std::string show_event(const v1::LeaseEvent& event, const std::string& safe) {
    switch (event.event_case()) {
        case v1::LeaseEvent::kQueued:
            return show_queued(event.queued());
        case v1::LeaseEvent::kGranted:
            return show_granted(event.granted().lease(), safe);
        case v1::LeaseEvent::kRenewed:
            return "renewed" + safe;
        case v1::LeaseEvent::kAtRisk:
            return "at risk" + safe + " only: " + show_text(event.at_risk().why());
        case v1::LeaseEvent::kRecovered:
            return "recovered" + safe;
        case v1::LeaseEvent::kRevokeRequested:
            return "revoke requested: give it up within " +
                   show_duration(milliseconds{event.revoke_requested().deadline_in_ms()}) + ": " +
                   show_text(event.revoke_requested().reason());
        case v1::LeaseEvent::kMoving:
            return "moving" + safe + ": the daemon is going away; taking the lease to another";
        case v1::LeaseEvent::kLost:
            return std::string{"lost: "} + describe(event.lost().cause()) + " (" +
                   show_text(event.lost().why()) + ")";
        case v1::LeaseEvent::kReleased:
            return std::string{"released: "} + describe(event.released().verdict());
        case v1::LeaseEvent::EVENT_NOT_SET:
            break;
    }
    return {};
}

boost::json::object json_of(const v1::Lost& lost) {
    boost::json::object json{{"event", "lost"}, {"cause", v1::LossCause_Name(lost.cause())}};
    if (lost.newer_token() != 0) {
        json["newer_token"] = lost.newer_token();
    }
    json["why"] = lost.why();
    return json;
}

boost::json::object json_of(const v1::LeaseEvent& event) {
    switch (event.event_case()) {
        case v1::LeaseEvent::kQueued:
            return {{"event", "queued"},
                    {"position", event.queued().position()},
                    {"holder_owner", event.queued().holder().owner()},
                    {"holder_token", event.queued().holder().fencing_token()}};
        case v1::LeaseEvent::kGranted:
            return {{"event", "granted"},
                    {"name", event.granted().lease().name()},
                    {"mode", v1::Mode_Name(event.granted().lease().mode())},
                    {"lease_id", event.granted().lease().lease_id()},
                    {"fencing_token", event.granted().lease().fencing_token()},
                    {"ttl_ms", event.granted().lease().ttl_ms()}};
        case v1::LeaseEvent::kRenewed:
            return {{"event", "renewed"},
                    {"fencing_token", event.renewed().lease().fencing_token()}};
        case v1::LeaseEvent::kAtRisk:
            return {{"event", "at_risk"}, {"why", event.at_risk().why()}};
        case v1::LeaseEvent::kRecovered:
            return {{"event", "recovered"},
                    {"fencing_token", event.recovered().lease().fencing_token()}};
        case v1::LeaseEvent::kRevokeRequested:
            return {{"event", "revoke_requested"},
                    {"deadline_in_ms", event.revoke_requested().deadline_in_ms()},
                    {"reason", event.revoke_requested().reason()}};
        case v1::LeaseEvent::kMoving:
            return {{"event", "moving"}};
        case v1::LeaseEvent::kLost:
            return json_of(event.lost());
        case v1::LeaseEvent::kReleased:
            return {{"event", "released"},
                    {"verdict", v1::Verdict_Name(event.released().verdict())},
                    {"newer_token", event.released().newer_token()}};
        case v1::LeaseEvent::EVENT_NOT_SET:
            break;
    }
    return {};
}

bool ends_it(const v1::LeaseEvent& event) {
    return event.has_lost() || event.has_released();
}

}  // namespace

const char* describe(v1::Verdict verdict) {
    switch (verdict) {
        case v1::VERDICT_HELD_THROUGHOUT:
            return "the lock was held throughout";
        case v1::VERDICT_ALREADY_EXPIRED:
            return "the lease had expired; nobody has taken the lock since";
        case v1::VERDICT_SUPERSEDED:
            return "the lease was lost: the lock has been granted again since";
        default:
            return "the daemon gave a verdict that this program does not know";
    }
}

const char* describe(v1::LossCause cause) {
    switch (cause) {
        case v1::LOSS_CAUSE_DEADLINE:
            return "no renewal was confirmed in time";
        case v1::LOSS_CAUSE_TAKEN:
            return "it is another's now, or the store forgot it";
        case v1::LOSS_CAUSE_REVOKED:
            return "it was revoked";
        case v1::LOSS_CAUSE_MAX_HOLD:
            return "its time is over";
        case v1::LOSS_CAUSE_MOVED:
            return "another stream has taken it over";
        default:
            return "for a reason that this program does not know";
    }
}

std::string show(const Told& told, milliseconds safe_for) {
    const std::string safe = ", safe for " + show_duration(safe_for);
    std::string line;
    if (told.kind == Told::Kind::broke) {
        line = "disconnected" + safe + "; trying again: " + show_text(told.failure->message);
    } else if (told.kind == Told::Kind::resumed) {
        line = "resumed" + safe;
    } else if (told.kind == Told::Kind::over && told.failure && !told.event.has_lost()) {
        line = told.failure->code == ExitCode::lost ? "lost: " + show_text(told.failure->message)
                                                    : std::string{};
    } else {
        line = show_event(told.event, safe);
    }
    return line.empty() ? line : line + "\n";
}

std::string to_json(const Told& told, milliseconds safe_for) {
    boost::json::object json;
    if (told.kind == Told::Kind::broke) {
        json = {{"event", "disconnected"}, {"why", told.failure->message}};
    } else if (told.kind == Told::Kind::resumed) {
        json = {{"event", "resumed"}};
    } else if (told.kind == Told::Kind::over && told.failure && !told.event.has_lost()) {
        if (told.failure->code == ExitCode::lost) {
            json = {{"event", "lost"}, {"why", told.failure->message}};
        }
    } else {
        json = json_of(told.event);
    }
    if (!json.empty() && json["event"] != "lost" && !told.event.has_queued() &&
        !ends_it(told.event)) {
        json["safe_for_ms"] = safe_for.count();
    }
    return json.empty() ? std::string{} : json_line(json);
}

}  // namespace holdfast::cli
