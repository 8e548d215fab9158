#include "cli/admin_output.hpp"

#include "cli/json.hpp"
#include "cli/lock_output.hpp"
#include "cli/text.hpp"

#include <boost/json/array.hpp>

#include <chrono>
#include <vector>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

using Rows = std::vector<std::vector<std::string>>;

template <class Texts>
boost::json::array json_of_texts(const Texts& texts) {
    boost::json::array json;
    for (const std::string& text : texts) {
        json.emplace_back(text);
    }
    return json;
}

template <class Holders>
boost::json::array json_of_holders(const Holders& holders) {
    boost::json::array json;
    for (const v1::Holder& holder : holders) {
        json.push_back(json_of(holder));
    }
    return json;
}

std::string show_owner(const v1::Holder& holder) {
    return show_text(holder.owner()) + " (token " + std::to_string(holder.fencing_token()) + ")";
}

template <class Texts>
std::string show_silent(const Texts& daemons) {
    std::string text;
    for (const std::string& daemon : daemons) {
        text += (text.empty() ? "no answer from: " : ", ") + show_text(daemon);
    }
    return text.empty() ? text : text + "\n";
}

Rows waiter_rows(const v1::ExplainResponse& explained) {
    Rows rows{{"POSITION", "OWNER", "MODE", "PRIORITY", "WAITING", "DAEMON"}};
    for (const v1::Waiter& waiter : explained.waiters()) {
        rows.push_back({std::to_string(waiter.position()),
                        show_text(waiter.owner()),
                        show_mode(waiter.mode()),
                        std::to_string(waiter.priority()),
                        show_duration(milliseconds{waiter.waiting_for_ms()}),
                        show_text(waiter.daemon())});
    }
    return rows;
}

Rows transition_rows(const v1::ExplainResponse& explained) {
    Rows rows{{"AGO", "WHAT", "OWNER", "TOKEN", "DAEMON"}};
    for (const v1::Transition& each : explained.transitions()) {
        rows.push_back({show_duration(milliseconds{each.ago_ms()}),
                        show_text(each.what()),
                        show_text(each.owner()),
                        std::to_string(each.fencing_token()),
                        show_text(each.daemon())});
    }
    return rows;
}

std::string show_cut(bool cut, const std::string& what) {
    return cut ? "cut: " + what + " than are shown\n" : std::string{};
}

// Nothing if there is but the heading.
std::string show_part(const std::string& title, const Rows& rows) {
    return rows.size() > 1 ? "\n" + title + "\n" + show_table(rows) : std::string{};
}

}  // namespace

std::string show(const v1::ExplainResponse& explained) {
    const std::string lock =
        explained.lock().holders().empty()
            ? "name:     " + show_text(explained.lock().name()) + "\nnobody holds it\n"
            : show(explained.lock());
    return lock +
           show_part("Who wait, in the order in which they will be served:",
                     waiter_rows(explained)) +
           show_part("What happened last, newest first:", transition_rows(explained)) +
           show_cut(explained.cut(), "there are more waiters or events") +
           show_silent(explained.silent_daemons());
}

std::string to_json(const v1::ExplainResponse& explained) {
    boost::json::array waiters;
    for (const v1::Waiter& waiter : explained.waiters()) {
        waiters.push_back(boost::json::object{{"position", waiter.position()},
                                              {"owner", waiter.owner()},
                                              {"mode", v1::Mode_Name(waiter.mode())},
                                              {"priority", waiter.priority()},
                                              {"waiting_for_ms", waiter.waiting_for_ms()},
                                              {"daemon", waiter.daemon()}});
    }
    boost::json::array transitions;
    for (const v1::Transition& each : explained.transitions()) {
        transitions.push_back(boost::json::object{{"ago_ms", each.ago_ms()},
                                                  {"what", each.what()},
                                                  {"owner", each.owner()},
                                                  {"fencing_token", each.fencing_token()},
                                                  {"daemon", each.daemon()}});
    }
    return json_line(
        boost::json::object{{"lock", json_of(explained.lock())},
                            {"waiters", waiters},
                            {"transitions", transitions},
                            {"silent_daemons", json_of_texts(explained.silent_daemons())},
                            {"cut", explained.cut()}});
}

std::string show(const v1::RevokeResponse& revoked) {
    std::string text;
    for (const v1::Holder& holder : revoked.asked()) {
        text += "asked: " + show_owner(holder) + "\n";
    }
    return text.empty() ? "nobody was asked: no such holder\n" : text;
}

std::string to_json(const v1::RevokeResponse& revoked) {
    return json_line(boost::json::object{{"asked", json_of_holders(revoked.asked())}});
}

std::string show(const v1::ForceReleaseResponse& released) {
    std::string text;
    for (const v1::Holder& holder : released.released()) {
        text += "taken from: " + show_owner(holder) + "\n";
    }
    if (text.empty()) {
        return "taken from nobody: no such holder\n";
    }
    return text + (released.free_in_ms() == 0
                       ? "free now\n"
                       : "free in " + show_duration(milliseconds{released.free_in_ms()}) + "\n");
}

std::string to_json(const v1::ForceReleaseResponse& released) {
    return json_line(boost::json::object{{"released", json_of_holders(released.released())},
                                         {"free_in_ms", released.free_in_ms()}});
}

std::string show(const v1::ListSessionsResponse& sessions) {
    Rows rows{{"PEER", "DAEMON", "CONNECTED", "LEASES", "WAITING"}};
    for (const v1::SessionInfo& session : sessions.sessions()) {
        rows.push_back({show_text(session.peer()),
                        show_text(session.daemon()),
                        show_duration(milliseconds{session.connected_for_ms()}),
                        std::to_string(session.leases()),
                        std::to_string(session.waiting())});
    }
    return show_table(rows) + show_cut(sessions.cut(), "there are more sessions") +
           show_silent(sessions.silent_daemons());
}

std::string to_json(const v1::ListSessionsResponse& sessions) {
    boost::json::array json;
    for (const v1::SessionInfo& session : sessions.sessions()) {
        json.push_back(boost::json::object{{"peer", session.peer()},
                                           {"daemon", session.daemon()},
                                           {"connected_for_ms", session.connected_for_ms()},
                                           {"leases", session.leases()},
                                           {"waiting", session.waiting()}});
    }
    return json_line(
        boost::json::object{{"sessions", json},
                            {"silent_daemons", json_of_texts(sessions.silent_daemons())},
                            {"cut", sessions.cut()}});
}

std::string show(const v1::GetStatusResponse& status) {
    std::string text = "version: " + show_text(status.version()) +
                       "\ndaemon:  " + show_text(status.daemon()) +
                       "\nready:   " + (status.ready() ? "yes" : "no") + "\n";
    for (const std::string& reason : status.reasons()) {
        text += "         " + show_text(reason) + "\n";
    }
    for (const std::string& warning : status.warnings()) {
        text += "warning: " + show_text(warning) + "\n";
    }
    return text + "leases:  " + std::to_string(status.leases()) +
           "\nwaiting: " + std::to_string(status.waiting()) +
           "\nup for:  " + show_duration(milliseconds{status.uptime_ms()}) + "\n";
}

std::string to_json(const v1::GetStatusResponse& status) {
    return json_line(boost::json::object{{"version", status.version()},
                                         {"daemon", status.daemon()},
                                         {"ready", status.ready()},
                                         {"reasons", json_of_texts(status.reasons())},
                                         {"warnings", json_of_texts(status.warnings())},
                                         {"leases", status.leases()},
                                         {"waiting", status.waiting()},
                                         {"uptime_ms", status.uptime_ms()}});
}

}  // namespace holdfast::cli
